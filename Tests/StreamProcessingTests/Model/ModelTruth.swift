import Core
import Statistics
import StreamProcessing
import Telemetry
import TestSupport

/// What one partition of the log amounts to, counted plainly from its records.
struct ModelTruth {
    struct Sum: Equatable {
        var requests: Int64 = 0
        var cost: Double = 0
    }

    var windows: [WindowID: Sum] = [:]
    var feedback: [WindowID: [String: Moments]] = [:]
    var requests: Set<UUIDv7> = []
    var evidence: Int64 = 0
    var dead: [Int64: DeadLetter.Reason] = [:]

    private var watermark = Int64.min
    private var lastOf: [String: Int64] = [:]
    private var known: [UUIDv7: RequestRecord] = [:]
    private var said: [(offset: Int64, feedback: Feedback)] = []
    private var inSession: [String: [RequestRecord]] = [:]

    init(_ records: [ModelLog.Record], _ settings: StreamSettings) {
        for record in records where !record.bytes.isEmpty { add(record, settings) }
        for (session, records) in inSession { cut(records.sorted { $0.at < $1.at }, session) }
        for (offset, feedback) in said { join(feedback, offset, settings) }
    }

    /// What the store holds.
    init(_ store: MemoryPartition, without repeats: Set<Int64>) {
        for (id, result) in store.results {
            let panes = store.added[id].map { Array($0.values) } ?? [result]
            for pane in panes { windows[id, default: Sum()].add(pane.aggregate) }
        }
        feedback = store.deltas
        requests = Set(store.requests.keys)
        evidence = store.panes.reduce(0) { $0 + Int64($1.trials.count { $0.answer != nil }) }
        dead = store.deadLetters.filter { !repeats.contains($0.key) }.mapValues(\.reason)
    }

    func differences(from other: ModelTruth) -> [String] {
        var found: [String] = []
        for id in Set(windows.keys).union(other.windows.keys).sorted() where windows[id] != other.windows[id] {
            found.append("\(id): \(windows[id] as Any), expected \(other.windows[id] as Any)")
        }
        if feedback != other.feedback { found.append("feedback \(feedback), expected \(other.feedback)") }
        if requests != other.requests { found.append("request rows") }
        if evidence != other.evidence { found.append("evidence of \(evidence), expected \(other.evidence)") }
        if dead != other.dead { found.append("dead letters \(dead), expected \(other.dead)") }
        return found
    }

    private mutating func add(_ record: ModelLog.Record, _ settings: StreamSettings) {
        guard record.kind != nil else { return dead[record.offset] = .unknownKind }
        switch record.event {
        case nil: dead[record.offset] = record.bytes.first == UInt8(ascii: "{") ? .missingField : .malformedJSON
        case .feedback(let feedback): said.append((record.offset, feedback))
        case .request(let request):
            guard request.seq > lastOf[request.producer] ?? 0 else { return }
            lastOf[request.producer] = request.seq
            if request.at > ModelLog.wall + 10_000_000 { return dead[record.offset] = .future }
            guard count(request, settings) else { return dead[record.offset] = .late }
            requests.insert(request.id)
            known[request.id] = request
            if request.rollout != nil { evidence += 1 }
            watermark = max(watermark, request.at - settings.boundMs - 1)
        }
    }

    private mutating func count(_ request: RequestRecord, _ settings: StreamSettings) -> Bool {
        var isCounted = false
        for definition in settings.definitions {
            if case .session = definition.assigner {
                inSession[request.session ?? "", default: []].append(request)
                isCounted = true
            }
            for window in Self.windows(of: request.at, definition)
            where window.end - 1 + definition.latenessMs > watermark {
                windows[WindowID(window: window, key: Self.key(request, definition)), default: Sum()].add(request)
                isCounted = true
            }
        }
        return isCounted
    }

    /// Sessions end where the next event is as far away as the gap.
    private mutating func cut(_ records: [RequestRecord], _ session: String) {
        var first = 0
        for place in records.indices
        where place + 1 == records.count || records[place + 1].at - records[place].at >= 700 {
            let window = Window(start: records[first].at, end: records[place].at + 700)
            let key = WindowKey(
                window: "sessions", route: "", modelKey: "", arm: .stable, policy: 0, others: [session])
            for record in records[first...place] {
                windows[WindowID(window: window, key: key), default: Sum()].add(record)
            }
            first = place + 1
        }
    }

    private mutating func join(_ entry: Feedback, _ offset: Int64, _ settings: StreamSettings) {
        guard !said.contains(where: { $0.offset < offset && $0.feedback.id == entry.id }) else { return }
        guard let request = known[entry.request] else { return dead[offset] = .requestUnknown }
        guard request.key == entry.key else { return dead[offset] = .notOwnRequest }
        for definition in settings.definitions where definition.aggregates.feedback {
            for window in Self.windows(of: request.at, definition) {
                let id = WindowID(window: window, key: Self.key(request, definition))
                feedback[id, default: [:]][entry.name, default: Moments()].add(entry.value)
            }
        }
    }

    private static func windows(of at: Int64, _ definition: WindowDefinition) -> [Window] {
        let (size, hop, offset): (Int64, Int64, Int64)
        switch definition.assigner {
        case .tumbling(let length, let shift): (size, hop, offset) = (length, length, shift)
        case .sliding(let length, let step, let shift): (size, hop, offset) = (length, step, shift)
        case .session: return []
        }
        // All candidates that could hold it, tried one by one.
        let near = (at - offset) / hop * hop + offset
        return (-4...4).map { Window(start: near + $0 * hop, end: near + $0 * hop + size) }
            .filter { $0.start <= at && at < $0.end }
    }

    private static func key(_ request: RequestRecord, _ definition: WindowDefinition) -> WindowKey {
        let own = WindowKey(request)
        let (name, arm) = (definition.name, own.arm)
        return switch name {
        case "sliding":
            WindowKey(
                window: name, route: own.route, modelKey: "", arm: arm, policy: 0, others: [request.key ?? ""])
        case "early": WindowKey(window: name, route: "", modelKey: own.modelKey, arm: arm, policy: 0)
        case "discarding":
            WindowKey(window: name, route: "", modelKey: own.modelKey, arm: arm, policy: 0, others: [""])
        default: own
        }
    }
}

extension ModelTruth.Sum {
    mutating func add(_ request: RequestRecord) {
        requests += 1
        cost += Double(request.cost?.value ?? 0)
    }

    mutating func add(_ aggregate: WindowAggregate) {
        requests += aggregate.requests
        cost += aggregate.cost.sum
    }
}
