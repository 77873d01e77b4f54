/// A token bucket that may go into debt: an export is taken whole when any token is there, and paid for later.
struct TokenBucket: Sendable {
    private let perSecond: Double
    private let capacity: Double
    private var tokens: Double
    private var filledAt: ContinuousClock.Instant

    /// Holds two seconds' worth.
    init(perSecond: Int, now: ContinuousClock.Instant) {
        self.perSecond = Double(perSecond)
        capacity = 2 * Double(perSecond)
        tokens = capacity
        filledAt = now
    }

    /// How long to wait for a token; zero if there is one.
    mutating func wait(now: ContinuousClock.Instant) -> Duration {
        tokens = min(capacity, tokens + (now - filledAt) / .seconds(1) * perSecond)
        filledAt = now
        return tokens > 0 ? .zero : .seconds((1 - tokens) / perSecond)
    }

    mutating func take(_ count: Int) { tokens -= Double(count) }
}

/// Keeps exporters away while the local log cannot take what they send, so that they keep it and come back.
///
/// The first pause is a second; it doubles while attempts go on failing.
struct Breaker: Sendable {
    static let firstPause = Duration.seconds(1)
    static let longestPause = Duration.seconds(30)

    private var pause = firstPause
    private var openUntil: ContinuousClock.Instant?

    /// How long it stays open; zero if it is closed.
    func wait(now: ContinuousClock.Instant) -> Duration { openUntil.map { max(.zero, $0 - now) } ?? .zero }

    mutating func trip(now: ContinuousClock.Instant) {
        // What was under way when it opened is no new evidence.
        guard wait(now: now) == .zero else { return }
        openUntil = now + pause
        pause = min(pause * 2, Self.longestPause)
    }

    mutating func succeed(now: ContinuousClock.Instant) {
        guard wait(now: now) == .zero else { return }
        pause = Self.firstPause
    }
}
