import Foundation
import Statistics
import Testing

private struct Vectors: Decodable {
    struct Case: Decodable {
        let id: String
        let kind: String
        let input: JSON
        let expected: JSON
        let relTol: Double
        enum CodingKeys: String, CodingKey {
            case id, kind, input, expected
            case relTol = "rel_tol"
        }
    }
    let cases: [Case]

    static let all: [Case]? = {
        let root = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
        let file = URL(filePath: root).appending(path: "vectors/stats-vectors.json")
        guard let data = try? Data(contentsOf: file) else { return nil }
        return (try? JSONDecoder().decode(Vectors.self, from: data))?.cases
    }()

    /// All cases of `kind`; that there are none is a failure, not a pass.
    static func of(_ kind: String) throws -> [Case] {
        let cases = all?.filter { $0.kind == kind } ?? []
        try #require(!cases.isEmpty, "no case of \(kind)")
        return cases
    }
}

/// A loosely read JSON value: numbers, texts, arrays and objects.
private enum JSON: Decodable {
    case number(Double), text(String), list([JSON]), object([String: JSON]), truth(Bool), other

    init(from decoder: any Decoder) throws {
        let c = try decoder.singleValueContainer()
        if let value = try? c.decode(Double.self) {
            self = .number(value)
        } else if let value = try? c.decode(String.self) {
            self = .text(value)
        } else if let value = try? c.decode([JSON].self) {
            self = .list(value)
        } else if let value = try? c.decode([String: JSON].self) {
            self = .object(value)
        } else if let value = try? c.decode(Bool.self) {
            self = .truth(value)
        } else {
            self = .other
        }
    }

    subscript(key: String) -> JSON { if case .object(let o) = self { o[key] ?? .other } else { .other } }
    subscript(at: Int) -> JSON { list[at] }
    var list: [JSON] { if case .list(let values) = self { values } else { [] } }
    var number: Double { if case .number(let value) = self { value } else { .nan } }
    var numbers: [Double] { list.map(\.number) }
    var truth: Bool? { if case .truth(let value) = self { value } else { nil } }
    var text: String { if case .text(let value) = self { value } else { "" } }
}

private func close(_ a: Double, _ b: Double, _ tolerance: Double) -> Bool {
    abs(a - b) <= tolerance * (b == 0 ? 1 : abs(b))
}

/// Reference values computed apart from this code; where the test data is not there, the cases beside these run alone.
@Suite(.enabled(if: Vectors.all != nil, "TRIMTAB_TEST_DATA holds no vectors/stats-vectors.json"))
struct StatisticsVectorTests {
    private func check(_ kind: String, _ values: (JSON) -> [String: Double]) throws {
        for example in try Vectors.of(kind) {
            for (name, value) in values(example.input) {
                let expected = example.expected[name].number
                #expect(close(value, expected, example.relTol), "\(example.id) \(name): \(value) is not \(expected)")
            }
        }
    }

    @Test func specialFunctions() throws {
        try check("special_function") { input in
            let x = input["args"].numbers
            switch input["fn"].text {
            case "norm_cdf": return ["value": normalCDF(x[0])]
            case "norm_ppf": return ["value": normalQuantile(x[0])]
            case "t_ppf": return ["value": studentQuantile(x[0], degrees: x[1])]
            case "beta_inc": return ["value": regularizedBeta(x[2], x[0], x[1])]
            case "gammaln": return ["value": logGamma(x[0])]
            case "chi2_sf": return ["value": chiSquareSurvival(x[0], degrees: Int(x[1]))]
            default:
                Issue.record("Unknown function \(input["fn"].text)")
                return [:]
            }
        }
    }

    @Test func twoProportions() throws {
        for example in try Vectors.of("two_proportions") {
            func count(_ name: String) -> Int64 { Int64(example.input[name].number) }
            let both = TwoProportions(
                candidate: .init(events: count("canary_errors"), trials: count("canary_n")),
                control: .init(events: count("control_errors"), trials: count("control_n")))
            let wilson = both.candidate.wilson(), exact = both.candidate.clopperPearson(), newcombe = both.newcombe()
            let expected = example.expected
            let pairs: [(Double, Double)] = [
                (both.pooledZ, expected["z_pooled"].number),
                (2 * normalCDF(-abs(both.pooledZ)), expected["p_two_sided"].number),
                (both.fisherTwoSided, expected["fisher_two_sided"].number),
                (both.fisherGreater, expected["fisher_greater"].number),
                (both.conditionalBinomialGreater, expected["cond_binomial_p_greater"].number),
                (newcombe?.lowerBound ?? .nan, expected["newcombe95_lower"].number),
                (newcombe?.upperBound ?? .nan, expected["newcombe95_upper"].number),
                (wilson.lowerBound, expected["wilson95_canary"][0].number),
                (wilson.upperBound, expected["wilson95_canary"][1].number),
                (exact.lowerBound, expected["clopper_pearson95_canary"][0].number),
                (both.probabilityCandidateIsHigher, expected["jeffreys_prob_canary_worse"].number),
                (exact.upperBound, expected["clopper_pearson95_canary"][1].number),
            ]
            for (index, pair) in pairs.enumerated() {
                // One bound is zero but for rounding.
                let isClose = close(pair.0, pair.1, example.relTol) || abs(pair.0 - pair.1) < 1e-15
                #expect(isClose, "\(example.id) value \(index): \(pair)")
            }
        }
    }

