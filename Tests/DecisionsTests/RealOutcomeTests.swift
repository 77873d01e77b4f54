import Analysis
import Core
import Decisions
import Foundation
import Policy
import Statistics
import Testing

/// Published answers of real models to the same prompts, with list prices: what the decision has to make of them.
private enum Outcomes {
    static let root = URL(
        filePath: ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
    ).appending(path: "data/outcomes")
    static let found = FileManager.default.fileExists(atPath: root.appending(path: "model_prices.csv").path)

    static func rows(_ data: Data) -> [[Substring]] {
        String(decoding: data, as: UTF8.self).split(separator: "\n").dropFirst()
            .map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    }

    static func unpack(_ name: String) throws -> Data {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", root.appending(path: name).path]
        process.standardOutput = pipe
        try process.run()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return data
    }

    /// The statistics of `model` over a whole set: prompt_id, domain, model, quality, prompt_tokens, output_tokens.
    static func statistics(_ set: String, _ model: String) throws -> TargetStatistics {
        let prices = rows(try Data(contentsOf: root.appending(path: "model_prices.csv")))
        let price = prices.first { $0[0] == set && $0[1] == model }.flatMap { row in
            Double(row[2]).flatMap { input in Double(row[3]).map { (input, $0) } }
        }
        var result = TargetStatistics(route: "chat", modelKey: "sim/\(model)")
        for row in rows(try unpack("\(set).csv.gz")) where row[2] == model {
            guard let quality = Double(row[3]) else { continue }
            result.requests += 1
            result.quality.add(quality)
            if let price, let input = Double(row[4]), let output = Double(row[5]) {
                result.cost.add(((input * price.0 + output * price.1) * 1_000).rounded())
            } else {
                result.unknownCost += 1
            }
        }
        return result
    }
}

@Suite(.enabled(if: Outcomes.found, "TRIMTAB_TEST_DATA holds no data/outcomes"))
struct RealOutcomeTests {
    struct Pair: Sendable {
        var set: String
        var from: String
        var to: String
        var tolerance: Double
        var moves: Bool
    }

    @Test(
        "Real pairs of models end where they should",
        arguments: [
            Pair(
                set: "zeroeval_gsm", from: "gpt-4o-2024-08-06", to: "gpt-4o-mini-2024-07-18", tolerance: 0.02,
                moves: false),
            Pair(
                set: "zeroeval_gsm", from: "gpt-4o-2024-08-06", to: "gpt-4o-mini-2024-07-18", tolerance: 0.05,
                moves: true),
            Pair(
                set: "routellm_mmlu", from: "gpt-4-1106-preview", to: "mistralai/Mixtral-8x7B-Instruct-v0.1",
                tolerance: 0.05, moves: false),
            Pair(
                set: "routerarena_2", from: "claude-3-haiku-20240307", to: "gemini-2.0-flash-001", tolerance: 0.02,
                moves: true),
            Pair(
                set: "routerarena_2", from: "gemini-2.0-flash-001", to: "claude-3-haiku-20240307", tolerance: 0.02,
                moves: false),
            Pair(
                set: "bfcl_2024_08", from: "gpt-4-turbo-2024-04-09", to: "gpt-4o-mini-2024-07-18", tolerance: 0.02,
                moves: true),
        ])
    func pairs(pair: Pair) throws {
        let models = [pair.from, pair.to].map { Model(key: $0, quality: 0, cost: 1, answers: 0) }
        let statistics = try [pair.from, pair.to].map { try Outcomes.statistics(pair.set, $0) }
        try #require(statistics.allSatisfy { $0.quality.n > 100 })
        let outcome = try Fixture(models: models, tolerance: pair.tolerance, adjust: { $0.statistics = statistics })
            .outcome()
        #expect(outcome.chosen == (pair.moves ? pair.to : nil), "\(outcome.rationale)")
    }
}
