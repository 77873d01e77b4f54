import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing

/// How many answers to fixed prompts it takes until a model that was changed under its name is told, and how often one is
/// told that was not changed. A tenth of the answers of either is in other words than usual.
enum ProbesBench: Benchmark {
    static let name = "analyzers-probes"
    /// As by default: so many prompts, one of them every five minutes.
    private static let prompts = 8
    private static let minutesApart: Int64 = 5
    private static let daysBefore: Int64 = 3
    private static let most = 1_000
    /// Watched over all routes: of one route with one model, and of a hundred.
    private static let sizes = [10, 1_000]

    /// By prompt, the share of the answers that are in other words than usual.
    private static let kinds: [(name: String, shares: [Double])] = [
        ("a tenth of each prompt's answers vary", Array(repeating: 0.1, count: prompts)),
        ("four tenths of two prompts' answers vary", (0..<prompts).map { $0 < 2 ? 0.4 : 0 }),
        ("none varies", Array(repeating: 0, count: prompts)),
    ]

    static func run() async throws -> [Figure] { delays() + falseAlarms() }

    private static func delays() -> [Figure] {
        let runs = RolloutBench.runs(300)
        var figures: [Figure] = []
        print("| changed model, \(runs) of each kind | series | told within \(most) | answers: median, 95 %, most |")
        print("|---|---|---|---|")
        for (name, changed) in [("all", prompts), ("half", prompts / 2), ("quarter", prompts / 4)] {
            for series in sizes {
                var taken: [Double] = []
                for kind in kinds {
                    for seed in 1...UInt64(runs) {
                        var model = ProbedModel(kind.shares, series: series, seed: seed)
                        _ = model.answers(until: daysBefore * 1_440 / minutesApart, every: minutesApart)
                        model.changed = changed
                        if let delay = model.answers(until: Int64(most), every: minutesApart) {
                            taken.append(Double(delay))
                        }
                    }
                }
                let total = runs * kinds.count, told = "\(taken.count) of \(total)"
                let quantiles = [taken.median, taken.percentile(0.95), taken.max() ?? .nan].map { "\(Int($0))" }
                print("| \(name) of the prompts | \(series) | \(told) | \(quantiles.joined(separator: ", ")) |")
                guard series == sizes[0] else { continue }
                figures += [
                    Figure(
                        name: "analyzers.probes_until_told.\(name)", value: taken.percentile(0.95),
                        unit: "answers, 95 % of silent changes of \(name) prompts (goal \(most))"),
                    Figure(
                        name: "analyzers.probe_recall.\(name)", value: 100 * Double(taken.count) / Double(total),
                        unit: "% of silent changes of \(name) prompts told within \(most) answers"),
                ]
            }
        }
        return figures
    }

    private static func falseAlarms() -> [Figure] {
        let months = RolloutBench.runs(120), answers = 30 * 1_440 / minutesApart
        var alarms = 0
        for kind in kinds {
            for seed in 1...UInt64(months) {
                var model = ProbedModel(kind.shares, series: sizes[0], seed: 1_000 + seed)
                if model.answers(until: answers, every: minutesApart) != nil { alarms += 1 }
            }
        }
        print("\(alarms) of \(months * kinds.count) unchanged model-months told as changed")
        return [
            Figure(
                name: "analyzers.probe_false_alarms", value: Double(alarms) / Double(months * kinds.count),
                unit: "months of an unchanged model in which it is told to have changed")
        ]
    }
}

/// A model that nobody but the prober asks anything.
private struct ProbedModel {
    private var analyzer = AnomalyAnalyzer()
    private var context = RouteContext(route: "simulated")
    private var random: SplitMix64
    private var minute: Int64 = 0
    private var sent: Int64 = 0
    private let shares: [Double]
    /// Prompts that another model answers in words of its own, the last ones.
    var changed = 0

    init(_ shares: [Double], series: Int, seed: UInt64) {
        self.shares = shares
        random = SplitMix64(seed: seed)
        context.series = series
    }

    /// How many answers it takes until a change is told; `nil` for more than `most`.
    mutating func answers(until most: Int64, every minutesApart: Int64) -> Int64? {
        for taken in 1...most {
            for passed in 0..<minutesApart {
                var whole = RouteMinute(Window(start: minute * 60_000, end: (minute + 1) * 60_000))
                whole.probes[RouteTraffic.model] = passed == 0 ? [answer()] : []
                minute += 1
                let told = analyzer.observe(whole, context)
                if told.contains(where: { $0.code == "anomaly.silent_model_change" }) { return taken }
            }
        }
        return nil
    }

    /// Of those that are unlike the usual one, half are like one of three others.
    private mutating func answer() -> ProbeResult {
        let prompt = Int(sent % Int64(shares.count))
        sent += 1
        let isOther = prompt >= shares.count - changed
        var digest = Hash64.hash("\(prompt)", salt: isOther ? 2 : 1)
        if random.unit() < shares[prompt] {
            let variant = random.next()
            digest ^= variant & 1 == 0 ? 1 + variant % 3 : variant
        }
        return ProbeResult(probe: "\(prompt)", digest: digest, outputTokens: 40)
    }
}
