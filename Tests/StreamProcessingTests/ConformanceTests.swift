import StreamProcessing
import Testing

@Suite(.enabled(if: !ConformanceCase.all.isEmpty, "TRIMTAB_TEST_DATA holds no cases/streaming-cases.md"))
struct ConformanceTests {
    @Test("Every case of the set emits what it must, line by line", arguments: ConformanceCase.all)
    func conforms(_ one: ConformanceCase) throws { try one.run() }

    @Test("The set is whole")
    func whole() { #expect(ConformanceCase.all.count == 85) }
}

extension ConformanceCase {
    func run() throws {
        if steps.first?.words == ["spec"] {
            #expect(definition.problem != nil && steps.first?.expected == ["ERROR"])
            return
        }
        #expect(definition.problem == nil)
        switch way {
        case .window:
            var run = WindowRun(self)
            check { run.step($0) }
        case .partitions:
            var run = PartitionsRun(self)
            check { run.step($0) }
        case .instances:
            var run = InstanceRun(self)
            try check { try run.step($0) }
        }
    }

    private func check(_ run: ([String]) throws -> [String]) rethrows {
        for step in steps {
            let emitted = try run(step.words)
            #expect(emitted == step.expected, "\(id): \(step.words.joined(separator: " "))")
        }
    }
}
