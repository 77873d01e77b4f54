import Core
import Decisions
import Testing

struct NoisyDecisionTests {
    /// Six models with qualities and prices drawn at random; every estimate comes from 60 to 600 answers.
    private func models(_ random: inout SplitMix64) -> [Model] {
        (0..<6).map { index in
            Model(
                key: "m\(index)", quality: 0.6 + 0.38 * random.unit(), cost: 0.1 + 3 * random.unit() * random.unit(),
                answers: 60 + Int(540 * random.unit()))
        }
    }

    @Test("Noise moves traffic in the wrong direction in at most 2 % of 1,000 routes, and still finds gains")
    func wrongDirection() throws {
        let tolerance = 0.05
        var (wrong, moved) = (0, 0)
        for seed in 1...1_000 as ClosedRange<UInt64> {
            var random = SplitMix64(seed: seed)
            let models = models(&random)
            let outcome = try Fixture(models: models, tolerance: tolerance, seed: random.next()).outcome()
            guard let chosen = models.first(where: { $0.key == outcome.chosen }), let cost = chosen.cost,
                let old = models[0].cost
            else { continue }
            moved += 1
            let inferior = chosen.quality < models[0].quality - tolerance
            let better = cost < old || chosen.quality > models[0].quality
            if inferior || !better { wrong += 1 }
        }
        #expect(wrong <= 20)
        #expect(moved >= 300)
    }

    @Test("Models that are all the same are left alone in 98 % of 500 routes")
    func allTheSame() throws {
        let moved = try (1...500 as ClosedRange<UInt64>).count { seed in
            let models = (0..<6).map { Model(key: "m\($0)", quality: 0.85, cost: 1, answers: 300) }
            return try Fixture(models: models, tolerance: 0.05, seed: seed).outcome().chosen != nil
        }
        #expect(moved <= 10)
    }
}
