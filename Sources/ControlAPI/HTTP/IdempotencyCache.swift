import Core
import Hummingbird
import NIOCore
import Policy
import Synchronization

/// Gives a repeated creation the answer of the first. Kept in memory for ten minutes, so a restart forgets.
final class IdempotencyCache: Sendable {
    static let limit = 1_000
    static let life: Duration = .seconds(600)

    private struct Entry {
        let request: UInt64
        let at: ContinuousClock.Instant
        /// `nil` while the first is still at work.
        var response: Response?
    }
    private let entries = Mutex<[String: Entry]>([:])

    /// - Throws: `Problem` when the key is in use for something else or the first request is still at work.
    func run(key: String, call: Call, _ body: () async throws -> Response) async throws -> Response {
        guard (1...255).contains(key.utf8.count) else {
            throw Problem.invalid([.init("Idempotency-Key", "A key has 1 to 255 bytes.")])
        }
        let place = "\(call.actor)\n\(key)"
        let what = call.body.withUnsafeBytes { Hash64.hash($0, salt: Hash64.hash(call.request.uri.path, salt: 0)) }
        if let known = try claim(place, what) { return known }
        do {
            let response = try await body()
            entries.withLock { $0[place]?.response = response }
            return response
        } catch {
            entries.withLock { _ = $0.removeValue(forKey: place) }
            throw error
        }
    }

    private func claim(_ place: String, _ what: UInt64) throws -> Response? {
        let now = ContinuousClock.now
        return try entries.withLock { entries in
            if let known = entries[place], known.at + Self.life > now {
                guard known.request == what else {
                    throw Problem.invalid([.init("Idempotency-Key", "This key was used for another request.")])
                }
                guard let response = known.response else {
                    throw Problem(
                        status: 409, code: "request.conflict", detail: "The first request with this key is at work.",
                        remedy: "Try again in a moment.")
                }
                return response
            }
            if entries.count >= Self.limit { entries = entries.filter { $0.value.at + Self.life > now } }
            if entries.count >= Self.limit, let oldest = entries.min(by: { $0.value.at < $1.value.at }) {
                entries.removeValue(forKey: oldest.key)
            }
            entries[place] = Entry(request: what, at: now)
            return nil
        }
    }
}
