import Core
import Simulation
import Testing

/// One seed, one world.
struct DeterminismTests {
    private func run(_ seed: UInt64) -> [SimulatedAnswer?] {
        var simulator = Simulator(models: ModelCatalog.builtIn, seed: seed)
        var workload = Workload(seed: seed)
        return (0..<200).map { index in
            let request = workload.next()
            return simulator.answer(
                .init(prompt: request?.prompt ?? "", inputTokens: request?.inputTokens ?? 0),
                model: ModelCatalog.builtIn[index % ModelCatalog.builtIn.count].key, nowMs: request?.atMs ?? 0)
        }
    }

    @Test func theSameSeedGivesTheSameAnswers() {
        #expect(run(3) == run(3))
        #expect(run(3) != run(4))
    }

    @Test func qualityDependsOnPromptAndModelAlone() {
        var simulator = Simulator(models: [plainModel("a"), plainModel("b")], seed: 1)
        let first = simulator.quality(prompt: "p", model: "sim/a")
        for _ in 0..<10 { _ = simulator.answer(.init(prompt: "p", inputTokens: 1), model: "sim/a", nowMs: 0) }
        #expect(simulator.quality(prompt: "p", model: "sim/a") == first)
        #expect(simulator.quality(prompt: "q", model: "sim/a") != first)
        #expect(simulator.quality(prompt: "p", model: "sim/b") != first)
        #expect(simulator.quality(prompt: "p", model: "none") == nil)
    }

    @Test(arguments: ModelCatalog.builtIn)
    func modelsBehaveAsDescribed(_ model: SimulatedModel) {
        var simulator = Simulator(models: [model], seed: 11)
        var quality = 0.0, slower = 0, failures = 0
        let count = 4_000
        for index in 0..<count {
            guard
                let answer = simulator.answer(
                    .init(prompt: "p-\(index)", inputTokens: 100), model: model.key, nowMs: 0)
            else { continue }
            quality += answer.quality
            failures += answer.outcome == .complete ? 0 : 1
            slower += answer.outcome == .complete && answer.latencyMs > model.latency.medianMs ? 1 : 0
            #expect((0...1).contains(answer.quality) && answer.ttftMs <= answer.latencyMs)
        }
        // The cut to 0...1 lowers a mean near 1 a little.
        #expect(abs(quality / Double(count) - model.quality.mean) < 0.03)
        #expect(abs(Double(failures) / Double(count) - model.errorRate) < 0.015)
        #expect(abs(Double(slower) / Double(count - failures) - 0.5) < 0.04)
    }

    @Test func arrivalsKeepTheirRateAndRepeat() {
        var poisson = Workload(arrivals: .poisson(ratePerS: 100), seed: 5)
        var last = 0.0
        for _ in 0..<10_000 { last = poisson.next()?.atMs ?? 0 }
        #expect(abs(last / 100_000 - 1) < 0.05)
        let list = [Arrival(atS: 3), Arrival(atS: 4, inputTokens: 7), Arrival(atS: 5)]
        var once = Workload(arrivals: .recorded(list, repeats: false), seed: 5)
        #expect((0..<4).map { _ in once.next()?.atMs } == [0, 1000, 2000, nil])
        var again = Workload(arrivals: .recorded(list, repeats: true), seed: 5)
        let times = (0..<5).compactMap { _ in again.next() }
        #expect(times.map(\.atMs)[3] > 2000 && times[4].atMs - times[3].atMs == 1000)
        #expect(times[1].inputTokens == 7)
    }

    @Test func sessionsLastAsLongAsAsked() {
        var shape = TrafficShape()
        shape.sessions = 50
        shape.requestsPerSession = 5
        var workload = Workload(shape: shape, seed: 5)
        var seen: [String: Int] = [:]
        for _ in 0..<20_000 { seen[workload.next()?.session ?? "", default: 0] += 1 }
        #expect(abs(20_000.0 / Double(seen.count) - 5) < 0.3)
    }
}
