import ControlLoop
import Core
import Hummingbird
import Policy
import Synchronization

/// Who makes a request.
struct Identity: Sendable {
    let name: String
    let role: OperatorToken.Role
    let digest: String
    let byCookie: Bool
}

/// Finds the operator token of a request. Answers are remembered for a few seconds, refusals too, in a bounded cache.
final class Authenticator: Sendable {
    static let cookieName = "trimtab_session"
    /// A revoked token works for at most this long on another process, milliseconds.
    static let cacheLifeMs: Int64 = 5_000
    static let cacheLimit = 256

    private struct Entry {
        let token: OperatorToken?
        let until: Int64
    }
    private let store: any AdminStore
    private let hasher: KeyHasher
    private let now: @Sendable () -> Int64
    private let cache = Mutex<[String: Entry]>([:])

    init(store: any AdminStore, hasher: KeyHasher, now: @escaping @Sendable () -> Int64) {
        self.store = store
        self.hasher = hasher
        self.now = now
    }

    /// - Throws: `Problem` 401, or the store's errors.
    func identify(_ request: Request) async throws -> Identity {
        let secret: String
        let byCookie: Bool
        if let header = request.headers[.authorization] {
            let parts = header.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else {
                throw Problem.unauthorized("The Authorization header does not hold a bearer token.")
            }
            (secret, byCookie) = (String(parts[1]), false)
        } else if let cookie = request.cookies[Self.cookieName]?.value {
            (secret, byCookie) = (cookie, true)
        } else {
            throw Problem.unauthorized("This needs an operator token.")
        }
        guard let token = try await token(secret: secret) else {
            throw Problem.unauthorized("The token is not known or was revoked.")
        }
        return Identity(name: token.name, role: token.role, digest: token.digest, byCookie: byCookie)
    }

    func token(secret: String) async throws -> OperatorToken? {
        guard secret.utf8.count <= 256 else { return nil }
        return try await token(digest: hasher.digest(secret))
    }

    func token(digest: String) async throws -> OperatorToken? {
        let now = now()
        if let known = cache.withLock({ $0[digest] }), known.until > now { return known.token }
        let found = try await store.token(digest: digest)
        cache.withLock { entries in
            if entries.count >= Self.cacheLimit { entries = entries.filter { $0.value.until > now } }
            if entries.count >= Self.cacheLimit { entries.removeAll() }
            entries[digest] = Entry(token: found, until: now + Self.cacheLifeMs)
        }
        return found
    }

    /// Called when a token was made or revoked here.
    func forget() { cache.withLock { $0.removeAll() } }
}

/// Browsers send cookies with requests that other sites cause. A write by cookie must come from our own page: either
/// the browser says so, or the request carries a header that no other site can set without asking.
enum SameOrigin {
    static let header = "X-Trimtab-Console"

    static func require(_ request: Request) throws {
        func value(_ name: String) -> String? { HTTPFields.Element.Name(name).flatMap { request.headers[$0] } }
        let site = value("Sec-Fetch-Site")
        if site == "same-origin" || (site == nil && value(header) != nil) { return }
        throw Problem(
            status: 403, code: "auth.cross_site",
            detail: "A write with the console's cookie must come from the console.",
            remedy: "Send a bearer token, or the header \(header).")
    }
}
