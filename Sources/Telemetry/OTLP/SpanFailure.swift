/// What a span says of how its request went.
enum SpanFailure {
    private static let error: Int64 = 2

    /// Sets outcome, status and error class.
    static func note(of span: OTLPSpan, in record: inout RequestRecord) {
        let type = span.text(.errorType)
        let given = span.count(.httpStatus) ?? span.count(.oldHTTPStatus) ?? type.flatMap { Int($0) }
        let status = given.flatMap { (100...599).contains($0) ? $0 : nil }
        if let status { record.status = status }
        guard span.status == error || type != nil || (status ?? 0) >= 400 else { return }
        let lowered = type?.lowercased() ?? ""
        guard !lowered.contains("cancel") else {
            record.outcome = .clientGone
            return
        }
        let failure = errorClass(lowered) ?? status.flatMap(errorClass) ?? .server
        record.error = failure
        switch failure {
        case .timeoutConnect, .timeoutFirstByte, .timeoutIdle, .timeoutTotal: record.outcome = .timeout
        default: record.outcome = .upstreamError
        }
        if status ?? 0 < 400 { record.status = usualStatus(of: failure) }
    }

    /// Parts of the names that SDKs give their exceptions, the telling ones first.
    private static let words: [(String, ErrorClass)] = [
        ("ratelimit", .rateLimited), ("rate_limit", .rateLimited), ("toomanyrequests", .rateLimited),
        ("quota", .quota), ("content_filter", .contentFilter), ("contentfilter", .contentFilter),
        ("timeout", .timeoutTotal), ("timed_out", .timeoutTotal), ("deadline", .timeoutTotal),
        ("authentication", .auth), ("permission", .auth), ("unauthorized", .auth), ("forbidden", .auth),
        ("overloaded", .overloaded), ("unavailable", .overloaded), ("badrequest", .badRequest),
        ("bad_request", .badRequest), ("notfound", .badRequest), ("unprocessable", .badRequest),
        ("invalid", .badRequest), ("ssl", .tls), ("certificate", .tls), ("gaierror", .dns),
        ("refused", .refused), ("reset", .reset), ("connection", .reset), ("connect", .refused),
    ]

    private static func errorClass(_ type: String) -> ErrorClass? { words.first { type.contains($0.0) }?.1 }

    private static func errorClass(_ status: Int) -> ErrorClass? {
        switch status {
        case ..<400: nil
        case 401, 403: .auth
        case 402: .quota
        case 408, 504: .timeoutTotal
        case 429: .rateLimited
        case 400..<500: .badRequest
        case 503, 529: .overloaded
        default: .server
        }
    }

    /// For a failure whose span names no status: what a provider would have answered.
    private static func usualStatus(of failure: ErrorClass) -> Int {
        switch failure {
        case .auth: 401
        case .quota: 402
        case .rateLimited: 429
        case .badRequest, .contentFilter: 400
        case .overloaded: 503
        case .timeoutConnect, .timeoutFirstByte, .timeoutIdle, .timeoutTotal: 504
        default: 502
        }
    }
}
