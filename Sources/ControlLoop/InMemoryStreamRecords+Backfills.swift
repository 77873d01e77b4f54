import Statistics
import StreamProcessing

extension InMemoryStreamRecords {
    /// Keeps what a backfill is; its results come with `add(_:job:topic:owner:now:)`.
    package func add(_ backfill: Backfill) { jobs[backfill.job] = backfill }

    package func backfills() -> [Backfill] { jobs.values.sorted { $0.job < $1.job } }

    package func deleteBackfill(_ job: String, by actor: String, now: Int64) throws {
        guard jobs.removeValue(forKey: job) != nil else { throw BackfillFault.missing(job) }
        held[job] = nil
        parts = parts.filter { $0.key.job != job }
        audit(actor, "backfill.delete", subject: job, detail: "", now: now)
    }

    package func compareBackfill(_ job: String, limit: Int) throws -> BackfillComparison {
        guard let backfill = jobs[job] else { throw BackfillFault.missing(job) }
        let starts = Dictionary(backfill.definitions.map { ($0.name, $0.wholeFrom) }) { first, _ in first }
        let lies = { (window: Window, name: String) in
            window.end <= backfill.range.upperBound && window.start >= starts[name] ?? .max
        }
        var sides: [Place: (live: Side?, again: Side?)] = [:]
        for (part, result) in parts.sorted(by: { $0.key.delta < $1.key.delta })
        where lies(part.id.window, part.id.key.window) {
            let place = Place(id: part.id, partition: part.partition)
            if part.job == job {
                sides[place, default: (nil, nil)].again = (sides[place]?.again ?? Side()).adding(result)
            } else if !part.job.hasPrefix(StreamJob.backfillPrefix) {
                sides[place, default: (nil, nil)].live = (sides[place]?.live ?? Side()).adding(result)
            }
        }
        var comparison = BackfillComparison()
        for (place, both) in sides.sorted(by: { ($0.key.id, $0.key.partition) < ($1.key.id, $1.key.partition) }) {
            let verdict = verdict(both.live, both.again, watermark(backfill.topic, place.partition))
            comparison.counts[verdict, default: 0] += 1
            guard ![.equal, .notFinal].contains(verdict), comparison.differences.count < limit else { continue }
            comparison.differences.append(
                .init(
                    id: place.id, partition: place.partition, verdict: verdict, live: both.live?.figures,
                    backfill: both.again?.figures))
        }
        return comparison
    }

    private func watermark(_ topic: String, _ partition: Int) -> Int64? {
        held.values.compactMap { $0[partition] }
            .filter { $0.topic == topic && !$0.job.hasPrefix(StreamJob.backfillPrefix) }.compactMap(\.watermark).max()
    }

    private func verdict(_ live: Side?, _ again: Side?, _ watermark: Int64?) -> BackfillComparison.Verdict {
        if let live, let again, live.aggregate == again.aggregate { return .equal }
        let closesAt = max(live?.closesAt ?? .min, again?.closesAt ?? .min)
        guard let watermark, closesAt <= watermark else { return .notFinal }
        return live == nil ? .onlyBackfill : again == nil ? .onlyLive : .differing
    }
}

private struct Place: Hashable {
    var id: WindowID
    var partition: Int
}

private struct Side {
    var aggregate: WindowAggregate?
    var closesAt = Int64.min

    func adding(_ result: WindowResult) -> Side {
        var sum = self
        sum.closesAt = max(closesAt, result.closesAt)
        if sum.aggregate == nil { sum.aggregate = result.aggregate } else { sum.aggregate?.merge(result.aggregate) }
        return sum
    }

    var figures: BackfillComparison.Figures? {
        aggregate.map { .init(requests: $0.requests, failures: $0.failures, costNanoUSD: $0.cost.sum) }
    }
}
