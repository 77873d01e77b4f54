import Core
import Foundation
import Simulation
import Testing

/// Files people give by path are read whole or refused with file and line.
struct DataFileTests {
    @Test(arguments: [
        ("", "simulation.file_empty", ":1:"),
        ("prompt_id,model\na,b\n", "simulation.column_missing", "'quality'"),
        ("prompt_id,model,quality\na,m,1\nb,m\n", "simulation.row_short", ":3:"),
        ("prompt_id,model,quality\na,m,1\nb,m,good\n", "simulation.value", ":3: column 'quality' is 'good'"),
        ("prompt_id,model,quality\na,m,1.5\n", "simulation.value", ":2:"),
        ("prompt_id,model,quality\na,m,nan\n", "simulation.value", ":2:"),
        ("prompt_id,model,quality\na,,1\n", "simulation.value", "column 'model' is empty"),
        ("prompt_id,model,quality\n", "simulation.file_empty", "no row"),
    ])
    func aBrokenOutcomeFileIsRefused(_ text: String, _ code: String, _ part: String) throws {
        try withFile("set.csv", text) { path in
            let error = #expect(throws: TrimtabError.self) { try OutcomeSet(path: path) }
            #expect(error?.code == code)
            #expect(error?.summary.contains(part) == true, "\(error?.summary ?? "")")
        }
    }

    @Test func anArrivalBeforeTheLastIsRefused() throws {
        try withFile("a.csv", "t_s,input_tokens\n0,5\n2,5\n1,5\n") { path in
            let error = #expect(throws: TrimtabError.self) { try Arrivals.load(path: path) }
            #expect(error?.summary.contains(":4:") == true)
        }
    }

    @Test func aMissingOrDamagedFileIsSaid() throws {
        #expect(throws: TrimtabError.self) { try OutcomeSet(path: "/nowhere/x.csv") }
        try withFile("set.csv.gz", "not gzip") { path in
            let error = #expect(throws: TrimtabError.self) { try OutcomeSet(path: path) }
            #expect(error?.code == "simulation.file_unreadable")
        }
    }

    @Test func knownAndUnknownValuesAreKeptApart() throws {
        let text =
            "prompt_id,domain,model,quality,prompt_tokens,output_tokens,latency_s\r\n"
            + "a,x,m/1,1,10,20,0.5\r\na,x,n,0.25,,,\r\nb,x,m/1,0,11,21,0.7\r\n"
        let set = try withFile("set.csv", text) { try OutcomeSet(path: $0) }
        #expect(set.name == "set")
        #expect(set.models == ["m/1", "n"])
        #expect(set.hasLatency)
        let scarce = try #require(set.cell(prompt: "a", model: "n"))
        #expect(scarce.quality == 0.25 && scarce.promptTokens == nil && scarce.outputTokens == nil)
        #expect(scarce.latencyS == nil)
        #expect(set.cell(prompt: "b", model: "n") == nil)
        #expect(set.prompts(answeredBy: ["m/1", "n"]) == ["a"])
        #expect(throws: TrimtabError.self) { try set.simulatedModels(["zz"], prices: [:]) }
        let simulator = Simulator(models: try set.simulatedModels(["m/1"], prices: [:]), outcomes: set, seed: 1)
        var copy = simulator
        let answer = copy.answer(.init(prompt: "a", inputTokens: 1), model: "recorded/m/1", nowMs: 0)
        #expect(
            answer?.quality == 1 && answer?.latencyMs == 500 && answer?.outputTokens == 20 && answer?.inputTokens == 10)
    }

    @Test func pricesOfOtherSetsAndUnknownOnesAreLeftOut() throws {
        let text = "set,model,usd_per_mtok_input,usd_per_mtok_output\ns,m,2.5,10\ns,n,,\nt,o,1,1\n"
        let prices = try withFile("p.csv", text) { try OutcomeSet.prices(path: $0, set: "s") }
        #expect(prices == ["m": .init(input: 2_500_000_000, output: 10_000_000_000)])
    }

    @Test(.enabled(if: testData != nil, "needs the recorded data (TRIMTAB_TEST_DATA)"))
    func recordedSetsGiveThePublishedMeans() throws {
        let outcomes = try #require(testData).appendingPathComponent("outcomes")
        let set = try OutcomeSet(path: outcomes.appendingPathComponent("bfcl_2024_08.csv.gz").path)
        let names = ["gpt-4o-2024-05-13", "gpt-4o-2024-08-06"]
        let prompts = set.prompts(answeredBy: names)
        #expect(prompts.count == 1155)
        let means = names.map { name in
            prompts.reduce(0) { $0 + (set.cell(prompt: $1, model: name)?.quality ?? 0) } / 1155
        }
        #expect(abs(means[0] - 0.786) < 0.001 && abs(means[1] - 0.264) < 0.001)
        let prices = try OutcomeSet.prices(
            path: outcomes.appendingPathComponent("model_prices.csv").path, set: set.name)
        #expect(prices[names[0]] != nil)
    }
}
