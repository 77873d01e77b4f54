import StreamProcessing
import Testing

@Suite struct ConformanceTests {
    @Test("The project's own cases emit what they must, line by line", arguments: ConformanceCase.own)
    func own(_ one: ConformanceCase) throws { try one.run() }

    @Test(
        "Every case of the larger set emits what it must, line by line",
        .enabled(if: !ConformanceCase.all.isEmpty, "TRIMTAB_TEST_DATA holds no cases/streaming-cases.md"),
        arguments: ConformanceCase.all)
    func conforms(_ one: ConformanceCase) throws { try one.run() }

    @Test("No case is left out")
    func whole() {
        #expect(ConformanceCase.own.count == 19)
        #expect(ConformanceCase.all.isEmpty || ConformanceCase.all.count == 85)
    }
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
