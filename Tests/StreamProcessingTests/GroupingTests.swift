import Core
import Statistics
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

    @Test("Of many keys each has the sums of its own requests, to the last bit", arguments: [0, 1_000] as [Int64])
    func sums(hop: Int64) {
        let definition = WindowDefinition(
            name: "w", key: [.route], assigner: hop == 0 ? .tumbling(size: 3_000) : .sliding(size: 3_000, hop: hop),
            latenessMs: 1_000)
        let windows = definition.makeOperator(partition: 0)
        var random = SplitMix64(seed: 8)
        var (counted, expected): ([WindowID: WindowAggregate], [WindowID: WindowAggregate]) = ([:], [:])
        func take() { for result in windows.drain().results { counted[result.id] = result.aggregate } }
        for number in 0..<60_000 {
            // Some come late, and some between two drains of their window.
            let at = Int64(number / 6) - (random.next() % 50 == 0 ? Int64(random.next() % 900) : 0)
            var record = RequestRecord(
                id: Make.id(0), at: at, startedAt: at, route: "route-\(random.next() % 2_500)", outcome: .complete,
                status: 200, totalMs: Double(random.next() % 4_096))
            if random.next() % 3 > 0 { record.cost = NanoUSD(Int64(random.next() % 1_000)) }
            record.stream = random.next() % 2 == 0
            record.ttftMs = record.totalMs / 4
            #expect(windows.add(record, now: 0) == .counted)
            let last = Int64((Double(at) / 1_000).rounded(.down)) * 1_000
            let starts =
                hop == 0 ? [Int64((Double(at) / 3_000).rounded(.down)) * 3_000] : [last - 2_000, last - 1_000, last]
            for start in starts {
                let id = WindowID(window: Window(start: start, end: start + 3_000), key: definition.key(of: record))
                var sums = expected[id] ?? WindowAggregate()
                sums.requests += 1
                sums.unknownCost += record.cost == nil ? 1 : 0
                if let cost = record.cost { sums[.cost].add(Double(cost.value), sketched: false) }
                sums[.latency].add(record.totalMs, sketched: true)
                if let ttft = record.ttftMs { sums[.ttft].add(ttft, sketched: true) }
                if !record.stream { sums.signals[.unattended, default: 0] += 1 }
                expected[id] = sums
            }
            windows.advance(to: Int64(number / 6) - 100)
            if number % 5_000 == 4_999 { take() }
        }
        windows.advance(to: .max)
        take()
        #expect(counted == expected)
    }

    @Test("All measures at once are counted")
    func measures() {
        let definition = WindowDefinition(
            name: "w", key: [], assigner: .tumbling(size: 1_000),
            aggregates: AggregateSelection(measures: Measured.allCases, quantiles: Set(Measured.allCases)))
        let windows = definition.makeOperator(partition: 0)
        var record = RequestRecord(
            id: Make.id(0), at: 5, startedAt: 5, route: "r", outcome: .complete, status: 200, totalMs: 100)
        record.ttftMs = 20
        record.queueMs = 2
        record.cost = NanoUSD(7)
        record.tokens = TokenUsage(input: 10, output: 20)
        record.overheadMs = 1
        record.prompt = RequestRecord.Prompt()
        #expect(windows.add(record, now: 0) == .counted)
        windows.advance(to: .max)
        let aggregate = windows.drain().results.first?.aggregate ?? WindowAggregate()
        for measure in Measured.allCases {
            #expect(aggregate[measure].moments.n == 1 && aggregate[measure].sketch.count == 1, "\(measure)")
        }
    }

    @Test(
        "What is said to be taken at a watermark is what a window counts then",
        arguments: [
            WindowAssigner.tumbling(size: 700), .tumbling(size: 700, offset: -300),
            .sliding(size: 2_000, hop: 300, offset: 100), .sliding(size: 300, hop: 1_000), .session(gap: 450),
        ])
    func takes(assigner: WindowAssigner) {
        var random = SplitMix64(seed: 17)
        var taken = 0
        for _ in 0..<2_000 {
            let definition = WindowDefinition(
                name: "w", key: [.route], assigner: assigner, latenessMs: Int64(random.next() % 1_000),
                aggregates: AggregateSelection(measures: []))
            let watermark = Int64(random.next() % 10_000)
            let at = watermark - 3_000 + Int64(random.next() % 4_000)
            let windows = definition.makeOperator(partition: 0)
            windows.advance(to: watermark)
            let record = RequestRecord(
                id: Make.id(0), at: at, startedAt: at, route: "r", outcome: .complete, status: 200, totalMs: 1)
            let isTaken = definition.takes(at, at: watermark)
            #expect((windows.add(record, now: 0) == .counted) == isTaken)
            taken += isTaken ? 1 : 0
        }
        #expect((200..<1_900).contains(taken))
    }

    @Test(
        "Keys beyond the bound count together, and those of before go on",
        arguments: [
            WindowAssigner.tumbling(size: 1_000), .sliding(size: 3_000, hop: 3_000),
            .sliding(size: 3_000, hop: 1_000), .session(gap: 30_000),
        ])
    func bounded(assigner: WindowAssigner) {
        let definition = WindowDefinition(
            name: "w", key: [.route], assigner: assigner, latenessMs: 0, aggregates: AggregateSelection(measures: []))
        let windows = definition.makeOperator(partition: 0, mostKeys: 3)
        var sent: [Int64: Int64] = [:]
        for number in 0..<20_004 {
            // Over three seconds, each of which begins with the same keys and has more than a thousand others.
            var record = RequestRecord(
                id: Make.id(0), at: Int64(number * 1_000 / 6_668), startedAt: 5,
                route: "r\(number % 4 < 3 ? number % 4 : number)", outcome: .complete, status: 200, totalMs: 1)
            record.policy = number
            #expect(windows.add(record, now: 0) == .counted)
            sent[record.at, default: 0] += 1
        }
        windows.advance(to: .max)
        let results = Dictionary(grouping: windows.drain().results, by: \.window)
        #expect(!results.isEmpty)
        for (window, all) in results {
            let expected = sent.reduce(0) { $0 + (window.start..<window.end ~= $1.key ? $1.value : 0) }
            #expect(all.map(\.key.route).sorted() == ["(other)", "r0", "r1", "r2"])
            #expect(all.allSatisfy { $0.aggregate.requests == expected / 4 })
        }
    }

    @Test("Where each pane of a window has other keys, those beyond the window's bound count together")
    func boundedOverPanes() {
        let definition = WindowDefinition(
            name: "w", key: [.route], assigner: .sliding(size: 3_000, hop: 1_000), latenessMs: 0,
            aggregates: AggregateSelection(measures: []))
        let windows = definition.makeOperator(partition: 0, mostKeys: 3)
        for number in 0..<3_000 {
            let record = RequestRecord(
                id: Make.id(0), at: Int64(number), startedAt: 5, route: "p\(number / 1_000) r\(number % 5)",
                outcome: .complete, status: 200, totalMs: 1)
            #expect(windows.add(record, now: 0) == .counted)
        }
        windows.advance(to: .max)
        let results = Dictionary(grouping: windows.drain().results, by: \.window.start).mapValues { results in
            results.map { "\($0.key.route) \($0.aggregate.requests)" }.sorted()
        }
        #expect(results[0] == ["(other) 2400", "p0 r0 200", "p0 r1 200", "p0 r2 200"])
        #expect(results[2_000] == ["(other) 400", "p2 r0 200", "p2 r1 200", "p2 r2 200"])
    }

    @Test(
        "Whatever the bound, a window's results hold each of its requests once",
        arguments: 1...40 as ClosedRange<UInt64>)
    func boundedAtRandom(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        func number(_ bound: UInt64) -> Int64 { Int64(random.next() % bound) }
        let (size, hop, offset) = (100 * (1 + number(9)), 100 * (1 + number(4)), -number(100))
        let (lateness, mostKeys) = (100 * number(20), Int(1 + number(5)))
        var expected: [Window: Int64] = [:]
        let stored = results(
            .sliding(size: size, hop: hop, offset: offset), lateness: lateness, mostKeys: mostKeys, &random
        ) { at, watermark in
            let last = Int64((Double(at - offset) / Double(hop)).rounded(.down)) * hop + offset
            let windows = stride(from: last, to: at - size, by: Int(-hop)).map { Window(start: $0, end: $0 + size) }
            for window in windows where window.end - 1 + lateness > watermark { expected[window, default: 0] += 1 }
        }
        #expect(stored.reduce(into: [:]) { $0[$1.key.window, default: 0] += $1.value } == expected)
        let keys = Dictionary(grouping: stored.keys, by: \.window)
        #expect(keys.values.allSatisfy { $0.count <= mostKeys + 1 })
    }

    @Test(
        "Whatever the bound, sessions hold each counted request once, those merged and taken back too",
        arguments: 1...40 as ClosedRange<UInt64>)
    func boundedSessionsAtRandom(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        func number(_ bound: UInt64) -> Int64 { Int64(random.next() % bound) }
        let (gap, lateness, mostKeys) = (20 + number(200), 100 * number(20), Int(1 + number(5)))
        var counted: Int64 = 0
        let stored = results(.session(gap: gap), lateness: lateness, mostKeys: mostKeys, &random) { _, _ in
            counted += 1
        }
        #expect(stored.values.reduce(0, +) == counted)
    }

    /// The last count that was handed out of each window and key, after 3,000 requests of eight routes out of order, with
    /// restarts.
    ///
    /// - Parameter onCounted: Called for each request that was not late, with its time and the watermark it met.
    private func results(
        _ assigner: WindowAssigner, lateness: Int64, mostKeys: Int, _ random: inout SplitMix64,
        onCounted: (Int64, Int64) -> Void
    ) -> [WindowID: Int64] {
        func number(_ bound: UInt64) -> Int64 { Int64(random.next() % bound) }
        let definition = WindowDefinition(
            name: "w", key: [.route], assigner: assigner, latenessMs: lateness,
            aggregates: AggregateSelection(measures: []))
        var (watermark, open) = (Int64(0), [WindowID: OpenWindow]())
        var windows = definition.makeOperator(partition: 0, watermark: watermark, mostKeys: mostKeys)
        var stored: [WindowID: Int64] = [:]
        func drain() {
            let changes = windows.drain()
            for retracted in changes.retracted { stored[retracted] = nil }
            for result in changes.results { stored[result.id] = result.aggregate.requests }
            for changed in changes.changed { open[changed.id] = changed }
            for purged in changes.purged { open[purged] = nil }
        }
        for _ in 0..<3_000 {
            let at = watermark - lateness + number(UInt64(lateness + 600))
            let record = RequestRecord(
                id: Make.id(0), at: at, startedAt: at, route: "r\(number(8))", outcome: .complete, status: 200,
                totalMs: 1)
            if windows.add(record, now: 0) == .counted { onCounted(at, watermark) }
            if number(20) == 0 {
                watermark += number(300)
                windows.advance(to: watermark)
            }
            if number(50) == 0 { drain() }
            if number(300) == 0 {
                drain()
                #expect(!open.values.contains(where: definition.contradicts))
                windows = definition.makeOperator(
                    partition: 0, watermark: watermark, open: Array(open.values), mostKeys: mostKeys)
            }
        }
        windows.advance(to: watermark + 100_000)
        drain()
        #expect(open.isEmpty)
        return stored
    }

    /// No two of its values are alike.
    private static var telling: RequestRecord {
        var record = RequestRecord(
            id: Make.id(0), at: 5, startedAt: 4, route: "support", outcome: .complete, status: 200, totalMs: 1)
        (record.provider, record.model, record.target) = ("openai", "large", "openai/large-eu")
        (record.key, record.project, record.credential, record.variant) = ("web", "shop", "paid", "short")
        (record.session, record.user) = ("s1", "u1")
        record.tags = ["domain": "billing", "team": "red"]
        (record.policy, record.step, record.arm) = (7, 3, .explore)
        record.tokens = TokenUsage(input: 300, output: 70_000)
        record.prompt = RequestRecord.Prompt()
        record.prompt?.chars = 20_000
        return record
    }

    private static func key(
        route: String = "", model: String = "", arm: Arm = .stable, policy: Int = 0, others: [String] = []
    ) -> WindowKey {
        WindowKey(window: "w", route: route, modelKey: model, arm: arm, policy: policy, others: others)
    }

    private static let ofOneDimension: [(WindowDimension, WindowKey)] = [
        (.route, key(route: "support")), (.model, key(model: "openai/large")), (.arm, key(arm: .explore)),
        (.policy, key(policy: 7)), (.provider, key(others: ["openai"])), (.credential, key(others: ["paid"])),
        (.key, key(others: ["web"])), (.project, key(others: ["shop"])), (.variant, key(others: ["short"])),
        (.domain, key(others: ["billing"])), (.session, key(others: ["s1"])), (.size, key(others: ["256_1k"])),
    ]

    /// The keys of what a request that came twice counted in: the second time its key is known.
    private func resultKeys(_ dimensions: [WindowDimension], of record: RequestRecord) -> [WindowKey] {
        let definition = WindowDefinition(
            name: "w", key: dimensions, assigner: .tumbling(size: 1_000), latenessMs: 0,
            aggregates: AggregateSelection(measures: []))
        let windows = definition.makeOperator(partition: 0)
        for _ in 0...1 { #expect(windows.add(record, now: 0) == .counted) }
        windows.advance(to: .max)
        return windows.drain().results.map(\.key)
    }

    @Test("Each dimension says its own value of a request, and nothing else", arguments: ofOneDimension)
    func dimension(dimension: WindowDimension, expected: WindowKey) {
        #expect(resultKeys([dimension], of: Self.telling) == [expected])
    }

    @Test("Values stand in the order of the definition's dimensions, of which none is left out")
    func order() throws {
        #expect(Set(Self.ofOneDimension.map(\.0)) == Set(WindowDimension.allCases))
        let cases: [(dimensions: [WindowDimension], values: [String])] = [
            ([.session, .policy, .project, .route, .domain, .key], ["s1", "7", "shop", "support", "billing", "web"]),
            (
                [.size, .variant, .arm, .credential, .model, .provider],
                ["256_1k", "short", "explore", "paid", "openai/large", "openai"]
            ),
        ]
        for one in cases {
            let definition = WindowDefinition(name: "w", key: one.dimensions, assigner: .tumbling(size: 1_000))
            let key = try #require(resultKeys(one.dimensions, of: Self.telling).first)
            #expect(key.values(definition).map(\.dimension) == one.dimensions)
            #expect(key.values(definition).map(\.value) == one.values)
        }
    }

    @Test("The gateway's guess of a prompt's kind goes before the client's tag")
    func domain() {
        var record = Self.telling
        record.prompt?.domain = "code"
        #expect(resultKeys([.domain], of: record) == [Self.key(others: ["code"])])
    }
}
