package import Core

/// A later judgement about one request; idempotent by `id`, several names per request.
package struct Feedback: Sendable, Equatable {
    /// The name that objectives and guardrails read.
    package static let quality = "quality"

    package var id: UUIDv7
    package var request: UUIDv7
    /// Milliseconds since the epoch; never moves the watermark.
    package var at: Int64
    /// `[a-z][a-z0-9_]{0,63}`; `quality` is what objectives and guardrails read.
    package var name: String
    /// 0...1, higher is better.
    package var value: Double
    package var source: Source
    package var pair: UUIDv7?
    package var comment: String?
    /// Name of the virtual key that said so; it may only speak of its own requests. `nil`: an operator.
    package var key: String?
    package var producer = ""
    package var seq: Int64 = 0

    package enum Source: String, Sendable, Codable, CaseIterable { case user, check, judge, outcome }

    package init(id: UUIDv7, request: UUIDv7, at: Int64, name: String, value: Double, source: Source) {
        self.id = id
        self.request = request
        self.at = at
        self.name = name
        self.value = value
        self.source = source
    }
}

/// One event of the log.
package enum LogEvent: Sendable, Equatable {
    case request(RequestRecord)
    case feedback(Feedback)

    /// The id that decides the partition.
    package var bucketID: UUIDv7 {
        switch self {
        case .request(let record): record.shadowOf ?? record.id
        case .feedback(let feedback): feedback.request
        }
    }

    /// Milliseconds since the epoch.
    package var at: Int64 {
        switch self {
        case .request(let record): record.at
        case .feedback(let feedback): feedback.at
        }
    }

    package var kind: Kind {
        switch self {
        case .request: .request
        case .feedback: .feedback
        }
    }

    /// The value of the `kind` header.
    package enum Kind: String, Sendable, CaseIterable { case request, feedback }
}
