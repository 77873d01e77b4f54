import Core
import Statistics
import StreamProcessing
import Telemetry
import Testing
import TestSupport

@Suite struct SignalTests {
    private typealias Change = @Sendable (inout RequestRecord) -> Void

    private static let cases: [(name: String, change: Change, signals: Set<Signal>)] = [
        ("plain", { _ in }, []),
        ("length", { $0.finish = "length" }, [.truncated]),
        ("stop", { $0.finish = "stop" }, []),
        ("client gone", { $0.outcome = .clientGone }, [.abandoned]),
        (
            "retried", { $0.attempts = [.init(target: "a", outcome: .server, status: 500, ms: 1)] }, [.retried]
        ),
        ("refused", { $0.checks = checks { $0.refusal = true } }, [.refused]),
        ("not refused", { $0.checks = checks { $0.refusal = false } }, []),
        ("empty", { $0.checks = checks { $0.empty = true } }, [.empty]),
        ("good schema", { $0.checks = checks { $0.schema = true } }, [.schemaChecked]),
        ("bad schema", { $0.checks = checks { $0.schema = false } }, [.schemaChecked, .badSchema]),
        ("good tools", { $0.checks = checks { $0.tools = true } }, [.toolsChecked]),
        ("bad tools", { $0.checks = checks { $0.tools = false } }, [.toolsChecked, .badTools]),
        ("repetitive", { $0.checks = checks { $0.repetition = true } }, [.repetitive]),
        ("regenerated", { $0.regenerates = Make.id(1) }, [.regenerated]),
        (
            "cached",
            {
                $0.tokens = TokenUsage(input: 9, output: 1)
                $0.tokens?.cachedRead = 1
            }, [.cached]
        ),
        ("not cached", { $0.tokens = TokenUsage(input: 9, output: 1) }, []),
        ("not streamed", { $0.stream = false }, [.unattended]),
        (
            "of a session",
            {
                $0.stream = false
                $0.session = "a"
            }, []
        ),
        (
            "of a user",
            {
                $0.stream = false
                $0.user = "b"
            }, []
        ),
    ]

    /// Streamed, unless the case says otherwise.
    private static func request(_ number: UInt64, _ change: (inout RequestRecord) -> Void) -> LogEvent {
        Make.request(number, at: 0) {
            $0.stream = true
            change(&$0)
        }
    }

    private static func checks(_ change: (inout RequestRecord.Checks) -> Void) -> RequestRecord.Checks {
        var checks = RequestRecord.Checks()
        change(&checks)
        return checks
    }

    /// What a definition's windows hold after the events.
    private func windows(
        _ definition: WindowDefinition, _ events: [LogEvent]
    ) throws -> [WindowKey: WindowAggregate] {
        let windows = definition.makeOperator(partition: 0)
        for case .request(let record) in events { _ = windows.add(record, now: Make.start) }
        return Dictionary(uniqueKeysWithValues: windows.drain().changed.map { ($0.key, $0.aggregate) })
    }

