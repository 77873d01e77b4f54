import Analysis
import ControlLoop
import Core
import Policy
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// Findings from what the stream stored: while it goes on, after a restart, and long afterwards.
struct AnalysisDriverTests {
    private static let start: Int64 = 1_767_225_600_000
    private static let minute: Int64 = 60_000
    private static let name = "support-chat"
    private static let model = "sim/strong-1"

    /// A store with a route and so many minutes of traffic, 300 requests each, whose requests all fail in `outage`, and of
    /// which nothing came in `silence`.
    private func store(
        minutes: Int, outage: Range<Int> = 0..<0, silence: Range<Int> = 0..<0
    ) async throws -> (InMemoryControlStore, RouteName) {
        let store = InMemoryControlStore()
        let name = try #require(RouteName(Self.name))
        let policy = RoutingPolicy(
            route: name, version: 1, createdAt: 0, createdBy: "test", reason: "",
            targets: [Target(id: Self.model, provider: "sim", model: "strong-1")])
        try await store.apply(Route(name: name), firstPolicy: policy, by: "test", now: Self.start)
        var generator = SplitMix64(seed: 3)
        let results = (0..<minutes).filter { !silence.contains($0) }.map { index in
            WindowResult(
                window: Self.window(index),
                key: WindowKey(route: Self.name, modelKey: Self.model, arm: .stable, policy: 1), partition: 0, pane: 0,
                aggregate: Self.aggregate(failing: outage.contains(index), &generator))
        }
        await store.add(results: results, feedback: [], panes: [], watermark: nil)
        return (store, name)
    }

    private static func window(_ index: Int) -> Window {
        Window(start: start + Int64(index) * minute, end: start + Int64(index + 1) * minute)
    }

    private static func aggregate(failing: Bool, _ generator: inout SplitMix64) -> WindowAggregate {
        var aggregate = WindowAggregate()
        aggregate.requests = 280 + Int64(generator.unit() * 40)
        let failures = failing ? aggregate.requests : generator.unit() < 0.3 ? 1 : 0
        aggregate.failures = failures
        if failures > 0 { aggregate.errors[.server] = failures }
        for _ in 0..<(aggregate.requests - failures) {
            aggregate.latency.insert(400 * (0.5 + generator.unit()))
            aggregate.cost.add(1_000_000 * (0.8 + 0.4 * generator.unit()))
        }
        return aggregate
    }

    private func driver(_ store: InMemoryControlStore) -> AnalysisDriver {
        AnalysisDriver(settings: AnalyzerSettings(), store: store, windowMs: Self.minute)
    }

    /// Lets the stream go on to the end of a minute, and the analyzers with it.
    private func go(_ driver: inout AnalysisDriver, _ store: InMemoryControlStore, to index: Int) async throws {
        let end = Self.window(index).end
        await store.add(results: [], feedback: [], panes: [], watermark: end)
        try await driver.tick(now: end + 2_000, seed: 1)
    }

