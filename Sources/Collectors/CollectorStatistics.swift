package import Telemetry

/// Where an export came from.
package enum CollectorSource: String, Sendable, CaseIterable {
    case http = "otlp_http"
    case kafka
}

/// What became of a span.
package enum SpanResult: String, Sendable, CaseIterable { case accepted, duplicate, ignored, rejected }

/// What became of an export.
package enum ExportResult: String, Sendable, CaseIterable {
    case stored, malformed, unauthorized, unsupported, unavailable
    case tooLarge = "too_large"
    case rateLimited = "rate_limited"
}

/// Counts since the start, and what there is now.
package struct CollectorStatistics: Sendable {
    package var spans: [CollectorSource: [SpanResult: Int]] = [:]
    package var rejections: [SpanMapping.Rejection: Int] = [:]
    package var exports: [CollectorSource: [ExportResult: Int]] = [:]
    package var isOpen = false
    /// Records of the topic not read yet, by partition.
    package var lag: [Int: Int64] = [:]
    /// Payloads that could not be kept as dead letters.
    package var lostDeadLetters = 0

    package init() {}
}
