import Core
import StreamProcessing
import Telemetry
import TestSupport

/// One history: workers over one log and one store, moved step by step by a seeded scheduler, with whatever can go
/// wrong between any two steps.
final class ModelWorld {
    let log: ModelLog
    let settings: StreamSettings
    private(set) var store: [MemoryPartition]
    /// Offsets that the stored states count as lost to retention.
    private(set) var skips: [[Range<Int64>]]
    private(set) var met: Set<ModelPoint> = []
    var trace: ((String) -> Void)?

    private var random: SplitMix64
    private var workers: [ModelWorker] = []
    private var group = ModelGroup()
    private var steady: Int64 = 0
    private var awayUntil: Int64 = 0
    /// Crashed and silent members, by when the group gives them up; then whether one lives and hears of it later.
    private var expiring: [(at: Int64, member: Int)] = []
    private var begins = Array(repeating: Int64(0), count: ModelLog.partitions)
    /// How many records can be read already.
    private var written = Array(repeating: 0, count: ModelLog.partitions)
    private var nextID = 0
    /// Nothing goes wrong any more.
    private var calm = false
    private let hasRetention: Bool
    /// How often something goes wrong in a step.
    private let roughness: Double

    init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        settings = ModelLog.settings(&random)
        log = ModelLog(seed: random.next(), count: 90)
        store = (0..<ModelLog.partitions).map { MemoryPartition(partition: $0) }
        skips = Array(repeating: [], count: ModelLog.partitions)
        hasRetention = seed % 5 == 0
        roughness = [0.01, 0.04, 0.1][Int(random.next() % 3)]
        self.random = random
    }

    /// - Returns: Whether everything was read and stored in the end.
    func run() -> Bool {
        addWorker()
        addWorker()
        tell(group.rebalance(among: members, eager: false, &random))
        for _ in 0..<4_000 where !isRead { step() }
        calm = true
        awayUntil = 0
        written = log.records.map(\.count)
        for round in 1...20 as ClosedRange<Int64> {
            for _ in 0..<2_000 { if !work() { break } }
            if isSettled { return true }
            steady += 3_600_000 * round
        }
        for (partition, stored) in store.enumerated() {
            trace?(
                "partition \(partition): \(stored.state.nextOffset) of \(end(partition)), owner "
                    + "\(group.owners[partition] as Any), \(stored.open.count) open, watermark "
                    + "\(stored.state.watermark as Any), \(stored.state.pendingFeedback.count) pending")
        }
        for worker in workers {
            trace?(
                "\(worker.id): \(worker.positions) paused \(worker.paused) held \(worker.ownership.paused) \(worker.signals.prefix(3)) \(worker.ownership.processors.keys)"
            )
        }
        return false
    }

    /// The reference: no workers, no failures, one checkpoint before the end, only what retention had taken is left out.
    func undisturbed() -> [MemoryPartition] {
        var settings = settings
        settings.recentRequests = 10_000
        settings.recentFeedback = 10_000
        let decoder = EventDecoder()
        return log.records.indices.map { partition in
            let processor = PartitionProcessor(partition: partition, settings: settings)
            for record in readable(partition) { processor.process(record, now: ModelLog.wall, decoder: decoder) }
            var store = MemoryPartition(partition: partition)
            store.epoch = 1
            _ = store.commit(processor.checkpoint(), epoch: 1)
            processor.resolve([:], now: ModelLog.wall + 36_000_000)
            processor.advance(now: ModelLog.wall)
            processor.advance(now: ModelLog.wall + 360_000_000)
            _ = store.commit(processor.checkpoint(), epoch: 1)
            return store
        }
    }

    /// What the stored state had to count: all but what retention had taken.
    func readable(_ partition: Int) -> [ModelLog.Record] {
        log.records[partition].filter { record in !skips[partition].contains { $0.contains(record.offset) } }
    }

    private var isRead: Bool {
        log.records.indices.allSatisfy { store[$0].state.nextOffset > log.records[$0].last?.offset ?? -1 }
    }

    private var isSettled: Bool {
        isRead && store.allSatisfy { $0.open.isEmpty && $0.state.pendingFeedback.isEmpty }
    }

    private var members: [Int] { workers.filter(\.inSession).map(\.id) }

    private func worker(_ id: Int) -> ModelWorker? { workers.first { $0.id == id } }

    private func note(_ weather: ModelPoint.Weather) { met.insert(.met(weather)) }

    private func chance(_ share: Double) -> Bool { !calm && random.unit() < share * roughness }

    // MARK: The scheduler

    private func step() {
        steady += Int64(random.next() % 8)
        if random.unit() < 0.2 {
            let partition = Int(random.next() % UInt64(ModelLog.partitions))
            written[partition] = min(log.records[partition].count, written[partition] + Int(random.next() % 20))
        }
        disturb()
        settleSessions()
        _ = work()
        if members.isEmpty || workers.count < 3 && chance(0.2) {
            if addWorker() > 2 { note(.newWorker) }
            rebalance(eager: false)
        }
    }

    private func disturb() {
        if chance(0.3) {
            awayUntil = steady + [50, 300, 60_000][Int(random.next() % 3)]
            note(.storeAway)
            // Nothing else happens in a long time without the store.
            if random.unit() < 0.5 { steady += 20_000 }
        }
        if chance(0.6) { rebalance(eager: random.unit() < 0.4) }
        if chance(0.3), let worker = workers.filter(\.inSession).randomElement(using: &random), members.count > 1 {
            // A session that ends while its worker stands still, or works on without hearing of it.
            worker.stalledUntil = steady + (random.unit() < 0.5 ? 60 : 0)
            expiring.append((steady, worker.id))
            note(.sessionEnded)
        }
        if hasRetention, chance(0.3) {
            let partition = Int(random.next() % UInt64(ModelLog.partitions))
            let records = log.records[partition].prefix(written[partition])
            if let record = records.dropFirst(records.count / 2).first { begins[partition] = record.offset }
        }
    }

    private func rebalance(eager: Bool) {
        let notices = group.rebalance(among: members, eager: eager, &random)
        if notices.contains(where: { !$0.gains }) { note(eager ? .eagerRebalance : .cooperativeRebalance) }
        tell(notices)
    }

    /// Members without a session lose their partitions at once and hear of it later.
    private func settleSessions() {
        for (at, member) in expiring where at <= steady {
            worker(member)?.inSession = false
            tell(group.expire(member, members: members, &random))
        }
        expiring.removeAll { $0.at <= steady }
        for worker in workers where !worker.inSession && worker.stalledUntil <= steady && (calm || random.unit() < 0.02)
        {
            // Before or after what it has read ahead.
            let all = Array(log.records.indices)
            worker.signals.removeAll { if case .batch = $0 { false } else { true } }
            worker.signals.insert(.lost(all), at: random.unit() < 0.5 ? 0 : worker.signals.count)
            for partition in all { worker.positions[partition] = nil }
            worker.inSession = true
            note(.zombieHeardOfItsLoss)
        }
    }

    private func tell(_ notices: [ModelGroup.Notice]) {
        for notice in notices {
            worker(notice.member)?.signals.append(
                notice.gains ? .assigned(notice.partitions) : .revoked(notice.partitions))
        }
    }

    @discardableResult private func addWorker() -> Int {
        nextID += 1
        workers.append(ModelWorker(id: nextID, settings: settings, at: steady))
        return nextID
    }

    /// One step of one worker; false if none had anything to do.
    private func work() -> Bool {
        if calm {
            steady += 1
            settleSessions()
            if !group.isMoving, group.owners.contains(where: { $0 == nil }) { rebalance(eager: false) }
        }
        for worker in workers.shuffled(using: &random) where worker.stalledUntil <= steady && act(worker) {
            return true
        }
        return false
    }

    private func act(_ worker: ModelWorker) -> Bool {
        if let effect = worker.ownership.next(worker.time(steady)) {
            guard !crashes(worker, .before, effect.step) else { return true }
            let answer = carryOut(effect, worker)
            if !crashes(worker, .after, effect.step) { answer() }
            return true
        }
        if worker.signals.isEmpty || random.unit() < 0.3 { read(worker) }
        guard !worker.signals.isEmpty else { return false }
        let signal = worker.signals.removeFirst()
        guard !crashes(worker, .before, signal.step) else { return true }
        take(signal, worker)
        _ = crashes(worker, .after, signal.step)
        return true
    }

    private func crashes(_ worker: ModelWorker, _ moment: ModelPoint.Moment, _ step: ModelPoint.Step) -> Bool {
        // Rare steps crash more often, so that every point is met.
        let often = step == .batch || step == .readEnds || step == .commit ? 0.1 : 0.7
        guard chance(often) else { return false }
        met.insert(.crash(moment, step))
        trace?("\(steady) worker \(worker.id) crashes \(moment) \(step)")
        workers.removeAll { $0 === worker }
        // A quick restart comes before the group has noticed.
        if random.unit() < 0.5 { addWorker() }
        expiring.append((steady + Int64(random.next() % 60), worker.id))
        return true
    }
}

