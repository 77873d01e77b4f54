package import Telemetry

extension PartitionProcessor {
    /// Reads and processes one record of the log where it lies in a batch's bytes. What cannot be read is a dead letter.
    ///
    /// - Parameters:
    ///   - kind: `nil` for a record that carries none, or one that this version does not know.
    ///   - part: Where the record lies; empty for one without content, which is passed over.
    package func process(
        _ bytes: [UInt8], _ part: Range<Int>, kind: LogEvent.Kind?, offset: Int64, now: Int64, decoder: EventDecoder
    ) {
        guard !part.isEmpty else { return skip(offset: offset) }
        // What is known already is not parsed again.
        guard offset >= position else { return skip(offset: offset) }
        guard let kind else {
            return reject(
                offset: offset, reason: .unknownKind, detail: "The header 'kind' must be request or feedback.",
                raw: bytes[part], now: now)
        }
        do {
            switch kind {
            case .request:
                try decoder.withRequest(bytes, part) { record in
                    process(record, offset: offset, now: now, raw: bytes[part])
                }
            case .feedback:
                if case .feedback(let feedback) = try decoder.decode(bytes, part, kind: .feedback) {
                    process(feedback, offset: offset, now: now)
                }
            }
        } catch {
            reject(
                offset: offset, reason: DeadLetter.Reason(error.reason), detail: error.detail, raw: bytes[part],
                now: now)
        }
    }
}

extension DeadLetter.Reason {
    package init(_ reason: EventError.Reason) {
        switch reason {
        case .malformedJSON: self = .malformedJSON
        case .missingField: self = .missingField
        case .badValue: self = .badValue
        case .repeatedField: self = .repeatedField
        case .unsupportedVersion: self = .unsupportedVersion
        }
    }
}