    @Test func eventsSplit() throws {
        for example in try Vectors.of("events_split_e_process") {
            let tolerance = example.input["lambda0"].number
            #expect(example.input["grid_multipliers"].numbers == SequentialTest.grid)
            let test = SequentialTest.eventsSplit(tolerance: tolerance)
            var split = EventSplit(tolerance: tolerance), elsewhere = EventSplit(tolerance: 7), crossed: Double?
            var logE = SequentialTest.grid.map { _ in 0.0 }
            let at = example.expected["at"].numbers, expected = example.expected["log_e"].numbers
            for (index, event) in example.input["events"].list.enumerated() {
                let isCandidate = event[0].number == 1
                let counts = TwoArmCounts(candidateEvents: isCandidate ? 1 : 0, controlEvents: isCandidate ? 0 : 1)
                logE = zip(logE, test.increments(counts, candidateShare: event[1].number)).map(+)
                let stratum = EventSplit.Stratum(
                    share: event[1].number, candidateEvents: isCandidate ? 1 : 0, controlEvents: isCandidate ? 0 : 1)
                split.add(stratum)
                elsewhere.add(stratum)
                if crossed == nil, split.logE >= -log(0.01) { crossed = Double(index + 1) }
                if let look = at.firstIndex(of: Double(index + 1)) {
                    #expect(close(split.logE, expected[look], example.relTol))
                    #expect(close(elsewhere.logE(tolerance: tolerance), expected[look], example.relTol))
                    #expect(close(logMeanExp(logE), expected[look], example.relTol), "\(example.id) after \(index + 1)")
                }
            }
            let firstCross = example.expected["first_cross_alpha01"].number
            #expect(firstCross.isNaN ? crossed == nil : crossed == firstCross)
        }
    }

    @Test func sampleRatio() throws {
        try check("srm") { input in
            let test = SampleRatioTest(
                counts: input["counts"].numbers.map { Int64($0) }, weights: input["weights"].numbers)
            return [
                "chi2": test.chiSquare, "p_chi2": test.chiSquareP, "log_e_dirichlet_multinomial": test.logE,
            ]
        }
    }

    @Test func sampleRatioAlarms() throws {
        for example in try Vectors.of("srm") {
            let test = SampleRatioTest(
                counts: example.input["counts"].numbers.map { Int64($0) }, weights: example.input["weights"].numbers)
            #expect((test.chiSquareP < 0.001) == example.expected["alarm_chi2_0_001"].truth)
            #expect((test.logE >= log(1_000)) == example.expected["alarm_e_1000"].truth)
        }
    }

    @Test func quantileRanks() throws {
        try check("quantile_cs_ranks") { input in
            let sequence = QuantileSequence(
                p: input["p"].number, alpha: input["alpha"].number, concentration: input["concentration"].number)
            let ranks = sequence.ranks(count: Int64(input["t"].number))
            return ["k_min": Double(ranks.lowerBound), "k_max": Double(ranks.upperBound)]
        }
    }

    @Test func boundedMeans() throws {
        for example in try Vectors.of("bounded_mean_cs") {
            let input = example.input, expected = example.expected, alpha = input["alpha_cs"].number
            var sequence = BoundedMeanSequence(tunedFor: alpha)
            var test = BettingTest(null: input["m0"].number, tunedFor: input["alpha_bet"].number)
            // The same, seen from the other side.
            var mirrored = BettingTest(null: 1 - input["m0"].number, below: true, tunedFor: input["alpha_bet"].number)
            let at = input["at"].numbers
            for (index, x) in input["x"].numbers.enumerated() {
                sequence.add(x)
                test.add(x)
                mirrored.add(1 - x)
                guard let look = at.firstIndex(of: Double(index + 1)) else { continue }
                let interval = sequence.interval(alpha: alpha), wealth = expected["log_betting_wealth_mean_gt_m0"][look]
                #expect(close(interval.lowerBound, expected["eb_lower"][look].number, example.relTol))
                #expect(close(interval.upperBound, expected["eb_upper"][look].number, example.relTol))
                #expect(close(test.logE, wealth.number, example.relTol))
                #expect(close(mirrored.logE, wealth.number, example.relTol))
            }
        }
    }

    @Test func quantiles() throws {
        try check("quantile_type7") { input in
            ["q": quantile(input["p"].number, ofSorted: input["data"].numbers.sorted()) ?? .nan]
        }
    }

