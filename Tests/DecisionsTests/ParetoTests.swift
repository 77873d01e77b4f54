import Decisions
import Foundation
import Testing

/// The parts of the reference cases that the product uses.
private struct Vectors: Decodable {
    struct Case: Decodable {
        struct Input: Decodable {
            var points: [[Double]]?
            var slack: Double?
            var mean: [[Double]]?
            var standardError: [[Double]]?
            var margin: [Double]?
            enum CodingKeys: String, CodingKey {
                case points, mean
                case slack = "lex_rel_tol"
                case standardError = "se"
                case margin = "non_inferiority_margin"
            }
        }
        struct Expected: Decodable {
            var survivors: [Int]?
            var pick: Int?
            var dominates: [[Double?]]?
            var nonInferior: [[Double?]]?
            enum CodingKeys: String, CodingKey {
                case survivors = "lexicographic_survivors"
                case pick = "lexicographic_pick"
                case dominates = "prob_i_dominates_j"
                case nonInferior = "prob_non_inferior_all"
            }
        }
        var id: String
        var kind: String
        var input: Input
        var expected: Expected
    }
    var cases: [Case]

    static let all: [Case]? = {
        let root = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
        guard let data = try? Data(contentsOf: URL(filePath: root).appending(path: "vectors/pareto-vectors.json"))
        else { return nil }
        return (try? JSONDecoder().decode(Vectors.self, from: data))?.cases
    }()
}

struct ParetoTests {
    @Test(
        "Each objective keeps what is within its slack of the best left",
        arguments: [
            ([[1, 9], [1.04, 3], [1.2, 1]], [0.05, 0], [1]), ([[1, 3], [1, 3]], [0, 0], [0, 1]), ([], [0.1], []),
            ([[.infinity, 2], [.infinity, 1]], [0.1, 0], [1]),
        ] as [([[Double]], [Double], [Int])])
    func lexicographic(points: [[Double]], slack: [Double], left: [Int]) {
        #expect(Pareto.lexicographic(points, slack: slack) == left)
    }

    @Test("Known estimates have certain order, equal ones an even chance")
    func certain() {
        let one = Estimate(mean: 1, standardError: 0), two = Estimate(mean: 2, standardError: 0)
        #expect(one.probability(atMost: two) == 1 && two.probability(atMost: one) == 0)
        #expect(one.probability(atMost: one) == 0.5 && two.probability(atMost: one, margin: 1.5) == 1)
    }
}

@Suite(.enabled(if: Vectors.all != nil, "TRIMTAB_TEST_DATA holds no vectors/pareto-vectors.json"))
struct ParetoVectorTests {
    private func cases(_ kind: String) throws -> [Vectors.Case] {
        let found = try #require(Vectors.all).filter { $0.kind == kind }
        try #require(!found.isEmpty)
        return found
    }

    @Test func lexicographic() throws {
        for example in try cases("scalarisations") {
            let points = try #require(example.input.points), slack = try #require(example.input.slack)
            let left = Pareto.lexicographic(points, slack: points[0].map { _ in slack })
            #expect(left == example.expected.survivors, "\(example.id)")
            #expect(left.first == example.expected.pick, "\(example.id)")
        }
    }

    @Test func probabilityOfDominance() throws {
        for example in try cases("probabilistic_dominance") {
            let mean = try #require(example.input.mean), error = try #require(example.input.standardError)
            let margin = try #require(example.input.margin)
            let points = zip(mean, error).map { zip($0, $1).map { Estimate(mean: $0, standardError: $1) } }
            for (i, a) in points.enumerated() {
                for (j, b) in points.enumerated() where i != j {
                    func product(_ margin: [Double]) -> Double {
                        zip(zip(a, b), margin).reduce(1) { $0 * $1.0.0.probability(atMost: $1.0.1, margin: $1.1) }
                    }
                    for (value, expected) in [
                        (product(margin.map { _ in 0 }), example.expected.dominates?[i][j]),
                        (product(margin), example.expected.nonInferior?[i][j]),
                    ] {
                        let expected = try #require(expected)
                        #expect(abs(value - expected) <= 1e-9 * expected, "\(example.id) \(i) \(j)")
                    }
                }
            }
        }
    }
}
