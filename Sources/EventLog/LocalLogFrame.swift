import Core
import Telemetry

/// How records lie in a batch's blob, one after the other: kind (1 byte), bucket (2), length (4), JSON; little-endian.
enum LocalLogFrame {
    static let prefix = 7

    /// Appends one event; its JSON is written in place and its length filled in afterwards.
    static func append(_ event: LogEvent, as numbering: EventEncoder.Numbering, to payload: inout [UInt8]) {
        let start = payload.count
        let bucket = event.bucketID.bucket
        payload.append(event.kind.code)
        payload.append(UInt8(truncatingIfNeeded: bucket))
        payload.append(UInt8(truncatingIfNeeded: bucket >> 8))
        payload.append(contentsOf: repeatElement(0, count: 4))
        EventEncoder.encode(event, as: numbering, into: &payload)
        let length = UInt32(payload.count - start - prefix)
        for index in 0..<4 { payload[start + 3 + index] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(index))) }
    }

    /// Copies the records of `payload` from `wanted` on into the batch.
    ///
    /// - Returns: `false` if a length points outside the blob; what lies before it was copied.
    static func append(
        _ payload: UnsafeRawBufferPointer, baseOffset: Int64, from wanted: Int64, to batch: inout EventBatch
    ) -> Bool {
        var at = 0
        var offset = baseOffset
        let shift = batch.bytes.count
        var copied = 0
        while at < payload.count {
            guard at + prefix <= payload.count else { return false }
            let length = Int(UInt32(littleEndian: payload.loadUnaligned(fromByteOffset: at + 3, as: UInt32.self)))
            let end = at + prefix + length
            guard end <= payload.count else { return false }
            if offset < wanted {
                copied = end
            } else {
                let lower = shift + at + prefix - copied
                batch.entries.append(
                    .init(offset: offset, kind: LogEvent.Kind(code: payload[at]), range: lower..<(lower + length)))
            }
            offset += 1
            at = end
        }
        batch.bytes.append(contentsOf: payload[copied...])
        return true
    }

    /// The bucket of a record in a batch that came from the local log.
    static func bucket(of entry: EventBatch.Entry, in batch: EventBatch) -> UInt16 {
        let at = entry.range.lowerBound - prefix + 1
        return UInt16(batch.bytes[at]) | UInt16(batch.bytes[at + 1]) << 8
    }
}

extension LogEvent.Kind {
    fileprivate var code: UInt8 {
        switch self {
        case .request: 1
        case .feedback: 2
        }
    }

    fileprivate init?(code: UInt8) {
        guard let kind = Self.allCases.first(where: { $0.code == code }) else { return nil }
        self = kind
    }
}