// MARK: - Signals and records

extension ModelWorld {
    private func take(_ signal: ModelWorker.Signal, _ worker: ModelWorker) {
        trace?("\(steady) worker \(worker.id) takes \(signal)")
        switch signal {
        case .assigned(let partitions): worker.ownership.assigned(partitions)
        case .revoked(let partitions): worker.ownership.revoked(partitions)
        case .lost(let partitions):
            for partition in partitions { worker.positions[partition] = nil }
            worker.ownership.lost(partitions)
        case .gap(let partition, let lost):
            worker.skips[partition, default: []].append(lost)
            note(.retentionOvertook)
        case .batch(let partition, let places):
            if !worker.process(log.records[partition][places], of: partition, steady) { note(.leftOversIgnored) }
        }
    }

    /// Reads a few records of one partition ahead.
    private func read(_ worker: ModelWorker) {
        for (partition, position) in worker.positions.sorted(by: { $0.key < $1.key }).shuffled(using: &random) {
            guard !worker.paused.contains(partition) else { continue }
            let records = log.records[partition].prefix(written[partition])
            let wanted = position ?? 0
            if wanted < begins[partition] {
                worker.signals.append(.gap(partition, wanted..<begins[partition]))
                worker.positions.updateValue(begins[partition], forKey: partition)
                return
            }
            // Now and then the log hands out a little of what is known already.
            let from = records.firstIndex { $0.offset >= wanted } ?? records.count
            let first = !calm && random.unit() < 0.05 ? max(0, from - 2) : from
            let places = first..<min(records.count, from + 1 + Int(random.next() % 12))
            guard from < records.count, records[places.lowerBound].offset >= begins[partition] else { continue }
            worker.signals.append(.batch(partition, places))
            worker.positions.updateValue(records[places.upperBound - 1].offset + 1, forKey: partition)
            return
        }
    }
}

