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

    enum Way: Equatable { case window, partition, instances, notCovered(String) }

    /// How the present operator can run it, or why it cannot.
    var way: Way {
        if specification["win"]?.hasPrefix("tumbling:") != true { return .notCovered("sliding and session windows") }
        if specification["early"] != nil || specification["mode"] != nil {
            return .notCovered("early and discarding panes")
        }
        if specification["show"] == "minmax" { return .notCovered("minimum and maximum") }
        if specification["align"] != nil { return .notCovered("watermark alignment") }
        let first = steps.map { $0.words[0] }
        if first.contains(where: { $0 == "A:" }) { return .instances }
        let assigned = Set(steps.filter { $0.words[0] == "assign" }.map { $0.words[1] })
        // By design each partition has its own watermark; what is whole is decided when partial results are read.
        if assigned.count > 1 { return .notCovered("one watermark over several partitions") }
        return assigned.isEmpty ? .window : .partition
    }

    var assigner: WindowAssigner {
        let parts = specification["win", default: ""].split(separator: ":").dropFirst().compactMap { Int64($0) }
        return .tumbling(size: parts.first ?? 0, offset: parts.count > 1 ? parts[1] : 0)
    }

    func number(_ name: String, _ usual: Int64 = 0) -> Int64 { specification[name].flatMap { Int64($0) } ?? usual }

    /// What the test data folder holds; empty without one.
    static let all: [ConformanceCase] = {
        let root = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
        let text = try? String(contentsOfFile: root + "/cases/streaming-cases.md", encoding: .utf8)
        return parse(text ?? "")
    }()
}
