import Core
import StreamProcessing
import Telemetry

/// A worker of the model: the product's ownership and processors, with a reader of the model's log.
final class ModelWorker {
    enum Signal {
        case assigned([Int])
        case revoked([Int])
        case lost([Int])
        case batch(Int, Range<Int>)
        case gap(Int, Range<Int64>)
    }

    let id: Int
    private let began: Int64
    private let decoder = EventDecoder()
    var ownership: PartitionOwnership
    /// What waits to be taken: signals and records read ahead.
    var signals: [Signal] = []
    /// The next offset to read, by partition; `nil` where it was told to begin with the oldest.
    var positions: [Int: Int64?] = [:]
    var paused: Set<Int> = []
    /// Offsets that are in its state as lost to retention.
    var skips: [Int: [Range<Int64>]] = [:]
    /// The group's view; its own may be older.
    var inSession = true
    var stalledUntil: Int64 = 0

    init(id: Int, settings: StreamSettings, at steady: Int64) {
        self.id = id
        began = steady
        var own = PartitionOwnership.Settings()
        own.checkpointMs = 120
        own.unstoredEvents = 40
        own.retryMs = 20
        own.longestRetryMs = 160
        ownership = PartitionOwnership(settings, settings: own)
    }

    func time(_ steady: Int64) -> StreamTime { StreamTime(wall: ModelLog.wall + steady, steady: steady - began) }

    func start(_ partition: Int, at offset: Int64?) {
        // Whoever starts a partition gets nothing that was read before.
        dropReadAhead([partition])
        positions.updateValue(offset, forKey: partition)
    }

    func release(_ partitions: [Int]) {
        dropReadAhead(partitions)
        for partition in partitions { positions[partition] = nil }
    }

    func dropReadAhead(_ partitions: [Int]) {
        signals.removeAll {
            switch $0 {
            case .batch(let partition, _), .gap(let partition, _): partitions.contains(partition)
            default: false
            }
        }
    }

    /// Whether the records had an owner here.
    func process(_ records: ArraySlice<ModelLog.Record>, of partition: Int, _ steady: Int64) -> Bool {
        guard let processor = ownership.processor(of: partition) else { return false }
        for record in records { processor.process(record, now: time(steady).wall, decoder: decoder) }
        ownership.processed(records.count)
        return true
    }
}

/// What can befall a history, by name; together the histories have to meet all of it.
struct ModelPoint: Hashable, CustomStringConvertible {
    enum Step: String, CaseIterable {
        case assigned, revoked, lost, gap, batch
        case claim, start, resume, pause, release, readEnds, lookUp, commit
    }
    enum Moment: String, CaseIterable { case before, after }
    enum Weather: String, CaseIterable {
        case claimRefused, claimAnswerLost, commitRefused, commitAnswerLost, lookUpFailed, storeAway
        case cooperativeRebalance, eagerRebalance, sessionEnded, zombieCommitFenced, zombieHeardOfItsLoss
        case leftOversIgnored, retentionOvertook, heldBack, newWorker
    }

    let description: String

    static func crash(_ moment: Moment, _ step: Step) -> ModelPoint {
        ModelPoint(description: "crash \(moment.rawValue) \(step.rawValue)")
    }
    static func met(_ weather: Weather) -> ModelPoint { ModelPoint(description: weather.rawValue) }

    static let all = Set(
        Moment.allCases.flatMap { moment in Step.allCases.map { crash(moment, $0) } } + Weather.allCases.map(met))
}

extension PartitionOwnership.Effect {
    var step: ModelPoint.Step {
        switch self {
        case .claim: .claim
        case .start: .start
        case .pause: .pause
        case .resume: .resume
        case .release: .release
        case .readEnds: .readEnds
        case .lookUp: .lookUp
        case .commit: .commit
        }
    }
}

extension ModelWorker.Signal {
    var step: ModelPoint.Step {
        switch self {
        case .assigned: .assigned
        case .revoked: .revoked
        case .lost: .lost
        case .batch: .batch
        case .gap: .gap
        }
    }
}
