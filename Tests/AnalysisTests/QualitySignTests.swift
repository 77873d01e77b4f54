import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Testing

/// What the answers themselves show: schema, tools, refusals and so on.
struct QualitySignTests {
    /// Usual shares of bad answers.
    private static let usual: [Signal: Double] = [
        .truncated: 0.02, .refused: 0.005, .empty: 0.001, .badSchema: 0.02, .badTools: 0.01, .repetitive: 0.002,
        .regenerated: 0.03,
    ]

    private struct Diary {
        var analyzer = QualityAnalyzer()
        let context = RouteContext(route: "chat")
        var random: SplitMix64
        var index = 0

        init(seed: UInt64) { random = SplitMix64(seed: seed) }

        /// A minute of about five requests a second, by the time of day.
        mutating func minute(_ shares: [Signal: Double], mean: Double = 300) -> [Observation] {
            let requests = random.poisson(Minutes.daily(mean, index))
            let failures = Minutes.rare(requests, 0.01, &random), answers = requests - failures
            var signals: [Signal: Int64] = [.schemaChecked: answers / 2, .toolsChecked: answers / 3]
            for (signal, share) in shares.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                let of = signal == .badSchema ? answers / 2 : signal == .badTools ? answers / 3 : answers
                signals[signal] = Minutes.rare(of, share, &random)
            }
            defer { index += 1 }
            return analyzer.observe(
                Minutes.minute(
                    index, ["a/b": Minutes.users(requests: requests, failures: failures, signals: signals)]), context)
        }
    }

    @Test func eachRiseIsFoundAndNamed() throws {
        let codes: [Signal: String] = [
            .truncated: "quality.truncation", .refused: "quality.refusals", .empty: "quality.empty",
            .badSchema: "quality.schema", .badTools: "quality.tools", .repetitive: "quality.repetition",
            .regenerated: "quality.regenerated",
        ]
        var calm = Diary(seed: 1)
        for _ in 0..<(2 * Minutes.perDay) {
            #expect(calm.minute(Self.usual).allSatisfy { $0.code == "quality.no_feedback" })
        }
        for (signal, code) in codes {
            var diary = calm, shares = Self.usual, said: [Observation] = []
            shares[signal] = 0.15
            for _ in 0..<10 { said = diary.minute(shares).filter { $0.code != "quality.no_feedback" } }
            let found = try #require(said.first)
            #expect(said.count == 1 && found.code == code && found.severity == .warning)
            #expect(found.magnitude.lower > 0 && found.confidence > 0.99)
            // It ends when it is over.
            for _ in 0..<30 { said = diary.minute(Self.usual) }
            #expect(said.allSatisfy { $0.code == "quality.no_feedback" })
        }
    }

    @Test func aRiseIsFoundWithinMinutes() {
        var minutes: [Int] = []
        for seed in 0..<UInt64(20) {
            var diary = Diary(seed: 100 + seed), shares = Self.usual
            for _ in 0..<(2 * Minutes.perDay) { _ = diary.minute(Self.usual) }
            shares[.badSchema] = 0.1
            var taken = 0
            while taken < 60 {
                taken += 1
                if diary.minute(shares).contains(where: { $0.code == "quality.schema" }) { break }
            }
            minutes.append(taken)
        }
        #expect(minutes.allSatisfy { $0 <= 15 })
    }

    @Test func fewerBadAnswersAreNoAlarm() {
        var diary = Diary(seed: 2)
        for _ in 0..<(2 * Minutes.perDay) { _ = diary.minute(Self.usual) }
        for _ in 0..<500 { #expect(diary.minute([:]).allSatisfy { $0.code == "quality.no_feedback" }) }
    }

    @Test func monthsOfSteadyTrafficAreQuiet() {
        var warnings = 0
        for seed in 0..<UInt64(6) {
            var diary = Diary(seed: 200 + seed)
            var stood: Set<String> = []
            for _ in 0..<(30 * Minutes.perDay) {
                let codes = Set(diary.minute(Self.usual).filter { $0.severity >= .warning }.map(\.code))
                warnings += codes.subtracting(stood).count
                stood = codes
            }
        }
        #expect(warnings <= 1)
    }

    @Test func theStateIsBounded() throws {
        var diary = Diary(seed: 3)
        for day in 0..<3 {
            for index in 0..<200 {
                let users = Minutes.users(requests: 100, signals: [.schemaChecked: 50, .toolsChecked: 50, .refused: 1])
                let minute = Minutes.minute(day * Minutes.perDay + index, ["model/\(index)": users])
                _ = diary.analyzer.observe(minute, diary.context)
            }
        }
        let size = try JSONEncoder().encode(diary.analyzer).count
        #expect(size < 65 * 20_000)
    }
}
