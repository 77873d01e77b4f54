/// What a collector answers to an export, in the encoding that the export came in.
package struct ExportAnswer: Sendable, Equatable {
    /// Spans that cannot be taken, and are not to be sent again.
    package var rejected: Int
    /// For a person; empty if there is nothing to say.
    package var message: String

    package init(rejected: Int, message: String) {
        self.rejected = rejected
        self.message = message
    }

    /// ExportTraceServiceResponse: field 1 is partial_success, which has rejected_spans = 1 and error_message = 2.
    package func encoded(as encoding: TraceExport.Encoding) -> [UInt8] {
        guard rejected > 0 || !message.isEmpty else { return encoding == .json ? Array("{}".utf8) : [] }
        switch encoding {
        case .protobuf:
            var partial = Self.varint(field: 1, UInt64(max(0, rejected)))
            partial += Self.bytes(field: 2, Array(message.utf8))
            return Self.bytes(field: 1, partial)
        case .json:
            // A 64-bit number is a text in this form.
            return Self.object { writer in
                writer.name("partialSuccess")
                writer.open("{")
                writer.field("rejectedSpans", String(rejected))
                writer.field("errorMessage", message)
                writer.close("}")
            }
        }
    }

    /// google.rpc.Status, which an export that failed as a whole is answered with: code = 1, message = 2.
    package static func status(code: Int, message: String, as encoding: TraceExport.Encoding) -> [UInt8] {
        switch encoding {
        case .protobuf: varint(field: 1, UInt64(max(0, code))) + bytes(field: 2, Array(message.utf8))
        case .json:
            object { writer in
                writer.field("code", Int64(code))
                writer.field("message", message)
            }
        }
    }

    private static func object(_ write: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.open("{")
        write(&writer)
        writer.close("}")
        return writer.bytes
    }

    private static func bytes(field: UInt64, _ bytes: [UInt8]) -> [UInt8] {
        varint(field << 3 | 2) + varint(UInt64(bytes.count)) + bytes
    }

    private static func varint(field: UInt64, _ value: UInt64) -> [UInt8] { varint(field << 3) + varint(value) }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var (rest, bytes): (UInt64, [UInt8]) = (value, [])
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}
