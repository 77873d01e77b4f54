import Hummingbird
import Telemetry

/// Why an export is not taken as a whole.
struct ExportRefusal: Error {
    var status: HTTPResponse.Status
    /// Of google.rpc.Code.
    var code: Int
    var message: String
    var result: ExportResult?
    var header: (name: HTTPFields.Element.Name, value: String)?

    static func noSuchPath(_ path: String) -> Self {
        Self(
            status: .notFound, code: 5, message: "There is nothing at '\(path.prefix(128))'. There is POST /v1/traces.")
    }

    static var notAllowed: Self {
        Self(status: .methodNotAllowed, code: 12, message: "Use POST.", header: (.allow, "POST"))
    }

    static func unauthorized(_ message: String) -> Self {
        Self(
            status: .unauthorized, code: 16, message: message, result: .unauthorized,
            header: (.wwwAuthenticate, "Bearer"))
    }

    static func contentType(_ type: String?) -> Self {
        Self(
            status: .unsupportedMediaType, code: 3,
            message:
                "The content type is '\(type?.prefix(128) ?? "")'. Send application/x-protobuf or application/json.",
            result: .unsupported)
    }

    static func contentEncoding(_ name: String) -> Self {
        Self(
            status: .unsupportedMediaType, code: 3,
            message: "The content encoding is '\(name.prefix(128))'. Send gzip, or none.", result: .unsupported)
    }

    static func malformed(_ message: String) -> Self {
        Self(status: .badRequest, code: 3, message: message, result: .malformed)
    }

    static func tooLarge(_ limit: Int) -> Self {
        Self(
            status: .contentTooLarge, code: 3,
            message: "An export may have \(limit) bytes (collector.otlp_http.body_bytes). Send smaller batches.",
            result: .tooLarge)
    }

    static func export(_ error: OTLPError) -> Self {
        switch error {
        case .malformed: malformed("\(error)")
        case .tooManySpans:
            Self(
                status: .contentTooLarge, code: 3, message: "\(error) Send smaller batches.", result: .tooLarge)
        }
    }

    static var busy: Self {
        later(
            .tooManyRequests, 8, "\(ExportEndpoint.mostExports) exports are being taken; send again later.",
            .rateLimited, .seconds(1))
    }

    static var notReady: Self {
        later(.serviceUnavailable, 14, "The keys are not known yet; send again later.", .unavailable, .seconds(1))
    }

    static func later(_ refusal: SpanIngest.Refusal) -> Self {
        switch refusal {
        case .rateLimited(let wait):
            later(
                .tooManyRequests, 8, "More spans came than collector.spans_per_s allows; send again later.",
                .rateLimited, wait)
        case .unavailable(let wait):
            later(
                .serviceUnavailable, 14, "The event log cannot take records now; send again later.", .unavailable, wait)
        }
    }

    private static func later(
        _ status: HTTPResponse.Status, _ code: Int, _ message: String, _ result: ExportResult, _ wait: Duration
    ) -> Self {
        let seconds = max(1, Int((wait / .seconds(1)).rounded(.up)))
        return Self(
            status: status, code: code, message: message, result: result, header: (.retryAfter, "\(seconds)"))
    }
}
