import Core
import Statistics
import Testing

struct ControlChartTests {
    /// Without a shift the sums take some 470 values to their limit of 5 (Montgomery); with one of a deviation about 10.
    @Test func cusumFindsSmallShiftSoon() {
        func length(shift: Double) -> Double {
            var total = 0
            for seed in UInt64(1)...400 {
                var random = SplitMix64(seed: seed), chart = CUSUM()
                while !chart.isAlarm {
                    chart.add(shift + random.normal())
                    total += 1
                }
            }
            return Double(total) / 400
        }
        #expect((380...560).contains(length(shift: 0)))
        #expect((9...12).contains(length(shift: 1)))
        #expect((9...12).contains(length(shift: -1)))
    }

    @Test func runLengthsAreBoundedAndProbabilities() {
        var runs = RunLengths(hazard: 0.01, mean: 0, weight: 0.1, variance: 1, longest: 30)
        var random = SplitMix64(seed: 3)
        for index in 0..<500 {
            runs.add((index < 300 ? 0 : 4) + random.normal())
            #expect(runs.probabilities.count <= 30)
            #expect(abs(runs.probabilities.reduce(0, +) - 1) < 1e-9)
            if index == 310 { #expect((9...12).contains(runs.mostProbable)) }
        }
    }

    @Test func valueThatNoRunExplainsStartsAnew() {
        var runs = RunLengths(hazard: 0.01, mean: 0, weight: 1, variance: 1)
        for _ in 0..<20 { runs.add(0) }
        runs.add(1e200)
        #expect(runs.mostProbable == 0 && runs.probabilities == [1])
        runs.add(.nan)
        #expect(runs.probabilities == [1])
    }

    @Test func outliersNeedSomethingToLieOutOf() {
        #expect(GeneralizedESD([], most: 3).outliers.isEmpty)
        #expect(GeneralizedESD([5, 5, 5, 5], most: 3).outliers.isEmpty)
        #expect(GeneralizedESD([1, 9], most: 3).steps.isEmpty)
        // Two alike hide each other from a test of one at a time.
        let values = (0..<30).map { Double($0 % 7) } + [40, 41]
        #expect(Set(GeneralizedESD(values, most: 4).outliers) == [30, 31])
    }
}
