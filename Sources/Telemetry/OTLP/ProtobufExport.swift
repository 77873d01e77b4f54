/// Reads an export by the field numbers of the OpenTelemetry protocol specification 1.x, trace service.
struct ProtobufExport {
    private var spans: [OTLPSpan] = []

    static func read(_ bytes: [UInt8]) throws(OTLPError) -> [OTLPSpan] {
        var export = ProtobufExport()
        var message = ProtobufReader(bytes)
        while let field = try message.next() {
            if case (1, .bytes(let part)) = (field.number, field.value) {
                try export.resourceSpans(message.message(part))
            }
        }
        return export.spans
    }

    /// The resource may follow its spans on the wire, so spans are read in a second pass.
    private mutating func resourceSpans(_ message: ProtobufReader) throws(OTLPError) {
        var resource: OTLPSpan.Attributes = [:]
        var scopes: [Range<Int>] = []
        var fields = message
        while let field = try fields.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let part)):
                var inner = message.message(part)
                while let field = try inner.next() {
                    guard case (1, .bytes(let part)) = (field.number, field.value) else { continue }
                    _ = try Self.attribute(message.message(part), into: &resource)
                }
            case (2, .bytes(let part)): scopes.append(part)
            default: break
            }
        }
        for scope in scopes {
            var inner = message.message(scope)
            while let field = try inner.next() {
                guard case (2, .bytes(let part)) = (field.number, field.value) else { continue }
                guard spans.count < TraceExport.mostSpans else {
                    throw .tooManySpans(limit: TraceExport.mostSpans)
                }
                spans.append(try Self.span(message.message(part), resource: resource))
            }
        }
    }

    private static func span(
        _ message: ProtobufReader, resource: OTLPSpan.Attributes
    ) throws(OTLPError) -> OTLPSpan {
        var span = OTLPSpan()
        span.resource = resource
        var message = message
        while let field = try message.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let part)):
                let words = part.count == 16 ? message.bytes[part] : []
                (span.traceHigh, span.traceLow) = (word(words.prefix(8)), word(words.suffix(8)))
            case (2, .bytes(let part)): span.spanID = part.count == 8 ? word(message.bytes[part]) : 0
            case (6, .varint(let kind)): span.kind = Int64(truncatingIfNeeded: kind)
            case (7, .fixed64(let time)): span.start = time
            case (8, .fixed64(let time)): span.end = time
            case (9, .bytes(let part)):
                if try attribute(message.message(part), into: &span.attributes) { span.isGenAI = true }
            case (11, .bytes(let part)): try event(message.message(part), of: &span)
            case (15, .bytes(let part)):
                var inner = message.message(part)
                while let field = try inner.next() {
                    if case (3, .varint(let code)) = (field.number, field.value) {
                        span.status = Int64(truncatingIfNeeded: code)
                    }
                }
            default: break
            }
        }
        return span
    }

    private static func event(_ message: ProtobufReader, of span: inout OTLPSpan) throws(OTLPError) {
        var message = message
        var (time, name): (UInt64, String?) = (0, nil)
        while let field = try message.next() {
            switch (field.number, field.value) {
            case (1, .fixed64(let value)): time = value
            case (2, .bytes(let part)): name = message.text(part)
            default: break
            }
        }
        if let name { span.note(event: name, at: time) }
    }

    /// Reads a KeyValue and keeps it if it is known.
    ///
    /// - Returns: whether its name begins with `gen_ai.`.
    private static func attribute(
        _ message: ProtobufReader, into attributes: inout OTLPSpan.Attributes
    ) throws(OTLPError) -> Bool {
        var message = message
        var (key, value): (Range<Int>?, Range<Int>?)
        while let field = try message.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let part)): key = part
            case (2, .bytes(let part)): value = part
            default: break
            }
        }
        guard let key else { return false }
        let name = message.bytes[key]
        if let value {
            let known = unsafe name.withUnsafeBufferPointer { unsafe SpanAttribute.table.find($0)?.field }
            if let known, let read = try self.value(message.message(value)) { attributes[known] = read }
        }
        return name.starts(with: SpanAttribute.genAIPrefix.utf8)
    }

    /// Reads an AnyValue; of an array its first element, because the only lists wanted are as good as one value.
    private static func value(_ message: ProtobufReader, inArray: Bool = false) throws(OTLPError) -> OTLPSpan.Value? {
        var message = message
        var value: OTLPSpan.Value?
        while let field = try message.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let part)): value = message.text(part).map(OTLPSpan.Value.text)
            case (2, .varint(let flag)): value = .flag(flag != 0)
            case (3, .varint(let number)): value = .integer(Int64(bitPattern: number))
            case (4, .fixed64(let bits)): value = .number(Double(bitPattern: bits))
            case (5, .bytes(let part)) where !inArray:
                var array = message.message(part)
                value = nil
                while value == nil, let field = try array.next() {
                    guard case (1, .bytes(let part)) = (field.number, field.value) else { continue }
                    value = try self.value(message.message(part), inArray: true)
                }
            default: break
            }
        }
        return value
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}