    // The alarms below are counted from the first value as 1.
    @Test func cusum() throws {
        for example in try Vectors.of("cusum") {
            let input = example.input, expected = example.expected
            var chart = CUSUM(allowance: input["k"].number, limit: input["h"].number)
            var highest = (above: 0.0, below: 0.0), alarm: Int?
            for (index, x) in input["x"].numbers.enumerated() {
                chart.add((x - input["mu"].number) / input["sd"].number)
                highest = (max(highest.above, chart.above), max(highest.below, chart.below))
                if alarm == nil, chart.isAlarm { alarm = index + 1 }
            }
            #expect(close(chart.above, expected["pos_last"].number, example.relTol))
            #expect(close(chart.below, expected["neg_last"].number, example.relTol))
            #expect(close(highest.above, expected["max_pos"].number, example.relTol))
            #expect(close(highest.below, expected["max_neg"].number, example.relTol))
            #expect(alarm == Int(expected["alarm_index"].number))
        }
    }

    @Test func pageHinkley() throws {
        for example in try Vectors.of("page_hinkley_increase") {
            let input = example.input, expected = example.expected
            var test = PageHinkley(allowance: input["delta"].number, limit: input["lambda_"].number)
            var highest = 0.0, alarm: Int?
            for (index, x) in input["x"].numbers.enumerated() {
                test.add(x)
                highest = max(highest, test.statistic)
                if alarm == nil, test.isAlarm { alarm = index + 1 }
            }
            #expect(close(test.statistic, expected["stat_last"].number, example.relTol))
            #expect(close(highest, expected["stat_max"].number, example.relTol))
            #expect(alarm == Int(expected["alarm_index"].number))
        }
    }

    @Test func ewmaChart() throws {
        for example in try Vectors.of("ewma_chart") {
            let input = example.input, expected = example.expected
            var chart = EWMAChart(
                mean: input["mu"].number, deviation: input["sd"].number, weight: input["lam"].number,
                width: input["L"].number)
            var alarm: Int?
            for (index, x) in input["x"].numbers.enumerated() {
                chart.add(x)
                if index == 0 { #expect(close(chart.limit, expected["limit_first"].number, example.relTol)) }
                if alarm == nil, chart.isAlarm { alarm = index + 1 }
            }
            #expect(close(chart.value, expected["z_last"].number, example.relTol))
            #expect(close(chart.limit, expected["limit_last"].number, example.relTol))
            #expect(alarm == Int(expected["alarm_index"].number))
        }
    }

    @Test func generalizedESD() throws {
        for example in try Vectors.of("gesd") {
            let input = example.input, expected = example.expected, x = input["x"].numbers
            let test = GeneralizedESD(x, most: Int(input["k"].number), alpha: input["alpha"].number)
            #expect(test.steps.map(\.index) == expected["removed_index0"].numbers.map { Int($0) })
            #expect(test.outliers.count == Int(expected["n_outliers"].number))
            for (step, (deviate, critical)) in zip(
                test.steps, zip(expected["R"].numbers, expected["lambda_"].numbers))
            {
                #expect(close(step.deviate, deviate, example.relTol))
                #expect(close(step.critical, critical, example.relTol))
            }
            #expect(close(quantile(0.5, ofSorted: x.sorted()) ?? .nan, expected["median"].number, example.relTol))
            #expect(close(medianAbsoluteDeviation(x) ?? .nan, expected["mad"].number, example.relTol))
        }
    }

    @Test func runLengths() throws {
        for example in try Vectors.of("bocpd_gaussian_known_variance") {
            let input = example.input, expected = example.expected
            var runs = RunLengths(
                hazard: input["hazard"].number, mean: input["mu0"].number, weight: input["kappa0"].number,
                variance: input["sigma2"].number)
            let mostProbable = input["x"].numbers.map { x in
                runs.add(x)
                return Double(runs.mostProbable)
            }
            #expect(mostProbable == expected["map_run_length"].numbers)
            for (index, probability) in expected["final_run_length_probs_first5"].numbers.enumerated() {
                #expect(close(runs.probabilities[index], probability, example.relTol))
            }
            #expect(close(runs.probabilities[15], expected["final_p_runlength_15"].number, example.relTol))
        }
    }

    @Test func asymptoticConfidenceSequence() throws {
        try check("asymptotic_cs") { input in
            let sequence = AsymptoticConfidenceSequence(
                alpha: input["alpha"].number, tunedFor: input["n_star"].number)
            let n = Int64(input["n"].number), variance = input["variance"].number
            let logE = sequence.logE(n: n, mean: input["estimate"].number, variance: variance)
            return [
                "half_width_two_sided": sequence.halfWidth(n: n, variance: variance),
                "half_width_one_sided": sequence.oneSidedHalfWidth(n: n, variance: variance),
                "log_e_value": logE,
                "always_valid_p": min(1, exp(-logE)),
            ]
        }
    }

    @Test func centredIPW() throws {
        for example in try Vectors.of("centred_ipw") {
            var ipw = CentredIPW()
            let first = example.expected["first5"].numbers
            for (index, row) in example.input["rows"].list.enumerated() {
                let z = ipw.add(row[2].number, isCandidate: row[0].number == 1, candidateShare: row[1].number)
                if index < first.count { #expect(close(z, first[index], example.relTol)) }
            }
            #expect(close(ipw.differences.mean ?? .nan, example.expected["mean"].number, example.relTol))
            #expect(close(ipw.differences.variance ?? .nan, example.expected["var_ddof1"].number, example.relTol))
        }
    }
}
