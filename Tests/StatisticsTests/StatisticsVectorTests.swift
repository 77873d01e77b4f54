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

    static func of(_ kind: String) -> [Case] { all?.filter { $0.kind == kind } ?? [] }
}

/// A loosely read JSON value: numbers, texts, arrays and objects.
private enum JSON: Decodable {
    case number(Double), text(String), list([JSON]), object([String: JSON]), other

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
        } else {
            self = .other
        }
    }

    subscript(key: String) -> JSON { if case .object(let o) = self { o[key] ?? .other } else { .other } }
    subscript(at: Int) -> JSON { list[at] }
    var list: [JSON] { if case .list(let values) = self { values } else { [] } }
    var number: Double { if case .number(let value) = self { value } else { .nan } }
    var numbers: [Double] { list.map(\.number) }
    var text: String { if case .text(let value) = self { value } else { "" } }
}

private func close(_ a: Double, _ b: Double, _ tolerance: Double) -> Bool {
    abs(a - b) <= tolerance * max(abs(b), 1e-6)
}

/// Reference values computed apart from this code; where the test data is not there, the cases beside these run alone.
@Suite(.enabled(if: Vectors.all != nil, "TRIMTAB_TEST_DATA holds no vectors/stats-vectors.json"))
struct StatisticsVectorTests {
    private func check(_ kind: String, _ values: (JSON) -> [String: Double]) {
        let cases = Vectors.of(kind)
        #expect(!cases.isEmpty)
        for example in cases {
            for (name, value) in values(example.input) {
                let expected = example.expected[name].number
                #expect(close(value, expected, example.relTol), "\(example.id) \(name): \(value) is not \(expected)")
            }
        }
    }

    @Test func specialFunctions() {
        check("special_function") { input in
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

    @Test func twoProportions() {
        for example in Vectors.of("two_proportions") {
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
                (exact.upperBound, expected["clopper_pearson95_canary"][1].number),
            ]
            for (index, pair) in pairs.enumerated() {
                #expect(close(pair.0, pair.1, example.relTol), "\(example.id) value \(index): \(pair)")
            }
        }
    }

    @Test func eventsSplit() {
        for example in Vectors.of("events_split_e_process") {
            let test = SequentialTest.eventsSplit(tolerance: example.input["lambda0"].number)
            var logE = SequentialTest.grid.map { _ in 0.0 }
            let at = example.expected["at"].numbers, expected = example.expected["log_e"].numbers
            for (index, event) in example.input["events"].list.enumerated() {
                let isCandidate = event[0].number == 1
                let counts = TwoArmCounts(candidateEvents: isCandidate ? 1 : 0, controlEvents: isCandidate ? 0 : 1)
                logE = zip(logE, test.increments(counts, candidateShare: event[1].number)).map(+)
                if let look = at.firstIndex(of: Double(index + 1)) {
                    #expect(close(logMeanExp(logE), expected[look], example.relTol), "\(example.id) after \(index + 1)")
                }
            }
        }
    }

    @Test func sampleRatio() {
        check("srm") { input in
            let test = SampleRatioTest(
                counts: input["counts"].numbers.map { Int64($0) }, weights: input["weights"].numbers)
            return [
                "chi2": test.chiSquare, "p_chi2": test.chiSquareP, "log_e_dirichlet_multinomial": test.logE,
            ]
        }
    }

    @Test func quantiles() {
        check("quantile_type7") { input in
            ["q": quantile(input["p"].number, ofSorted: input["data"].numbers.sorted()) ?? .nan]
        }
    }

    @Test func asymptoticConfidenceSequence() {
        check("asymptotic_cs") { input in
            let sequence = AsymptoticConfidenceSequence(
                alpha: input["alpha"].number, tunedFor: input["n_star"].number)
            let n = Int64(input["n"].number), variance = input["variance"].number
            return [
                "half_width_two_sided": sequence.halfWidth(n: n, variance: variance),
                "half_width_one_sided": sequence.oneSidedHalfWidth(n: n, variance: variance),
                "log_e_value": sequence.logE(n: n, mean: input["estimate"].number, variance: variance),
            ]
        }
    }

    @Test func centredIPW() {
        for example in Vectors.of("centred_ipw") {
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
