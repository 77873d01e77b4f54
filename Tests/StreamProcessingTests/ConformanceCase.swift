import Foundation
import StreamProcessing
import Testing

/// One case of the conformance set: a specification, steps, and what each step must emit.
struct ConformanceCase: Sendable, CustomTestStringConvertible {
    struct Step: Sendable {
        var words: [String]
        var expected: [String]
    }

    var id: String
    var specification: [String: String]
    var steps: [Step]

    var testDescription: String { id }

    /// Reads `- **A01** `spec` title` followed by a line of steps.
    static func parse(_ text: String) -> [ConformanceCase] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        return zip(lines, lines.dropFirst()).compactMap { head, body in
            guard head.hasPrefix("- **"), body.hasPrefix("  `") else { return nil }
            let quoted = head.split(separator: "`")
            let body = body.dropFirst(3).dropLast(body.hasSuffix("`") ? 1 : 0)
            guard quoted.count > 1 else { return nil }
            let pairs = quoted[1].split(separator: " ").map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
            return ConformanceCase(
                id: String(head.dropFirst(4).prefix(3)),
                specification: Dictionary(pairs.map { ($0[0], $0.count > 1 ? $0[1] : "") }, uniquingKeysWith: { $1 }),
                steps: body.components(separatedBy: "; ").map(step))
        }
    }

    private static func step(_ text: String) -> Step {
        let parts = text.components(separatedBy: " => ")
        return Step(
            words: parts[0].split(separator: " ").map(String.init),
            expected: parts.count > 1 ? parts[1].components(separatedBy: " & ") : [])
    }

    /// What runs it: an operator alone, partitions that feed its watermark, or instances that share a store.
    enum Way: Equatable { case window, partitions, instances }

    var way: Way {
        let first = steps.map { $0.words[0] }
        if first.contains(where: { $0 == "A:" }) { return .instances }
        return first.contains("assign") ? .partitions : .window
    }

    /// The window that the case declares, by its key alone.
    var definition: WindowDefinition {
        let parts = specification["win", default: ""].split(separator: ":").map(String.init)
        let numbers = parts.dropFirst().compactMap { Int64($0) }
        func at(_ place: Int) -> Int64 { place < numbers.count ? numbers[place] : 0 }
        let assigner: WindowAssigner =
            switch parts.first {
            case "hop": .sliding(size: at(0), hop: at(1), offset: at(2))
            case "session": .session(gap: at(0))
            default: .tumbling(size: at(0), offset: at(1))
            }
        var early: EarlyFiring?
        if let words = specification["early"]?.split(separator: ":"), words.count == 2, let number = Int64(words[1]) {
            early = words[0] == "count" ? .count(number) : .clock(number)
        }
        return WindowDefinition(
            name: "conformance", key: [.route], assigner: assigner, latenessMs: number("L"), early: early,
            discarding: specification["mode"] == "disc", aggregates: AggregateSelection(measures: [.cost]))
    }

    var settings: StreamSettings {
        var settings = StreamSettings()
        settings.boundMs = number("B")
        settings.latenessMs = number("L")
        settings.idleMs = number("idle", .max)
        settings.futureLimitMs = number("future", .max)
        settings.quietPartitionsFollowClock = specification["quiet"] == "advance"
        return settings
    }

    func number(_ name: String, _ usual: Int64 = 0) -> Int64 { specification[name].flatMap { Int64($0) } ?? usual }

    static let own = parse(OwnCases.text)

    /// What the test data folder holds; empty without one.
    static let all: [ConformanceCase] = {
        let root = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
        let text = try? String(contentsOfFile: root + "/cases/streaming-cases.md", encoding: .utf8)
        return parse(text ?? "")
    }()
}
