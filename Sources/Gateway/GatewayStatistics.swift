package import Telemetry

/// Counters since the start, and gauges of now. A few milliseconds old, since every event loop publishes its own.
package struct GatewayStatistics: Sendable, Equatable {
    /// Ended chat requests.
    package var requests: [Outcome: Int] = [:]
    package var errors: [ErrorClass: Int] = [:]
    package var feedback = 0
    package var fallbacks = 0
    /// Pooled connections that the upstream had closed and a request was sent again on a fresh one.
    package var staleRetries = 0
    package var upstreamConnects = 0
    /// Copies of requests that a candidate has answered or failed to.
    package var mirrored = 0
    /// Copies that were not sent, since there was no room for them.
    package var mirrorsDropped = 0
    package var overhead = Overhead()

    package var inFlight = 0
    package var clientConnections = 0
    package var upstreamConnections = 0
    /// Requests that wait for a connection to a provider.
    package var waiting = 0

    package init() {}

    /// The gateway's own share of a request's time, as a histogram.
    package struct Overhead: Sendable, Equatable {
        /// Upper bounds in milliseconds; the last bucket has none.
        package static let boundsMs: [Double] = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 100]
        package var counts = [Int](repeating: 0, count: boundsMs.count + 1)
        package var sumMs = 0.0

        mutating func add(_ ms: Double) {
            counts[Self.boundsMs.firstIndex { ms <= $0 } ?? Self.boundsMs.count] += 1
            sumMs += ms
        }
    }

    static func + (a: Self, b: Self) -> Self {
        var sum = a
        sum.requests.merge(b.requests, uniquingKeysWith: +)
        sum.errors.merge(b.errors, uniquingKeysWith: +)
        sum.feedback += b.feedback
        sum.fallbacks += b.fallbacks
        sum.staleRetries += b.staleRetries
        sum.upstreamConnects += b.upstreamConnects
        sum.mirrored += b.mirrored
        sum.mirrorsDropped += b.mirrorsDropped
        for index in sum.overhead.counts.indices { sum.overhead.counts[index] += b.overhead.counts[index] }
        sum.overhead.sumMs += b.overhead.sumMs
        sum.inFlight += b.inFlight
        sum.clientConnections += b.clientConnections
        sum.upstreamConnections += b.upstreamConnections
        sum.waiting += b.waiting
        return sum
    }
}