// MARK: - Effects

extension ModelWorld {
    /// Does what the worker asks for; what is returned tells it the answer.
    private func carryOut(_ effect: PartitionOwnership.Effect, _ worker: ModelWorker) -> () -> Void {
        trace?("\(steady) worker \(worker.id) \(effect.step)")
        let time = worker.time(steady)
        switch effect {
        case .claim(let partition): return claim(partition, worker, time)
        case .start(let partition, let offset): worker.start(partition, at: offset)
        case .pause(let partitions):
            worker.paused.formUnion(partitions)
            if worker.ownership.paused.isSuperset(of: partitions) { note(.heldBack) }
        case .resume(let partitions): worker.paused.subtract(partitions)
        case .release(let partitions):
            worker.release(partitions)
            tell(group.release(partitions, by: worker.id, members: members, &random))
        case .readEnds:
            let ends = worker.positions.keys.map { ($0, end($0)) }
            return { worker.ownership.ends(Dictionary(uniqueKeysWithValues: ends), time) }
        case .lookUp(let ids):
            if isAway || chance(0.5) {
                note(.lookUpFailed)
                return { worker.ownership.storeFailed(time) }
            }
            let rows = store.map(\.requests).reduce(into: [UUIDv7: RequestRow]()) { found, rows in
                for id in ids { if let row = rows[id] { found[id] = row } }
            }
            return { worker.ownership.found(rows, time) }
        case .commit(let checkpoints): return commit(checkpoints, worker, time)
        }
        return {}
    }

    private func end(_ partition: Int) -> Int64 {
        log.records[partition].prefix(written[partition]).last.map { $0.offset + 1 } ?? 0
    }

    private var isAway: Bool { steady < awayUntil }

    private func claim(_ partition: Int, _ worker: ModelWorker, _ time: StreamTime) -> () -> Void {
        if isAway || chance(0.5) {
            note(.claimRefused)
            return { worker.ownership.claimFailed(time) }
        }
        guard let claimed = try? store[partition].claim() else { return {} }
        if chance(0.5) {
            note(.claimAnswerLost)
            return { worker.ownership.claimFailed(time) }
        }
        worker.skips[partition] = skips[partition]
        return { worker.ownership.claimed(partition, epoch: claimed.epoch, state: claimed.state) }
    }

    private func commit(
        _ checkpoints: [(epoch: Int64, checkpoint: Checkpoint)], _ worker: ModelWorker, _ time: StreamTime
    ) -> () -> Void {
        if isAway || chance(0.5) {
            note(.commitRefused)
            return { worker.ownership.storeFailed(time) }
        }
        var fenced: Set<Int> = []
        for (epoch, checkpoint) in checkpoints {
            let partition = checkpoint.state.partition
            if store[partition].commit(checkpoint, epoch: epoch) {
                skips[partition] = worker.skips[partition] ?? []
            } else {
                fenced.insert(partition)
                if !worker.inSession { note(.zombieCommitFenced) }
            }
        }
        if chance(0.5) {
            note(.commitAnswerLost)
            return { worker.ownership.storeFailed(time) }
        }
        return { _ = worker.ownership.committed(fenced: fenced, time) }
    }
}
