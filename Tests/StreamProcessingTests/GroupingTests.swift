import Core
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Keys are numbered so that they are found quickly; what is counted must be what the keys themselves say.
@Suite struct GroupingTests {
    private static let keys: [[WindowDimension]] = [
        [], [.route], [.route, .model, .arm, .policy], [.project, .key, .route, .model], [.route, .model, .size],
        [.provider, .credential, .variant], [.domain, .arm], [.session], [.route, .session],
    ]

    /// Names are made anew each time, short ones and ones that are stored elsewhere.
    private static func name(_ prefix: String, _ count: UInt64, _ random: inout SplitMix64) -> String? {
        let number = random.next() % (count + 1)
        if number == count { return nil }
        return number % 2 == 0 ? "\(prefix)\(number)" : "\(prefix) with a name that is long \(number)"
    }

    private static func record(_ at: Int64, names: UInt64, _ random: inout SplitMix64) -> RequestRecord {
        var record = RequestRecord(
            id: Make.id(0), at: at, startedAt: at, route: name("r", names, &random) ?? "", outcome: .complete,
            status: 200, totalMs: 1)
        record.provider = name("p", 3, &random)
        record.model = name("m", names, &random)
        record.credential = name("c", 3, &random)
        record.key = name("k", 5, &random)
        record.project = name("j", 3, &random)
        record.variant = name("v", 2, &random)
        record.session = name("s", 40, &random)
        if let domain = name("d", 4, &random) { record.tags["domain"] = domain }
        record.arm = Arm.allCases[Int(random.next() % UInt64(Arm.allCases.count))]
        if random.next() % 3 > 0 { record.policy = Int(random.next() % 5) }
        if random.next() % 2 == 0 { record.tokens = TokenUsage(input: Int(random.next() % 100_000), output: 1) }
        return record
    }

    @Test("Every request counts under its own key, whatever the key is made of", arguments: keys)
    func counted(key: [WindowDimension]) {
        let definition = WindowDefinition(
            name: "w", key: key, assigner: .tumbling(size: 1_000), latenessMs: 500,
            aggregates: AggregateSelection(measures: []))
        let windows = definition.makeOperator(partition: 0)
        var random = SplitMix64(seed: 3)
        var (counted, expected): ([WindowID: Int64], [WindowID: Int64]) = ([:], [:])
        func take() { for result in windows.drain().results { counted[result.id] = result.aggregate.requests } }
        // Far more keys than one window has, so that those gone by are forgotten.
        for number in 0..<60_000 {
            let at = Int64(number / 3) - Int64(random.next() % 300)
            let record = Self.record(at, names: 30, &random)
            #expect(windows.add(record, now: 0) == .counted)
            #expect(windows.latestKey == definition.key(of: record))
            let start = Int64((Double(at) / 1_000).rounded(.down)) * 1_000
            let id = WindowID(window: Window(start: start, end: start + 1_000), key: definition.key(of: record))
            expected[id, default: 0] += 1
            windows.advance(to: Int64(number / 3) - 310)
            if number % 500 == 0 { take() }
        }
        windows.advance(to: .max)
        take()
        #expect(counted == expected)
    }

    @Test("Keys beyond the bound count together, and those of before go on")
    func bounded() {
        let definition = WindowDefinition(
            name: "w", key: [.route], assigner: .tumbling(size: 1_000), latenessMs: 0,
            aggregates: AggregateSelection(measures: []))
        let windows = definition.makeOperator(partition: 0, mostKeys: 3)
        for number in 0..<20_000 {
            var record = RequestRecord(
                id: Make.id(0), at: 5, startedAt: 5, route: "r\(number % 4 < 3 ? number % 4 : number)",
                outcome: .complete, status: 200, totalMs: 1)
            record.policy = number
            #expect(windows.add(record, now: 0) == .counted)
        }
        windows.advance(to: .max)
        let counts = windows.drain().results.map { "\($0.key.route) \($0.aggregate.requests)" }
        #expect(counts == ["(other) 5000", "r0 5000", "r1 5000", "r2 5000"])
    }
}