    @Test("Each signal is counted where it is true, and where its check was made")
    func counted() throws {
        let definition = WindowDefinition.requests(sizeMs: 60_000, latenessMs: 0)
        var all: [Signal: Int64] = [:]
        for one in Self.cases {
            let found = try #require(try windows(definition, [Self.request(2, one.change)]).values.first)
            #expect(
                Set(found.signals.keys) == one.signals && found.signals.values.allSatisfy { $0 == 1 }, "\(one.name)")
            for signal in one.signals { all[signal, default: 0] += 1 }
        }
        #expect(Set(all.keys) == Set(Signal.allCases))
        let together = Self.cases.enumerated().map { Self.request(UInt64($0), $1.change) }
        #expect(try windows(definition, together).values.map(\.signals) == [all])
    }

    @Test("Signals of partial results add up, and are stored with them")
    func merged() throws {
        let definition = WindowDefinition.requests(sizeMs: 60_000, latenessMs: 0)
        let events = Self.cases.enumerated().map { Self.request(UInt64($0), $1.change) }
        let whole = try #require(try windows(definition, events).values.first)
        let first = try #require(try windows(definition, Array(events[..<7])).values.first)
        let second = try #require(try windows(definition, Array(events[7...])).values.first)
        var merged = WindowAggregate()
        merged.merge(first)
        merged.merge(second)
        #expect(merged.signals == whole.signals && whole.count(of: .schemaChecked) == 2)
        let stored = try #require(WindowAggregate(encoded: whole.encoded()))
        #expect(stored == whole && stored.signals == whole.signals)
        #expect(WindowAggregate(encoded: whole.encoded().dropLast()) == nil)
        #expect(WindowAggregate().signals.isEmpty && WindowAggregate().count(of: .cached) == 0)
    }

    @Test("What the release before stored is read, without signals")
    func earlierForm() throws {
        let definition = WindowDefinition.requests(sizeMs: 60_000, latenessMs: 0)
        let aggregate = try #require(try windows(definition, [Self.request(1) { _ in }]).values.first)
        // The forms differ in their number and in the list at the end, which is empty here.
        let bytes = aggregate.encoded()
        #expect(bytes.first == 3 && bytes.last == 0)
        let earlier = [2] + bytes.dropFirst().dropLast()
        #expect(WindowAggregate(encoded: earlier) == aggregate)
        #expect(WindowAggregate(encoded: earlier + [0]) == nil)
    }

    @Test("The time of a token is of complete answers of two tokens or more whose first token has a time")
    func tokenTime() throws {
        let selection = AggregateSelection(measures: [.tokenTime, .messages, .attempts, .queue])
        let definition = WindowDefinition(
            name: "measures", key: [.route], assigner: .tumbling(size: 60_000), aggregates: selection)
        func one(_ change: (inout RequestRecord) -> Void) throws -> WindowAggregate {
            try #require(
                try windows(
                    definition,
                    [
                        Make.request(1, at: 0) {
                            $0.totalMs = 1_200
                            $0.ttftMs = 200
                            $0.tokens = TokenUsage(input: 3, output: 51)
                            change(&$0)
                        }
                    ]
                ).values.first)
        }
        #expect(try one { _ in }[.tokenTime].moments.mean == 20)
        #expect(try one { $0.tokens?.output = 1 }[.tokenTime].moments.n == 0)
        #expect(try one { $0.tokens = nil }[.tokenTime].moments.n == 0)
        #expect(try one { $0.ttftMs = nil }[.tokenTime].moments.n == 0)
        #expect(try one { $0.ttftMs = 1_200 }[.tokenTime].moments.n == 0)
        #expect(try one { $0.outcome = .upstreamCut }[.tokenTime].moments.n == 0)
        let other = try one {
            var prompt = RequestRecord.Prompt()
            prompt.messages = 4
            $0.prompt = prompt
            $0.queueMs = 2.5
            $0.attempts = [.init(target: "a", outcome: .server, status: 500, ms: 1)]
        }
        #expect(other[.messages].moments.mean == 4 && other[.queue].moments.mean == 2.5)
        #expect(other[.attempts].moments.mean == 1)
    }

    @Test("The windows of analyzers are there when asked for, make sense, and hold what they are named for")
    func analyzerWindows() throws {
        #expect(Make.settings().definitions.map(\.name) == ["requests"])
        let settings = Make.settings { $0.analyzerWindows = true }
        #expect(settings.definitions.map(\.name) == WindowDefinition.reserved)
        #expect(settings.definitions.allSatisfy { $0.problem == nil })
        let features = PromptFeatures(exact: 1, template: 2, prefix: 3, kind: 4)
        let processor = PartitionProcessor(partition: 0, settings: settings)
        processor.feed(
            [300, 5_000, 70_000].enumerated().map { number, tokens in
                Make.request(UInt64(number), at: 0) {
                    $0.project = "shop"
                    $0.tokens = TokenUsage(input: tokens, output: 10)
                    var prompt = RequestRecord.Prompt()
                    prompt.features = features
                    $0.prompt = prompt
                }
            })
        let open = Dictionary(grouping: processor.checkpoint().changedWindows, by: \.key.window)
        #expect(open["spend"]?.map(\.key.others) == [["shop", "web"]] && open["spend"]?.first?.aggregate.requests == 3)
        #expect(
            Set((open["sizes"] ?? []).flatMap(\.key.others)) == ["256_1k", "4k_16k", "64k_up"])
        let prompts = try #require(open["prompts"]?.first?.aggregate)
        #expect(prompts.distinct.map { $0.estimate.rounded() } == [1, 1, 0, 0])
        #expect(
            prompts.top.map { $0.top(1).first?.item } == ["000000000001", "00000002", "0000000003", "04", "web", nil])
    }

    @Test("A prompt's size is by the tokens counted, else by its characters, else unknown")
    func sizes() {
        for (tokens, size) in [
            (0, "0_256"), (255, "0_256"), (256, "256_1k"), (1_023, "256_1k"), (1_024, "1k_4k"), (4_096, "4k_16k"),
            (16_384, "16k_64k"), (65_535, "16k_64k"), (65_536, "64k_up"),
        ] { #expect(PromptSize(tokens: tokens).rawValue == size) }
        var record = RequestRecord.blank
        #expect(PromptSize(of: record) == nil)
        record.prompt = RequestRecord.Prompt()
        record.prompt?.chars = 4_096
        #expect(PromptSize(of: record) == .under4k)
        record.tokens = TokenUsage(input: 5, output: 1)
        #expect(PromptSize(of: record) == .under256)
    }
}
