import Core
package import EventLog
package import Policy
import Synchronization
package import Telemetry

/// Takes spans into the local log, whatever way they came: maps them, prices them, drops those that were here before.
///
/// A span counts as here once its record is in the log's queue; `settle` says whether the log's file has it.
package final class SpanIngest: Sendable {
    /// Why an export is not taken now; its sender keeps it and tries again.
    package enum Refusal: Error, Sendable, Equatable {
        case rateLimited(Duration)
        case unavailable(Duration)
    }

    package struct Receipt: Sendable, Equatable {
        package var accepted = 0
        package var duplicates = 0
        package var ignored = 0
        package var rejections: [SpanMapping.Rejection: Int] = [:]
        package var rejected: Int { rejections.values.reduce(0, +) }
    }

    private struct State: Sendable {
        var recent: RecentIDs
        var bucket: TokenBucket
        var breaker = Breaker()
        var directory: CollectorDirectory?
        var statistics = CollectorStatistics()
        /// Unread records that the log had dropped to make room, when last looked at.
        var evicted: Int64 = 0
    }

    /// Records given to the log at once, at most.
    private static let chunk = 1_000

    private let log: LocalLog
    private let mapping: SpanMapping
    private let state: Mutex<State>

    /// - Parameter remembered: span ids remembered at least.
    package init(log: LocalLog, settings: CollectorSettings, remembered: Int? = nil) {
        self.log = log
        mapping = SpanMapping(defaultRoute: settings.defaultRoute)
        state = Mutex(
            State(
                recent: RecentIDs(bound: remembered ?? RecentIDs.usualBound),
                bucket: TokenBucket(perSecond: settings.spansPerSecond, now: .now)))
    }

    package func update(_ directory: CollectorDirectory) { state.withLock { $0.directory = directory } }

    package var statistics: CollectorStatistics {
        state.withLock { state in
            state.statistics.isOpen = state.breaker.wait(now: .now) > .zero
            return state.statistics
        }
    }

    var directory: CollectorDirectory? { state.withLock { $0.directory } }

    func count(_ result: ExportResult, of source: CollectorSource) {
        state.withLock { $0.statistics.exports[source, default: [:]][result, default: 0] += 1 }
    }

    func note(lag: [Int: Int64]) { state.withLock { $0.statistics.lag = lag } }
    func noteLostDeadLetters(_ count: Int) { state.withLock { $0.statistics.lostDeadLetters += count } }

    /// Whether an export may come now.
    package func admit() throws(Refusal) {
        let log = log.statistics
        let (open, limited) = state.withLock { state in
            let now = ContinuousClock.now
            let evicted = log.dropped[.maxBytes] ?? 0
            // The log cannot write, or has to drop what nobody has read yet.
            let isFailing = log.lastError != nil && log.written < log.appended
            if isFailing || evicted > state.evicted { state.breaker.trip(now: now) }
            state.evicted = evicted
            return (state.breaker.wait(now: now), state.bucket.wait(now: now))
        }
        if open > .zero { throw .unavailable(open) }
        if limited > .zero { throw .rateLimited(limited) }
    }

    /// Puts the records of these spans into the log's queue, in their order.
    ///
    /// - Parameter key: who sent them; `nil` for a source that is trusted as it is.
    /// - Throws: `Refusal` when the log has no room; what was taken before is known as a duplicate when it comes again.
    package func take(
        _ spans: [OTLPSpan], from source: CollectorSource, key: VirtualKey?
    ) async throws(Refusal) -> Receipt {
        var receipt = Receipt()
        let directory = directory
        state.withLock { $0.bucket.take(spans.count) }
        var rest = spans[...]
        let chunk = min(Self.chunk, log.resenderLimit)
        while !rest.isEmpty {
            let records = rest.prefix(chunk).compactMap { map($0, key: key, directory: directory, &receipt) }
            rest = rest.dropFirst(chunk)
            if !append(records, from: source, &receipt) {
                // A burst may fill the queue faster than it is written.
                guard await log.waitUntilWritten(), append(records, from: source, &receipt) else { throw trip() }
            }
        }
        state.withLock { state in
            var counts = state.statistics.spans[source, default: [:]]
            counts[.ignored, default: 0] += receipt.ignored
            counts[.rejected, default: 0] += receipt.rejected
            state.statistics.spans[source] = counts
            state.statistics.rejections.merge(receipt.rejections, uniquingKeysWith: +)
        }
        return receipt
    }

    /// Waits until the log's file has what was taken, duplicates included, whose first arrival may still be on its way.
    package func settle() async throws(Refusal) {
        guard await log.waitUntilWritten() else { throw trip() }
        state.withLock { $0.breaker.succeed(now: .now) }
    }

    private func trip() -> Refusal {
        let wait = state.withLock { state in
            state.breaker.trip(now: .now)
            return state.breaker.wait(now: .now)
        }
        return .unavailable(wait)
    }

    private func map(
        _ span: OTLPSpan, key: VirtualKey?, directory: CollectorDirectory?, _ receipt: inout Receipt
    ) -> RequestRecord? {
        switch mapping.map(span) {
        case .ignored: receipt.ignored += 1
        case .rejected(let reason): receipt.rejections[reason, default: 0] += 1
        case .record(var record, let alternative):
            record.key = key?.name
            record.project = key?.project
            if let key, let owner = directory?.projects[record.route], owner != key.project {
                receipt.rejections[.forbiddenRoute, default: 0] += 1
                return nil
            }
            if let prices = directory?.prices { record.price(by: prices, alternative: alternative) }
            return record
        }
        return nil
    }

    /// Appends those that are new and remembers them: both or neither.
    private func append(_ records: [RequestRecord], from source: CollectorSource, _ receipt: inout Receipt) -> Bool {
        let accepted: Int? = state.withLock { state in
            var fresh: [LogEvent] = []
            var ids: Set<UUIDv7> = []
            for record in records where !state.recent.contains(record.id) && ids.insert(record.id).inserted {
                fresh.append(.request(record))
            }
            guard fresh.isEmpty || log.append(all: fresh) else { return nil }
            // In their order, so that the oldest are forgotten first.
            for record in records where ids.remove(record.id) != nil { state.recent.remember(record.id) }
            var counts = state.statistics.spans[source, default: [:]]
            counts[.accepted, default: 0] += fresh.count
            counts[.duplicate, default: 0] += records.count - fresh.count
            state.statistics.spans[source] = counts
            return fresh.count
        }
        guard let accepted else { return false }
        receipt.accepted += accepted
        receipt.duplicates += records.count - accepted
        return true
    }
}

extension RequestRecord {
    /// Works out the cost as the gateway does, if tokens and price are known: by the model asked for, else by the one
    /// that answered.
    mutating func price(by book: PriceBook, alternative: String?) {
        guard let tokens, let provider, let model else { return }
        let found = [model, alternative].compactMap { $0.flatMap { book["\(provider)/\($0)"] } }.first
        guard let price = found else { return }
        cost = price.cost(
            input: tokens.input, cachedRead: tokens.cachedRead, cacheWrite: tokens.cacheWrite, output: tokens.output)
        self.price = book.id
    }
}
