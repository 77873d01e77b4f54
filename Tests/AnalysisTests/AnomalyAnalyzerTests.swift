import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Testing

/// One route that is looked at minute by minute.
private struct Watched {
    var analyzer = AnomalyAnalyzer()
    var traffic = SimulatedTraffic()
    var random: SplitMix64
    var number: Int64 = 0
    var context = RouteContext(route: "test")

    init(seed: UInt64 = 1, dailySwing: Double = 0) {
        random = SplitMix64(seed: seed)
        traffic.dailySwing = dailySwing
    }

    /// What stands after each of the next minutes.
    @discardableResult
    mutating func pass(_ minutes: Int, _ change: (inout RouteMinute) -> Void = { _ in }) -> [[Observation]] {
        (0..<minutes).map { _ in
            var minute = traffic.minute(number, using: &random)
            number += 1
            change(&minute)
            return analyzer.observe(minute, context)
        }
    }
}

extension [[Observation]] {
    fileprivate func told(_ code: String, least: Finding.Severity = .info) -> [Observation] {
        flatMap { $0.filter { $0.code == code && $0.severity >= least } }
    }

    fileprivate var alarms: Set<String> { Set(flatMap { $0.filter { $0.severity > .info }.map(\.code) }) }
}

/// A model's answers to twenty fixed prompts. Even the same model gives other bytes now and then.
private struct FixedAnswers {
    var model = "sim/a"
    var revision: UInt64 = 1
    /// Of the prompts.
    var generation = 0
    var sent = 0

    init(model: String = "sim/a") { self.model = model }

    mutating func add(_ count: Int, to minute: inout RouteMinute) {
        minute.probes[model] = (0..<count).map { _ in
            sent += 1
            let other = Hash64.unit(Hash64.hash("\(sent)", salt: 7)) < 0.04
            return ProbeResult(
                probe: "p\(sent % 20).\(generation)", digest: revision << 32 + (other ? UInt64(sent) : 0),
                outputTokens: 50)
        }
    }
}

struct AnomalyAnalyzerTests {
    // MARK: Quiet when all is well

    @Test(arguments: [0, 0.6], [UInt64(1), 2])
    func healthyMonthIsQuiet(dailySwing: Double, seed: UInt64) {
        var route = Watched(seed: seed, dailySwing: dailySwing)
        #expect(route.pass(43_200).alarms.isEmpty)
    }

    @Test func quietRouteIsQuietToo() {
        var route = Watched(dailySwing: 0.6)
        route.traffic.requestsPerSecond = 0.02
        #expect(route.pass(43_200).alarms.isEmpty)
    }

    @Test func nightlySilenceOfLastWeekIsNoAlarm() {
        var route = Watched()
        let told = (0..<14 * 1_440).map { _ in
            let isOpen = (480..<1_200).contains(route.number % 1_440)
            return route.pass(1) { if !isOpen { $0.models = [] } }[0]
        }
        #expect([[Observation]](told.dropFirst(2 * 1_440)).told("anomaly.traffic_gone").isEmpty)
    }

    // MARK: Fast when it is not

    @Test(arguments: [
        ("anomaly.errors", 20.0, 1.0, 1.0), ("anomaly.errors", 100, 1, 1), ("anomaly.latency", 1, 5, 1),
        ("anomaly.cost", 1, 1, 2),
    ])
    func faultIsToldWithinThreeMinutes(code: String, failures: Double, latency: Double, cost: Double) {
        for seed in UInt64(1)...5 {
            var route = Watched(seed: seed)
            #expect(route.pass(2_000).alarms.isEmpty)
            route.traffic.failureShare = min(1, 0.01 * failures)
            route.traffic.medianMs *= latency
            route.traffic.costNanoUSD *= cost
            let told = route.pass(3).told(code, least: .critical)
            guard let last = told.last else {
                Issue.record("\(code) is not told, seed \(seed)")
                continue
            }
            #expect(last.confidence >= 0.99)
            #expect(last.magnitude.lower < last.magnitude.estimate && last.magnitude.estimate <= last.magnitude.upper)
        }
    }

    @Test func errorsFromOneToFivePercentAreToldSoon() {
        var found = 0
        for seed in UInt64(1)...20 {
            var route = Watched(seed: seed)
            route.pass(2_000)
            route.traffic.failureShare = 0.05
            if !route.pass(3).told("anomaly.errors", least: .warning).isEmpty { found += 1 }
        }
        #expect(found >= 17)
    }

