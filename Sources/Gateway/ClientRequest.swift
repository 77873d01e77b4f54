import Core
import NIOCore
import Policy

/// One request of a client as far as it has been read.
struct ClientRequest {
    enum Endpoint { case chat, models, feedback, health, none }

    var endpoint: Endpoint
    var started: NIODeadline
    /// Milliseconds since the epoch.
    var startedAt: Int64
    let head: HTTPHead
    var caller = Caller.anonymous
    var body = ByteBuffer()
    /// Decided by the headers; answered when the body has been read and thrown away.
    var refusal: Refusal?
    var keepAlive: Bool
    /// HTTP/1.0 has no chunks.
    var takesChunks: Bool
    var isHead: Bool
    var bodyEnded = false
    var received = 0

    init(_ head: HTTPHead) {
        started = .now()
        startedAt = wallClock()
        self.head = head
        takesChunks = head.minor >= 1
        keepAlive = head.keepAlive
        var (method, target) = ("", "")
        if case .request(let first, let second) = head.start {
            (method, target) = (head.text(first), head.text(second))
        }
        isHead = method == "HEAD"
        (endpoint, refusal) = Self.route(method, target)
    }

    private static func route(_ given: String, _ target: String) -> (Endpoint, Refusal?) {
        let path = target.utf8.contains(UInt8(ascii: "?")) ? String(target.prefix { $0 != "?" }) : target
        let (endpoint, method): (Endpoint, String)
        switch path {
        case "/v1/chat/completions": (endpoint, method) = (.chat, "POST")
        case "/v1/models": (endpoint, method) = (.models, "GET")
        case "/v1/feedback": (endpoint, method) = (.feedback, "POST")
        case "/healthz": (endpoint, method) = (.health, "GET")
        default:
            return (
                .none,
                Refusal(
                    status: 404, code: "not_found",
                    message: "There is nothing at '\(path.prefix(128))'. There are POST /v1/chat/completions, "
                        + "GET /v1/models and POST /v1/feedback.")
            )
        }
        guard given != method else { return (endpoint, nil) }
        return (
            .none,
            Refusal(
                status: 405, code: "method_not_allowed", message: "Use \(method) for \(path).",
                header: method == "POST" ? "allow: POST\r\n" : "allow: GET\r\n")
        )
    }

    /// The secret of `Authorization: Bearer …`.
    var secret: String? {
        guard let value = head.string("authorization") else { return nil }
        let utf8 = value.utf8
        guard utf8.count > 7, utf8.prefix(7).elementsEqual("bearer ".utf8, by: { $0 | 0x20 == $1 }) else { return nil }
        return String(value.dropFirst(7))
    }

    mutating func append(_ bytes: ByteBuffer, limit: Int) -> Bool {
        received += bytes.readableBytes
        guard received <= limit else { return false }
        guard refusal == nil else { return true }
        if body.readableBytes == 0 {
            body = bytes
        } else {
            body.writeImmutableBuffer(bytes)
        }
        return true
    }
}

extension GatewayLoop {
    /// Who asks, or why not.
    func identify(_ request: ClientRequest) -> Result<Caller, RefusalError> {
        guard let secret = request.secret else {
            return settings.requireKeys ? .failure(RefusalError(.missingKey)) : .success(.anonymous)
        }
        guard let key = key(secret) else {
            return settings.requireKeys ? .failure(RefusalError(.unknownKey)) : .success(.anonymous)
        }
        return key.revokedAt == nil ? .success(.key(key)) : .failure(RefusalError(.revokedKey))
    }

    func makeID(_ milliseconds: Int64, bucket: UInt16? = nil) -> UUIDv7 {
        UUIDv7(milliseconds: milliseconds, bucket: bucket, using: &random)
    }
}

/// A refusal as a thrown error.
struct RefusalError: Error {
    let refusal: Refusal
    init(_ refusal: Refusal) { self.refusal = refusal }
}
