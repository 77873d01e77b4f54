import Foundation
import RolloutComparison
import Testing

private struct Vectors: Decodable {
    struct Input: Decodable {
        let control: [Double]
        let canary: [Double]
        let confidence: Double?
    }
    struct Case: Decodable {
        let id: String
        let input: Input
        let expected: [String: Double]
        let tolerance: Double
        enum CodingKeys: String, CodingKey {
            case id, input, expected
            case tolerance = "rel_tol"
        }
    }
    private struct Kind: Decodable { let kind: String }
    private enum Keys: String, CodingKey { case cases }

    var ranks: [Case] = []
    var shifts: [Case] = []

    init(from decoder: any Decoder) throws {
        // Other kinds have other inputs: each case says its kind before it is read.
        let container = try decoder.container(keyedBy: Keys.self)
        let kinds = try container.decode([Kind].self, forKey: .cases).map(\.kind)
        var list = try container.nestedUnkeyedContainer(forKey: .cases)
        for kind in kinds {
            switch kind {
            case "mann_whitney": ranks.append(try list.decode(Case.self))
            case "hodges_lehmann": shifts.append(try list.decode(Case.self))
            default: _ = try list.decode(Kind.self)
            }
        }
    }

    static let all: Vectors? = {
        let root = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
        let file = URL(filePath: root).appending(path: "vectors/stats-vectors.json")
        guard let data = try? Data(contentsOf: file) else { return nil }
        return try? JSONDecoder().decode(Vectors.self, from: data)
    }()
}

/// Reference values computed apart from this code.
@Suite(.enabled(if: Vectors.all != nil, "TRIMTAB_TEST_DATA holds no vectors/stats-vectors.json"))
struct RankVectorTests {
    private func check(_ example: Vectors.Case, _ values: [String: Double], unchecked: Set<String> = []) {
        for (name, expected) in example.expected where !unchecked.contains(name) {
            let value = values[name] ?? .nan
            #expect(
                abs(value - expected) <= example.tolerance * max(abs(expected), 1e-6),
                "\(example.id) \(name): \(value) is not \(expected)")
        }
    }

    @Test func mannWhitney() throws {
        let cases = try #require(Vectors.all).ranks
        #expect(!cases.isEmpty)
        for example in cases {
            let test = MannWhitney(candidate: example.input.canary, control: example.input.control)
            check(
                example,
                [
                    "U_canary": test.candidateU, "U_control": test.controlU, "sigma_tie_corrected": test.sigma,
                    "z_no_continuity": test.z, "p_two_sided_continuity": test.pTwoSided,
                    "p_two_sided_no_continuity": test.pTwoSidedWithoutContinuity,
                    "p_greater_continuity": test.pGreater, "prob_superiority_A": test.superiority,
                    "cliffs_delta": test.cliffsDelta, "p_two_sided_exact": test.pTwoSidedExact ?? .nan,
                ])
        }
    }

    @Test func hodgesLehmann() throws {
        let cases = try #require(Vectors.all).shifts
        #expect(!cases.isEmpty)
        for example in cases {
            let shift = HodgesLehmann(
                candidate: example.input.canary, control: example.input.control,
                confidence: try #require(example.input.confidence))
            check(
                example,
                [
                    "estimate": shift.estimate, "lower": shift.lower, "upper": shift.upper, "C": Double(shift.rank),
                ])
        }
    }
}
