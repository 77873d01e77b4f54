import StreamProcessing
import Testing

@Suite(.enabled(if: !ConformanceCase.all.isEmpty, "TRIMTAB_TEST_DATA holds no cases/streaming-cases.md"))
struct ConformanceTests {
    private static func covered(_ way: ConformanceCase.Way) -> [ConformanceCase] {
        ConformanceCase.all.filter { $0.way == way }
    }

    @Test("Windows assign, fire, count late events and close as the set demands", arguments: covered(.window))
    func windows(_ one: ConformanceCase) {
        if one.steps.first?.words == ["spec"] {
            #expect(!one.assigner.isValid)
            return
        }
        var run = WindowRun(one)
        for step in one.steps {
            let emitted = run.step(step.words)
            #expect(emitted == step.expected, "\(step.words)")
        }
    }

    @Test("A partition's watermark follows its events and the clock as the set demands", arguments: covered(.partition))
    func partitions(_ one: ConformanceCase) {
        var run = PartitionRun(one)
        for step in one.steps {
            // That a partition counts as idle shows in its watermark only.
            let expected = step.expected.filter { !$0.hasPrefix("IDLE") }
            let emitted = run.step(step.words)
            #expect(emitted == expected, "\(step.words)")
        }
    }

    @Test("Restarts, hand-overs and fencing count every event once", arguments: covered(.instances))
    func instances(_ one: ConformanceCase) throws {
        var run = InstanceRun(one)
        for step in one.steps {
            let emitted = try run.step(step.words)
            #expect(emitted == step.expected, "\(step.words)")
        }
    }

    /// The rest waits for the operators that it is about; a case that becomes runnable must move up.
    @Test("The cases that are not covered yet are known")
    func notCovered() {
        var reasons: [String: [String]] = [:]
        for one in ConformanceCase.all {
            if case .notCovered(let reason) = one.way { reasons[reason, default: []].append(one.id) }
        }
        let covered = ConformanceCase.all.count - reasons.values.reduce(0) { $0 + $1.count }
        #expect((ConformanceCase.all.count, covered) == (85, 37), "\(covered) \(reasons)")
    }
}
