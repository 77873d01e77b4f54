import Statistics
import Testing

struct ProportionTests {
    @Test(
        "Known values of special functions",
        arguments: [
            (normalCDF(0), 0.5), (normalCDF(-1.959963984540054), 0.025), (normalQuantile(0.975), 1.959963984540054),
            (normalQuantile(1e-10), -6.361340902404056), (logGamma(0.5), 0.5723649429247001),
            (logGamma(10), 12.801827480081469),
            (regularizedBeta(0.3, 1, 1), 0.3), (regularizedBeta(0.5, 4, 4), 0.5),
            (regularizedBeta(0.25, 1, 3), 0.578125),
            (inverseRegularizedBeta(0.578125, 1, 3), 0.25), (chiSquareSurvival(4, degrees: 2), 0.1353352832366127),
            (studentQuantile(0.975, degrees: 1), 12.706204736432095),
            (logMeanExp([1_000, 1_000]), 1_000),
        ] as [(Double, Double)])
    func knownValues(value: Double, expected: Double) {
        #expect(abs(value - expected) <= 1e-9 * max(1, abs(expected)))
    }

    @Test(
        "Intervals hold their rate, stay in 0...1 and shrink with more trials",
        arguments: [0, 1, 7, 50, 99, 100] as [Int64])
    func intervals(events: Int64) throws {
        let few = Proportion(events: events, trials: 100), many = Proportion(events: events * 100, trials: 10_000)
        for (a, b) in [(few.wilson(), many.wilson()), (few.clopperPearson(), many.clopperPearson())] {
            let rate = try #require(few.rate)
            #expect(a.contains(rate) && b.contains(rate))
            #expect(a.lowerBound >= 0 && a.upperBound <= 1)
            #expect(b.upperBound - b.lowerBound < a.upperBound - a.lowerBound)
        }
    }

    @Test("Nothing seen says nothing")
    func empty() {
        let none = Proportion(events: 0, trials: 0)
        #expect(none.rate == nil)
        #expect(none.wilson() == 0...1)
        #expect(none.clopperPearson() == 0...1)
        #expect(TwoProportions(candidate: none, control: none).newcombe() == nil)
        #expect(TwoProportions(candidate: none, control: none).fisherTwoSided == 1)
        #expect(quantile(0.5, ofSorted: []) == nil)
        #expect(Proportion(events: 7, trials: 3).rate == 1)
    }

    @Test("A tea taster's table: Fisher's own example")
    func fisher() {
        let table = TwoProportions(candidate: .init(events: 3, trials: 4), control: .init(events: 1, trials: 4))
        #expect(abs(table.fisherGreater - 17.0 / 70) < 1e-12)
        #expect(abs(table.fisherTwoSided - 34.0 / 70) < 1e-12)
    }
}
