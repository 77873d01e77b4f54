import ControlLoop
import Core
import Policy
import Server
import Simulation
import StateStore

/// What a rehearsal of the demo's route costs, and how many requests its rollouts spend until each fault is rolled back.
enum RehearsalBench: Benchmark {
    static let name = "rollouts-rehearsal"
    private static let runs: UInt64 = 100

    static func run() async throws -> [Figure] {
        let scenario = try Scenarios.load("demo")
        guard let model = scenario.allModels.first(where: { $0.key == scenario.start }) else { return [] }
        var rehearsal = Rehearsal(
            route: scenario.route, stable: scenario.firstPolicy, candidate: nil,
            traffic: RehearsalTraffic(model, scenario.traffic), control: ControlSettings(engine: "bench"), seed: 0)
        var generator = SplitMix64(seed: 1)
        var reports: [RehearsalReport] = []
        let start = CPUClock.now()
        for seed in 1...runs {
            // Far apart: a rehearsal numbers its rollouts from its seed on.
            rehearsal.seed = seed &* 1_000
            reports.append(try await rehearsal.run(id: UUIDv7(milliseconds: 1, using: &generator), at: 1))
        }
        let seconds = (CPUClock.now() - start) / Double(runs)
        for report in reports where !report.passed { print("seed \(report.seed): \(report.summary)") }
        let passed = reports.count { $0.passed }
        print("rehearsals: \(passed) of \(runs) passed, \(seconds) s of CPU each")
        var figures = [
            Figure(name: "rollout.rehearsal.cpu", value: seconds, unit: "s"),
            Figure(name: "rollout.rehearsal.passed", value: Double(passed) / Double(runs), unit: "share"),
        ]
        for fault in RehearsalFault.allCases where fault != .none {
            let scores = reports.compactMap { report in report.scores.first { $0.fault == fault } }
            let spent = scores.filter { $0.outcome == .caught }.map(\.candidateRequests).sorted()
            let failures = scores.map(\.extraFailures).sorted()
            guard !spent.isEmpty else { continue }
            print(
                "\(fault.rawValue): \(spent.count) of \(scores.count) caught; requests median \(spent[spent.count / 2]), "
                    + "p95 \(spent[spent.count * 95 / 100]); extra failures median \(failures[failures.count / 2])")
            figures.append(
                Figure(
                    name: "rollout.rehearsal.\(fault.rawValue).median_requests", value: Double(spent[spent.count / 2]),
                    unit: "requests"))
        }
        return figures
    }
}
