import NIOCore
import NIOPosix
import NIOSSL
import Telemetry

/// Why an attempt gave no answer.
struct UpstreamFailure {
    var error: ErrorClass
    /// The status that the provider answered with, if it did.
    var status: Int?

    init(error: ErrorClass, status: Int? = nil) {
        self.error = error
        self.status = status
    }

    /// While connecting.
    init(connecting error: any Error) {
        switch error {
        case let error as NIOConnectionError:
            if error.connectionErrors.isEmpty {
                self.init(error: .dns)
            } else {
                self.init(connecting: error.connectionErrors[0].error)
            }
        case ChannelError.connectTimeout: self.init(error: .timeoutConnect)
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: self.init(error: .tls)
        case is SocketAddressError: self.init(error: .dns)
        default: self.init(error: .refused)
        }
    }

    /// On a connection that is there.
    init(_ error: any Error, secured: Bool) {
        self.init(error: error is HTTPFault ? .protocol : secured ? .reset : .tls)
    }

    /// What a status says; `nil` for one that is an answer.
    static func of(status: Int) -> UpstreamFailure? {
        let error: ErrorClass
        switch status {
        case 200..<300: return nil
        case 401, 403: error = .auth
        case 402: error = .quota
        case 408: error = .server
        case 429: error = .rateLimited
        case 400..<500: error = .badRequest
        case 503, 529: error = .overloaded
        case 500...: error = .server
        default: error = .protocol
        }
        return UpstreamFailure(error: error, status: status)
    }

    /// What the provider's own words say more exactly than its status.
    func explained(by body: ByteBuffer) -> UpstreamFailure {
        var failure = self
        if error == .rateLimited, body.contains("insufficient_quota") { failure.error = .quota }
        if error == .badRequest, body.contains("content_filter") || body.contains("content_policy") {
            failure.error = .contentFilter
        }
        return failure
    }

    /// - Parameter begun: whether an answer had begun.
    func outcome(begun: Bool) -> Outcome {
        switch error {
        case .timeoutConnect, .timeoutFirstByte, .timeoutIdle, .timeoutTotal: .timeout
        case .localLimit: .rejected
        case .reset where begun: .upstreamCut
        default: .upstreamError
        }
    }

    /// Whether another target may fare better. A request that is wrong is wrong everywhere.
    var mayFallBack: Bool { error != .badRequest && error != .contentFilter }

    /// What the client gets when no answer of the provider's can be passed on.
    func refusal(provider: String) -> Refusal {
        let (status, code, message): (Int, StaticString, String) =
            switch error {
            case .dns: (502, "upstream_dns", "The address of provider '\(provider)' could not be found.")
            case .refused: (502, "upstream_refused", "Provider '\(provider)' did not accept a connection.")
            case .tls: (502, "upstream_tls", "No secure connection to provider '\(provider)' could be made.")
            case .reset: (502, "upstream_cut", "Provider '\(provider)' closed the connection before it had answered.")
            case .auth: (502, "upstream_auth", "Provider '\(provider)' does not accept the gateway's credentials.")
            case .protocol:
                (502, "upstream_protocol", "Provider '\(provider)' answered with something that is not an answer.")
            case .timeoutConnect: (504, "upstream_timeout", "Connecting to provider '\(provider)' took too long.")
            case .timeoutFirstByte: (504, "upstream_timeout", "Provider '\(provider)' did not begin to answer in time.")
            case .timeoutIdle: (504, "upstream_timeout", "Provider '\(provider)' stopped in the middle of an answer.")
            case .timeoutTotal: (504, "upstream_timeout", "The answer took longer than this route allows.")
            case .localLimit: (503, "overloaded", "Too many requests wait for provider '\(provider)'.")
            case .rateLimited, .quota, .overloaded, .badRequest, .contentFilter, .server, .localBudget:
                (502, "upstream_error", "Provider '\(provider)' could not answer.")
            }
        return Refusal(
            status: status, code: code, message: message, type: "server_error", error: error,
            header: error == .localLimit ? "retry-after: 1\r\n" : nil)
    }
}
