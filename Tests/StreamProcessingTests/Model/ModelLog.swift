import Core
import StreamProcessing
import Telemetry
import TestSupport

/// A seeded log of a few partitions with all that a log can do to a stream: disorder, records repeated by their
/// producers, missing offsets, unreadable and empty records, records from the future and from long ago, and feedback
/// before, after and without its request.
struct ModelLog {
    struct Record {
        var offset: Int64
        var kind: LogEvent.Kind?
        /// Empty: a record without content.
        var bytes: [UInt8]
        /// `nil` where the bytes cannot be read.
        var event: LogEvent?
    }

    static let partitions = 3
    /// Far behind every event, so that the clock decides nothing until a history ends.
    static let wall = Make.start + 36_000_000
    private static let poison: [[UInt8]] = [Array("not json".utf8), [0xff, 0xfe], Array(#"{"v":1}"#.utf8)]

    private(set) var records: [[Record]]
    private var random: SplitMix64
    private var seq: Int64 = 0
    private var feedback: UInt64 = 0
    private var requests: [[UInt64]]

    init(seed: UInt64, count: UInt64) {
        random = SplitMix64(seed: seed)
        records = Array(repeating: [], count: Self.partitions)
        requests = Array(repeating: [], count: Self.partitions)
        for number in 0..<count { add(number) }
    }

    private mutating func add(_ number: UInt64) {
        let partition = Self.partition(of: number)
        let roll = random.unit()
        if roll < 0.03 {
            let kind: LogEvent.Kind? = random.unit() < 0.3 ? nil : .request
            append(Self.poison[Int(random.next() % 3)], kind, nil, to: partition)
        } else if roll < 0.05 {
            append([], .request, nil, to: partition)
        } else if roll < 0.12, let former = records[partition].suffix(12).randomElement(using: &random) {
            append(former.bytes, former.kind, former.event, to: partition)
        } else if roll < 0.3, let request = aRequest(of: partition, at: number) {
            feedback += 1
            // Sums of sixty-fourths are exact, in whatever order they are added.
            let value = Double(random.next() % 65) / 64
            let key = random.unit() < 0.1 ? "other" : "web"
            append(Make.feedback(feedback, on: request, value: value, key: key), to: partition)
        } else {
            requests[partition].append(number)
            append(aRequest(number, in: partition), to: partition)
        }
    }

    /// Requests and what is said of them are in the same partition.
    private static func partition(of number: UInt64) -> Int {
        Int(Hash64.hash("\(number)", salt: 0) % UInt64(partitions))
    }

    /// An earlier request, or one that may or may not follow.
    private mutating func aRequest(of partition: Int, at number: UInt64) -> UInt64? {
        guard random.unit() < 0.15 else { return requests[partition].suffix(30).randomElement(using: &random) }
        return (number + 1...number + 40).filter { Self.partition(of: $0) == partition }.randomElement(using: &random)
    }

    private mutating func aRequest(_ number: UInt64, in partition: Int) -> LogEvent {
        seq += 1
        let roll = random.unit()
        var ms = Int64(number) * 30 - Int64(random.next() % 900)
        if roll < 0.02 { ms += 100_000_000 } else if roll < 0.06 { ms -= 6_000 }
        let session = "s\(random.next() % 3)"
        let producer = "gw-\(random.next() % 2)/1"
        let rollout = random.unit() < 0.2
        return Make.request(number, at: ms, producer: producer, seq: seq) {
            $0.model = number % 3 == 0 ? "large" : "small"
            $0.session = session
            $0.user = "u\(number % 7)"
            $0.cost = NanoUSD(Int64(number % 64))
            $0.totalMs = Double(number % 40) * 16
            $0.rollout = rollout ? Make.id(1 << 40) : nil
        }
    }

    private mutating func append(_ event: LogEvent, to partition: Int) {
        var bytes: [UInt8] = []
        EventEncoder.encode(event, into: &bytes)
        append(bytes, event.kind, event, to: partition)
    }

    private mutating func append(_ bytes: [UInt8], _ kind: LogEvent.Kind?, _ event: LogEvent?, to partition: Int) {
        let gap = random.unit() < 0.1 ? Int64(random.next() % 4) : 0
        let offset = (records[partition].last?.offset ?? -1) + 1 + gap
        records[partition].append(Record(offset: offset, kind: kind, bytes: bytes, event: event))
    }
}

extension [ModelLog.Record] {
    /// Offsets of feedback that was said before. A repeat of what was refused is refused again, with a dead letter of
    /// its own, or dropped as long as it is remembered: which of them depends on restarts, and matters to nobody.
    var repeats: Set<Int64> {
        var seen: Set<UUIDv7> = []
        return Set(
            filter { record in
                guard case .feedback(let feedback)? = record.event, record.kind != nil else { return false }
                return !seen.insert(feedback.id).inserted
            }.map(\.offset))
    }
}

extension PartitionProcessor {
    func process(_ record: ModelLog.Record, now: Int64, decoder: EventDecoder) {
        process(
            record.bytes, record.bytes.indices, kind: record.kind, offset: record.offset, now: now, decoder: decoder)
    }
}

extension ModelLog {
    /// Windows of all kinds; `sessions` take every event, so that without them some are too late for all windows.
    static func settings(_ random: inout SplitMix64) -> StreamSettings {
        var settings = Make.settings { $0.latenessMs = [0, 500, 3_000][Int(random.next() % 3)] }
        settings.boundMs = [0, 300][Int(random.next() % 2)]
        settings.alignMs = [nil, 2_000][Int(random.next() % 2)]
        // The end of a history is the first time that anything has been silent for so long.
        settings.idleMs = 3_600_000
        settings.pendingFeedbackMs = 7_200_000
        settings.recentRequests = 5
        settings.recentFeedback = 5
        let few = AggregateSelection(
            measures: [.cost, .latency], quantiles: [.latency], distinct: [], top: [.init(item: .user, counters: 3)])
        let costs = AggregateSelection(measures: [.cost], feedback: true)
        settings.windows = [
            WindowDefinition(
                name: "sliding", key: [.route, .key], assigner: .sliding(size: 3_000, hop: 1_000), latenessMs: 1_000,
                aggregates: costs),
            WindowDefinition(
                name: "early", key: [.model], assigner: .sliding(size: 2_000, hop: 1_500, offset: 250),
                latenessMs: 700, early: .count(3), aggregates: few),
            WindowDefinition(
                name: "discarding", key: [.model, .domain], assigner: .tumbling(size: 1_500), latenessMs: 900,
                early: .count(2), discarding: true, aggregates: few),
        ]
        if random.unit() < 0.7 {
            settings.windows.append(
                WindowDefinition(
                    name: "sessions", key: [.session], assigner: .session(gap: 700), latenessMs: 86_400_000,
                    early: random.unit() < 0.5 ? .count(4) : nil, aggregates: few))
        }
        return settings
    }
}