    @Test func trafficGoneIsTold() {
        var route = Watched()
        route.pass(2_000)
        let told = route.pass(3) { $0.models = [] }.told("anomaly.traffic_gone")
        #expect(told.last?.severity == .critical)
        #expect(told.last?.evidence["requests"] == 0)
        // And no longer once it is back.
        #expect(route.pass(30).last?.isEmpty == true)
    }

    @Test func statementSaysWhatWasAndWhatIs() throws {
        var route = Watched()
        route.pass(2_000)
        route.traffic.medianMs *= 5
        let told = try #require(route.pass(10).last?.first { $0.code == "anomaly.latency" })
        #expect(told.subject == .model("sim/a") && told.objective == .latency)
        #expect(told.magnitude.lower < 5 && told.magnitude.upper > 5)
        #expect(told.statement.contains("its level has jumped"))
        #expect(abs((told.evidence["before_ms"] ?? 0) - 800) < 80)
    }

    @Test func improvementsAreNoAlarms() {
        var route = Watched()
        route.traffic.failureShare = 0.1
        route.pass(2_000)
        route.traffic.failureShare = 0
        route.traffic.medianMs /= 5
        route.traffic.costNanoUSD /= 2
        let told = route.pass(60)
        #expect(told.alarms.isEmpty)
        #expect(!told.told("anomaly.latency").isEmpty && !told.told("anomaly.cost").isEmpty)
    }

    // MARK: As long as it lasts

    @Test func outageIsOneFindingFromBeginningToEnd() {
        var random = SplitMix64(seed: 3), analysis = RouteAnalysis(), traffic = SimulatedTraffic()
        var context = RouteContext(route: "test")
        for kind in AnalyzerKind.allCases where kind != .anomaly {
            context.settings.choices[kind] = AnalyzerChoices(enabled: false)
        }
        var opened: [String] = [], closed: [String] = []
        for number in Int64(0)..<3_000 {
            traffic.failureShare = (2_000..<2_120).contains(number) ? 1 : 0.01
            for change in analysis.observe(traffic.minute(number, using: &random), context, using: &random) {
                guard change.finding.severity > .info else { continue }
                switch change {
                case .opened(let finding): opened.append(finding.code)
                case .closed(let finding): closed.append(finding.code)
                case .updated, .raised: break
                }
            }
        }
        #expect(opened == ["anomaly.errors"] && closed == opened)
    }

    @Test func whatLastsForADayIsTheOrdinary() {
        var route = Watched()
        route.pass(2_000)
        route.traffic.medianMs *= 2
        #expect(!(route.pass(600).last ?? []).isEmpty)
        route.pass(900)
        #expect([route.pass(1)[0]].told("anomaly.latency").isEmpty)
    }

    @Test func slowDriftIsToldAsOne() throws {
        var route = Watched()
        route.pass(10 * 1_440)
        var told: [[Observation]] = []
        for _ in 0..<10 * 24 {
            route.traffic.medianMs *= exp(0.06 / 24)
            told += route.pass(60)
        }
        let seen = try #require(told.told("anomaly.latency", least: .warning).first)
        #expect(seen.statement.contains("a slow drift"))
    }

    @Test func moreSwingsAreTold() {
        var route = Watched()
        route.pass(3_000)
        let median = route.traffic.medianMs
        var told: [[Observation]] = []
        for _ in 0..<180 {
            route.traffic.medianMs = median * exp(0.17 * route.random.normal())
            told += route.pass(1)
        }
        #expect(told.told("anomaly.latency").contains { $0.statement.contains("swings") })
    }

    // MARK: Gaps

    @Test func gapIsToldAsGapAndNothingElse() {
        var route = Watched(dailySwing: 0.6)
        route.pass(2 * 1_440)
        let gap = route.pass(90) {
            $0.models = []
            $0.isGap = true
        }
        #expect(gap.allSatisfy { $0.map(\.code) == ["anomaly.telemetry_gap"] })
        #expect(gap.last?.first?.magnitude.estimate == 90)
        #expect(route.pass(1_440).alarms.isEmpty)
    }

    // MARK: Another model under the same name

    @Test func otherAnswersToFixedPromptsAreAChangedModel() {
        var route = Watched(), answers = FixedAnswers()
        #expect(route.pass(2_000) { answers.add(4, to: &$0) }.told(Self.changed).isEmpty)
        answers.revision = 2
        var told: [Observation] = []
        while told.isEmpty, answers.sent < 9_000 {
            told = route.pass(1) { answers.add(4, to: &$0) }.told(Self.changed, least: .warning)
        }
        #expect(!told.isEmpty)
        #expect(told.first?.subject == .model("sim/a"))
    }

