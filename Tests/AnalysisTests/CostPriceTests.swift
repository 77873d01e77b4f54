import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing
import Testing

/// A changed price is told as one, and never as a rise of what requests cost.
struct CostPriceTests {
    struct Change: CustomTestStringConvertible {
        var model: String
        var before: TokenPrice
        var after: TokenPrice
        var testDescription: String { model }
    }

    private static func price(_ input: Double, _ output: Double) -> TokenPrice {
        TokenPrice(input: Int64((input * 1e9).rounded()), output: Int64((output * 1e9).rounded()))
    }

    static let own = [
        Change(model: "sim/up", before: price(1, 4), after: price(1.5, 6)),
        Change(model: "sim/down", before: price(3, 15), after: price(1, 5)),
        Change(model: "sim/output", before: price(0.5, 1), after: price(0.5, 3)),
        Change(model: "sim/little", before: price(1, 4), after: price(1.1, 4.4)),
    ]

    /// The dated changes of the test data; none where it is not there.
    static let recorded: [Change] = {
        let root = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
        guard let text = try? String(contentsOfFile: root + "/data/prices/price_changes.csv", encoding: .utf8) else {
            return []
        }
        return text.split(whereSeparator: \.isNewline).dropFirst().compactMap { line in
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            guard fields.count >= 7, let a = Double(fields[3]), let b = Double(fields[4]), let c = Double(fields[5]),
                let d = Double(fields[6])
            else { return nil }
            return Change(model: "\(fields[0])/\(fields[1])", before: price(a, b), after: price(c, d))
        }
    }()

    private func check(_ change: Change, isListed: Bool) throws {
        var route = CostRoute(seed: 5)
        var traffic = CostTraffic(model: change.model, rate: 60)
        traffic.price = change.before
        if isListed { route.context.prices[change.model] = change.before }
        #expect(route.run(2 * 1_440, [traffic]).news == [])
        traffic.price = change.after
        if isListed { route.context.prices[change.model] = change.after }
        let said = route.run(180, [traffic])
        #expect(said.news == ["cost.price_change"])
        let found = try #require(said.first { $0.code == "cost.price_change" })
        let usage = (input: 400, output: 200)
        let ratio =
            Double(change.after.cost(input: usage.input * 1_000, output: usage.output * 1_000).value)
            / Double(change.before.cost(input: usage.input * 1_000, output: usage.output * 1_000).value)
        #expect(abs(found.magnitude.estimate - (ratio - 1)) < 0.1 * ratio, "\(found.statement)")
        #expect(ratio > 1 ? found.severity > .info : found.severity == .info)
        // And it does not come back as a rise when the hours are compared anew.
        #expect(route.run(2 * 1_440, [traffic]).news.allSatisfy { $0 == "cost.price_change" })
    }

    @Test(arguments: own) func aChangeOfTheListIsFound(change: Change) throws { try check(change, isListed: true) }

    @Test(arguments: own.filter { $0.model != "sim/little" })
    func aChangeThatNobodyListedIsSeenInTheCosts(change: Change) throws { try check(change, isListed: false) }

    @Test(
        .enabled(if: !recorded.isEmpty, "no prices/price_changes.csv (set TRIMTAB_TEST_DATA)"), arguments: recorded)
    func recordedChangesAreFound(change: Change) throws { try check(change, isListed: true) }

    @Test func costsThatLeaveTheListAreFoundInThreeMinutes() throws {
        var route = CostRoute(), traffic = CostTraffic()
        route.context.prices["sim/a"] = traffic.price
        route.run(1_440, [traffic])
        traffic.price = Self.price(1.1, 4.4)
        let found = try #require(route.run(3, [traffic]).first { $0.code == "cost.price_change" })
        #expect(abs(found.magnitude.estimate - 0.1) < 0.01)
        #expect(found.statement.contains("though its listed price did not change"))
    }

    /// As DeepSeek had it: half the price from 16:30 to 00:30 UTC.
    @Test(arguments: [true, false]) func aPriceThatRecursByTheHourIsFoundOnTheSecondDay(isListed: Bool) throws {
        var route = CostRoute(), said: [(minute: Int64, code: String)] = []
        var byHour: Observation?
        let whole = Self.price(0.27, 1.1), half = Self.price(0.135, 0.55)
        for _ in 0..<5 * 1_440 {
            let ofDay = route.minute % 1_440, isCheap = ofDay >= 990 || ofDay < 30
            var traffic = CostTraffic(model: "deepseek/deepseek-chat", rate: 30)
            traffic.price = isCheap ? half : whole
            if isListed { route.context.prices[traffic.model] = whole }
            for one in route.step([traffic]) where one.code != "cost.forecast" {
                said.append((route.minute, one.code))
                if one.code == "cost.price_by_hour" { byHour = one }
            }
        }
        let found = try #require(byHour)
        #expect(found.statement.contains("costs 50.0 % less from 16:30 to 00:30 UTC"), "\(found.statement)")
        #expect(found.severity == .info)
        #expect(!said.contains { $0.code == "cost.rise" })
        let first = try #require(said.first { $0.code == "cost.price_by_hour" })
        #expect(first.minute <= 1_440 * 2 + 990 + 5)
        // From then on it is no news.
        #expect(!said.contains { $0.code == "cost.price_change" && $0.minute > first.minute + 5 })
    }
}