    @Test func anOutageOpensAFindingAndItsEndClosesIt() async throws {
        let (store, name) = try await store(minutes: 240, outage: 180..<190)
        var driver = driver(store)
        var opened: Int?
        var closed: Int?
        for index in 0..<240 {
            try await go(&driver, store, to: index)
            let open = await store.findings(FindingQuery(route: name, status: .open, severity: .critical))
            if index < 180 { #expect(open.isEmpty, "nothing is wrong at minute \(index): \(open.map(\.statement))") }
            if opened == nil, !open.isEmpty { opened = index }
            if opened != nil, closed == nil, open.isEmpty { closed = index }
        }
        #expect(try #require(opened) <= 182, "within three minutes")
        #expect(try #require(closed) >= 190)
        let all = await store.findings(FindingQuery(route: name, code: "performance.errors"))
        #expect(all.count == 1, "one outage is one finding: \(all.map(\.statement))")
    }

    @Test func aRestartComesToTheSameFindings() async throws {
        func findings(restarts: Set<Int>) async throws -> [Finding] {
            let (store, name) = try await store(minutes: 220, outage: 180..<190)
            var driver = driver(store)
            for index in 0..<220 {
                if restarts.contains(index) { driver = self.driver(store) }
                try await go(&driver, store, to: index)
            }
            return await store.findings(FindingQuery(route: name))
        }
        let whole = try await findings(restarts: [])
        let broken = try await findings(restarts: [100, 179, 183, 184, 195])
        #expect(!whole.isEmpty)
        func shape(_ finding: Finding) -> [String] {
            [finding.code, finding.subject.text, finding.status.rawValue, "\(finding.openedAt)"]
        }
        #expect(broken.map(shape) == whole.map(shape))
    }

    /// A model that was changed under its name, by what it answers to fixed prompts: also one that nobody asks anything
    /// else, and however often the analyzers start anew.
    @Test(arguments: [[], [60, 199, 200, 201, 215]] as [Set<Int>])
    func aChangedModelIsToldByItsAnswersToFixedPrompts(restarts: Set<Int>) async throws {
        let (store, name) = try await store(minutes: 1, outage: 0..<0)
        var driver = driver(store)
        var told: Int?
        for index in 0..<230 {
            let digest: UInt64 = index < 200 ? 1 : 2
            for second in stride(from: 1 as Int64, to: 60, by: 10) {
                let at = Self.window(index).start + 1_000 * second
                for (model, digest) in [(Self.model, digest), ("sim/other", digest)] {
                    let result = ProbeResult(
                        probe: "p\(second)", digest: digest, outputTokens: 20)
                    await store.keep(StoredProbe(modelKey: model, at: at, result: result))
                }
            }
            if restarts.contains(index) { driver = self.driver(store) }
            try await go(&driver, store, to: index)
            let open = await store.findings(
                FindingQuery(route: name, code: "anomaly.silent_model_change", status: .open))
            if index < 200 { #expect(open.isEmpty, "nothing has changed at minute \(index)") }
            if told == nil, let finding = open.first {
                told = index
                #expect(open.count == 1 && finding.subject == .model(Self.model), "the route has no other model")
                #expect(finding.severity == .warning)
            }
        }
        // Six answers a minute, and each is read a minute later.
        let minute = try #require(told)
        #expect((202...206).contains(minute), "\(minute)")
    }

    /// What is written while a minute is analyzed belongs to the next one: read again, the minute is the same.
    @Test func anAnswerThatComesLateInItsMinuteIsReadAllTheSame() async throws {
        let (store, name) = try await store(minutes: 1, outage: 0..<0)
        var driver = driver(store)
        var late = StoredProbe(
            modelKey: Self.model, at: 0, result: ProbeResult(probe: "p", digest: 1, outputTokens: 20))
        for index in 0..<110 {
            try await go(&driver, store, to: index)
            (late.at, late.result.digest) = (Self.window(index).end - 1, index < 90 ? 1 : 2)
            await store.keep(late)
        }
        let found = await store.findings(FindingQuery(route: name, code: "anomaly.silent_model_change"))
        #expect(found.count == 1)
    }

    @Test func theBacktestSaysWhatWasSaidAndWritesNothing() async throws {
        let (store, name) = try await store(minutes: 240, outage: 180..<190)
        var driver = driver(store)
        for index in stride(from: 0, to: 240, by: 1) { try await go(&driver, store, to: index) }
        let said = await store.findings(FindingQuery(route: name))
        let range = Self.window(170).start..<Self.window(239).end
        let test = try await driver.backtest(name, in: range, warmUpMs: 170 * Self.minute)
        #expect(test.minutes == 70 && test.warmUpMinutes == 170)
        #expect(Set(test.findings.map(\.code)).isSuperset(of: said.filter { $0.severity == .critical }.map(\.code)))
        let again = try await driver.backtest(name, in: range, warmUpMs: 170 * Self.minute)
        #expect(again.findings == test.findings)
        let without = try await driver.backtest(
            name, in: range,
            choices: ["performance": AnalyzerChoices(enabled: false), "anomaly": AnalyzerChoices(enabled: false)],
            warmUpMs: 170 * Self.minute)
        #expect(!without.findings.contains { $0.analyzer == .performance || $0.analyzer == .anomaly })
        #expect(await store.findings(FindingQuery(route: name)) == said)
    }

    @Test func aStreamThatStandsStillIsToldAsThatAndAsNothingElse() async throws {
        let (store, name) = try await store(minutes: 120, outage: 0..<0)
        var driver = driver(store)
        for index in 0..<100 { try await go(&driver, store, to: index) }
        let before = await store.findings(FindingQuery(route: name))
        let end = Self.window(99).end
        for late in [60_000, 179_000] as [Int64] { try await driver.tick(now: end + late, seed: 1) }
        #expect(await store.findings(FindingQuery(route: name)) == before)
        for late in stride(from: 181_000 as Int64, to: 3_600_000, by: 60_000) {
            try await driver.tick(now: end + late, seed: 1)
        }
        let open = await store.findings(FindingQuery(route: name, status: .open))
        #expect(open.map(\.code).filter { !before.map(\.code).contains($0) } == ["anomaly.telemetry_gap"])
        // It goes on, catches up, and says so no more.
        for index in 100..<120 { try await go(&driver, store, to: index) }
        #expect(await store.findings(FindingQuery(route: name)).count == before.count + 1)
    }

    // MARK: Records that a gateway has and the event log has not

    /// - Parameters:
    ///   - report: what a gateway says in the minute, by its number; `nil` once it is silent.
    ///   - restarts: minutes before which another leader takes over.
    /// - Returns: What opened from the start of the silence on, which is 20 minutes long and begins at minute 200.
    private func found(
        minutes: Int = 260, restarts: Set<Int> = [], report: (Int) -> GatewayStatus?
    ) async throws -> [Finding] {
        let (store, name) = try await store(minutes: minutes, silence: 200..<min(220, minutes))
        var driver = driver(store)
        for index in 0..<minutes {
            if restarts.contains(index) { driver = self.driver(store) }
            await store.heartbeat(GatewayStatus(id: "other", epoch: 1, seenAt: Self.window(index).end))
            if let status = report(index) { await store.heartbeat(status) }
            try await go(&driver, store, to: index)
        }
        return await store.findings(FindingQuery(route: name)).filter { $0.openedAt >= Self.window(199).end }
    }

    private static func report(_ index: Int, since: Int64?) -> GatewayStatus {
        GatewayStatus(id: "cut-off", epoch: 1, seenAt: window(index).end, unshippedSince: since)
    }

    @Test func recordsThatAGatewayStillHasAreAGapAndNoLackOfTraffic() async throws {
        let without = try await found { Self.report($0, since: nil) }
        #expect(without.contains { $0.code == "anomaly.traffic_gone" && $0.severity == .critical })

        // It cannot reach the event log from the middle of a minute on, and what it has comes too late to be counted.
        let since = Self.window(199).start + 31_000
        let cutOff = { (index: Int) in Self.report(index, since: (199..<220).contains(index) ? since : nil) }
        let told = try await found(report: cutOff)
        #expect(told.map(\.code) == ["anomaly.telemetry_gap"])
        let gap = try #require(told.first)
        #expect(gap.severity == .warning && gap.status == .closed && gap.magnitude.estimate == 21)
        #expect(gap.openedAt == Self.window(199).end && gap.updatedAt <= Self.window(232).end)

        // What was a gap stays one for a leader that comes when the gateway has long shipped all it had.
        for restarts in [[205], [220], [221, 222], [230]] as [Set<Int>] {
            #expect(try await found(restarts: restarts, report: cutOff).map(\.code) == ["anomaly.telemetry_gap"])
        }
    }

    /// One that is gone with its records hides nothing for longer than a restart takes.
    @Test func aGatewayThatVanishedIsBelievedForAWhile() async throws {
        let since = Self.window(200).start
        let life = Int(AnalysisDriver.reportLifeMs / Self.minute)
        let vanished = { (index: Int) in index < 201 ? Self.report(index, since: index < 200 ? nil : since) : nil }
        let during = try await found(minutes: 200 + life, report: vanished)
        #expect(during.map(\.code) == ["anomaly.telemetry_gap"])
        #expect(during.first?.status == .open)
        let after = try await found(minutes: 220, report: vanished)
        #expect(after.contains { $0.code == "anomaly.traffic_gone" })
    }

    @Test func aRouteHasThresholdsOfItsOwn() async throws {
        let (store, name) = try await store(minutes: 240, outage: 180..<190)
        var route = Route(name: name)
        route.analyzers = ["performance": AnalyzerChoices(enabled: false), "anomaly": AnalyzerChoices(enabled: false)]
        try await store.apply(route, firstPolicy: nil, by: "test", now: Self.start)
        var driver = driver(store)
        for index in 0..<240 { try await go(&driver, store, to: index) }
        #expect(!(await store.findings(FindingQuery(route: name))).contains { $0.analyzer == .performance })
    }
}