    private static let changed = "anomaly.silent_model_change"

    /// At a pace of one prompt every five minutes, of a model that hardly anybody uses.
    @Test func aChangedModelIsToldUntilItIsTheOrdinaryWithRequestsOrWithout() throws {
        var route = Watched(), answers = FixedAnswers()
        func next(_ minutes: Int) -> [[Observation]] {
            route.pass(minutes) { minute in
                answers.add(minute.window.start / 60_000 % 5 == 0 ? 1 : 0, to: &minute)
                if minute.window.start / 60_000 % 7 != 0 { minute.models = [] }
            }
        }
        #expect(next(5 * 1_000).told(Self.changed).isEmpty)
        answers.revision = 2
        let first = try #require(next(300).firstIndex { ![$0].told(Self.changed).isEmpty })
        #expect(first < 150, "within 30 answers")
        // Also in the minutes between two answers.
        #expect(next(60).allSatisfy { ![$0].told(Self.changed).isEmpty })
        // After a day it is what is known, and one more change is told again.
        #expect(next(1_440).suffix(1).map { $0.map(\.code) }.allSatisfy { !$0.contains(Self.changed) })
        #expect(next(1_440).told(Self.changed).isEmpty)
        answers.revision = 3
        #expect(!next(300).told(Self.changed).isEmpty)
    }

    @Test func aModelThatThePoliciesNoLongerNameIsNotTold() {
        var route = Watched(), answers = FixedAnswers()
        route.pass(500) { answers.add(4, to: &$0) }
        answers.revision = 2
        #expect(!route.pass(30) { answers.add(4, to: &$0) }.told(Self.changed).isEmpty)
        #expect(route.pass(30).told(Self.changed).isEmpty)
    }

    /// Whether its model is probed or not, nothing else is said of the traffic.
    @Test func probesAreNoTraffic() {
        var plain = Watched(), probed = Watched(), answers = FixedAnswers(model: "sim/b")
        // More than either route has, so that the limits are the same.
        (plain.context.series, probed.context.series) = (100, 100)
        for _ in 0..<2_000 {
            let told = probed.pass(1) { answers.add(2, to: &$0) }
            #expect(told == plain.pass(1))
        }
        let without = plain.pass(5) { $0.models = [] }
        let with = probed.pass(5) { minute in
            answers.add(2, to: &minute)
            minute.models = []
        }
        #expect(!without.told("anomaly.traffic_gone").isEmpty && with == without)
    }

    /// Prompts that were replaced make room, however often.
    @Test func changedPromptsAreLearntAnew() {
        var route = Watched(), answers = FixedAnswers(), sizes: [Int] = []
        for generation in 0..<6 {
            answers.generation = generation
            let told = route.pass(500) { minute in
                answers.add(4, to: &minute)
                minute.models = []
            }
            #expect(told.told(Self.changed).isEmpty)
            sizes.append((try? JSONEncoder().encode(route.analyzer).count) ?? .max)
        }
        #expect((sizes.last ?? .max) < sizes[2] + 2_000, "\(sizes)")
        answers.revision = 2
        #expect(!route.pass(30) { answers.add(4, to: &$0) }.told(Self.changed).isEmpty)
    }

    // MARK: Bounds

    @Test func restoredStateSaysTheSameAndIsSmall() throws {
        var route = Watched()
        route.pass(8 * 1_440)
        let data = try JSONEncoder().encode(route.analyzer)
        #expect(data.count < 25_000)
        var other = route
        other.analyzer = try JSONDecoder().decode(AnomalyAnalyzer.self, from: data)
        #expect(other.analyzer == route.analyzer)
        route.traffic.medianMs *= 2
        other.traffic.medianMs *= 2
        #expect(route.pass(20) == other.pass(20))
    }

    @Test func modelsAreBounded() {
        var route = Watched()
        let one = route.traffic.modelMinute(0, using: &route.random)?.users ?? WindowAggregate()
        for batch in 0..<10 {
            route.pass(1) { minute in
                minute.models = (0..<50).map {
                    var model = ModelMinute("sim/\(50 * batch + $0)")
                    model.users = one
                    return model
                }
            }
        }
        #expect(route.analyzer.series <= 2 + AnomalyAnalyzer.mostModels * 8)
    }
}
