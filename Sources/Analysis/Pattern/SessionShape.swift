import Core
import Statistics

/// How long conversations are, by day, and whether yesterday was unlike the days before.
struct SessionShape: Codable, Sendable, Equatable {
    private static let dayMs: Int64 = 86_400_000
    private static let days = 15
    /// Days of past without which nothing is unusual.
    private static let fewestDays = 7
    /// Requests of a day without which it says nothing.
    private static let fewest = 200.0

    private var ring = TimeRing<Day>(slotMs: dayMs, capacity: days)
    private var newest: Int64?
    private(set) var found: [Change] = []

    private struct Day: Summable {
        /// Sum of messages and of the requests they are of.
        var messages = 0.0
        var prompts = 0.0
        /// Requests of sessions, and sessions by window: a session in two windows counts twice.
        var requests = 0.0
        var sessions = 0.0
        mutating func merge(_ other: Day) {
            messages += other.messages
            prompts += other.prompts
            requests += other.requests
            sessions += other.sessions
        }
    }

    struct Change: Codable, Sendable, Equatable {
        var shape: Shape
        var before: Double
        var now: Double
        /// Relative, with the 95 % interval of a day's chance.
        var change: Interval
        var confidence: Double
        var day: Int64
        var medianMessages: Double?
        var p95Messages: Double?
    }

    enum Shape: String, Codable, Sendable { case messages, requests }

    /// Takes in a window's moments and sketch of messages, its requests and its sessions.
    mutating func add(_ messages: Lengths, requests: Int64, sessions: Double, at ms: Int64) {
        if let newest, ms / Self.dayMs > newest { close(messages) }
        newest = max(newest ?? 0, ms / Self.dayMs)
        ring.add(
            Day(
                messages: messages.sum, prompts: Double(messages.count), requests: sessions > 0 ? Double(requests) : 0,
                sessions: sessions), at: ms)
    }

    /// Messages of the requests of a window.
    struct Lengths {
        var sum: Double
        var count: Int64
        var p50: Double?
        var p95: Double?
    }

    private mutating func close(_ latest: Lengths) {
        let days = ring.newest(Self.days)
        found = [
            Self.change(.messages, days.map { $0.prompts >= Self.fewest ? $0.messages / $0.prompts : nil }),
            Self.change(.requests, days.map { $0.requests >= Self.fewest ? $0.requests / $0.sessions : nil }),
        ].compactMap { $0 }
        for place in found.indices {
            found[place].day = newest ?? 0
            (found[place].medianMessages, found[place].p95Messages) = (latest.p50, latest.p95)
        }
    }

    /// The last of the days beside those before: outside of the 99.9 % prediction interval of their logarithm.
    private static func change(_ shape: Shape, _ days: [Double?]) -> Change? {
        guard let last = days.last ?? nil, last > 0 else { return nil }
        var past = Moments()
        for case let day? in days.dropLast() where day > 0 { past.add(logarithm(day)) }
        guard past.n >= fewestDays, let mean = past.mean, let variance = past.variance else { return nil }
        // Days are never so alike that a percent could not be chance.
        let error = max(variance.squareRoot(), 0.01) * (1 + 1 / Double(past.n)).squareRoot()
        let degrees = Double(past.n - 1), off = logarithm(last) - mean
        let t = off / error
        let confidence = 1 - regularizedBeta(degrees / (degrees + t * t), degrees / 2, 0.5)
        guard confidence >= 0.999 else { return nil }
        let half = studentQuantile(0.975, degrees: degrees) * error
        func relative(_ x: Double) -> Double { exponential(x) - 1 }
        return Change(
            shape: shape, before: exponential(mean), now: last,
            change: Interval(estimate: relative(off), lower: relative(off - half), upper: relative(off + half)),
            confidence: confidence, day: 0)
    }
}
