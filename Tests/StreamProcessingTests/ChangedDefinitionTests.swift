import Core
import Statistics
import StreamProcessing
import Telemetry
import TestSupport
import Testing

/// What was counted under a definition that has changed since is not lost.
@Suite struct ChangedDefinitionTests {
    /// With a window of this size, or none.
    private static func settings(size: Int64?, measures: [Measured] = [.cost]) -> StreamSettings {
        Make.settings {
            $0.latenessMs = 60_000
            guard let size else { return }
            $0.windows = [
                WindowDefinition(
                    name: "per_model", key: [.model], assigner: .tumbling(size: size), latenessMs: 60_000,
                    aggregates: AggregateSelection(measures: measures))
            ]
        }
    }

    /// It costs a thousand times its number.
    private static func request(_ number: UInt64, at ms: Int64, model: String = "small") -> LogEvent {
        Make.request(number, at: ms) {
            $0.model = model
            $0.cost = NanoUSD(Int64(number) * 1_000)
        }
    }

    /// What is stored of five requests in windows of a second: two have fired, the third has not.
    private static func stored() throws -> MemoryPartition {
        var store = MemoryPartition(partition: 0)
        let owner = try store.claim()
        let processor = PartitionProcessor(partition: 0, settings: settings(size: 1_000), restoring: owner.state)
        processor.feed(
            [
                request(1, at: 100), request(2, at: 200, model: "large"), request(3, at: 300), request(4, at: 1_500),
                request(5, at: 2_500),
            ], ms: 3_000)
        let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
        #expect(stored)
        return store
    }

    /// Place, model, requests and cost.
    private static func text(_ result: WindowResult) -> String {
        let (window, sums) = (result.window, result.aggregate)
        return "[\(window.start - Make.start),\(window.end - Make.start)) \(result.key.modelKey) "
            + "n=\(sums.requests) s=\(Int64(sums.cost.sum))"
    }

    private static func declared(_ store: MemoryPartition) -> [WindowResult] {
        store.results.values.filter { $0.key.window == "per_model" }.sorted { $0.id < $1.id }
    }

    /// What of those five requests is open.
    private static let open = [
        "[0,1000) openai/large n=1 s=2000", "[0,1000) openai/small n=2 s=4000", "[1000,2000) openai/small n=1 s=4000",
        "[2000,3000) openai/small n=1 s=5000",
    ]

    @Test("Windows that no longer fit are handed out once, and every request is in one result")
    func anotherSize() throws {
        var store = try Self.stored()
        let settings = Self.settings(size: 3_000)
        // The first owner after the change dies before its checkpoint is stored.
        let lost = PartitionProcessor(partition: 0, settings: settings, restoring: try store.claim().state).checkpoint()
        let owner = try store.claim()
        let processor = PartitionProcessor(partition: 0, settings: settings, restoring: owner.state)
        let first = processor.checkpoint()
        #expect(first == lost && first.results.map(Self.text) == Self.open)
        // Those that had fired before are shown anew.
        #expect(first.results.map(\.pane) == [1, 1, 1, 0])
        #expect(first.purgedWindows == first.results.map(\.id) && first.changedWindows.isEmpty)
        let second = processor.checkpoint()
        #expect(second.results.isEmpty && second.purgedWindows.isEmpty)

        processor.feed([Self.request(6, at: 2_700), Self.request(7, at: 70_000)], ms: 70_000)
        for checkpoint in [first, second, processor.checkpoint()] {
            let stored = store.commit(checkpoint, epoch: owner.epoch)
            #expect(stored)
        }
        var expected = Self.open
        expected.insert("[0,3000) openai/small n=1 s=6000", at: 3)
        let results = Self.declared(store)
        #expect(results.map(Self.text) == expected)
        #expect(results.reduce(0) { $0 + $1.aggregate.requests } == 6)
        #expect(results.reduce(0) { $0 + $1.aggregate.cost.sum } == 21_000)
        let restored = PartitionProcessor(partition: 0, settings: settings, restoring: try store.claim().state)
        #expect(restored.checkpoint().results.isEmpty)
    }

    @Test("Of windows whose panes add up, what has not been shown yet is one more pane")
    func discarding() throws {
        var store = MemoryPartition(partition: 0)
        for size in [1_000, 3_000] as [Int64] {
            let settings = Make.settings {
                $0.windows = [
                    WindowDefinition(
                        name: "per_model", key: [.model], assigner: .tumbling(size: size), early: .count(2),
                        discarding: true, aggregates: AggregateSelection(measures: [.cost]))
                ]
            }
            let owner = try store.claim()
            let processor = PartitionProcessor(partition: 0, settings: settings, restoring: owner.state)
            if size == 1_000 { processor.feed((1...3).map { Self.request($0, at: 100) }, ms: 500) }
            let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
            #expect(stored)
        }
        let panes = try #require(store.added.values.first).sorted { $0.key < $1.key }.map(\.value)
        #expect(store.added.count == 1)
        #expect(
            panes.map(Self.text) == ["[0,1000) openai/small n=2 s=3000", "[0,1000) openai/small n=1 s=3000"])
    }

    @Test("So are the windows of a definition that is gone")
    func gone() throws {
        var store = try Self.stored()
        let owner = try store.claim()
        let processor = PartitionProcessor(partition: 0, settings: Self.settings(size: nil), restoring: owner.state)
        let first = processor.checkpoint()
        #expect(first.results.map(Self.text) == Self.open)
        let second = processor.checkpoint()
        #expect(second.results.isEmpty && second.purgedWindows.isEmpty)
        for checkpoint in [first, second] {
            let stored = store.commit(checkpoint, epoch: owner.epoch)
            #expect(stored)
        }
        #expect(Self.declared(store).map(Self.text) == Self.open)
        #expect(store.open.keys.allSatisfy { $0.key.window == "requests" })
    }

    @Test("Windows that still fit go on, and what is newly added up starts from nothing")
    func otherAggregates() throws {
        var store = try Self.stored()
        let owner = try store.claim()
        let settings = Self.settings(size: 1_000, measures: [.latency, .cost])
        let processor = PartitionProcessor(partition: 0, settings: settings, restoring: owner.state)
        let first = processor.checkpoint()
        #expect(first.results.isEmpty && first.purgedWindows.isEmpty)
        processor.feed([Self.request(6, at: 2_700), Self.request(7, at: 3_500)], ms: 3_500)
        let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
        #expect(stored)
        var expected = Self.open
        expected[3] = "[2000,3000) openai/small n=2 s=11000"
        let results = Self.declared(store)
        #expect(results.map(Self.text) == expected)
        #expect(results.map { $0.aggregate[.latency].moments.n } == [0, 0, 0, 1])
    }

    /// Ways to make panes of windows that are 2 s long.
    enum Way: CaseIterable {
        case tumbling, tumblingEarly, tumblingDiscarding, sliding, slidingEarly, slidingDiscarding

        var settings: StreamSettings {
            let isSliding = [.sliding, .slidingEarly, .slidingDiscarding].contains(self)
            let isPlain = [.tumbling, .sliding].contains(self)
            return Make.settings {
                $0.windows = [
                    WindowDefinition(
                        name: "per_model", key: [.model],
                        assigner: isSliding ? .sliding(size: 2_000, hop: 1_000) : .tumbling(size: 2_000),
                        latenessMs: 60_000, early: isPlain ? nil : .count(100),
                        discarding: [.tumblingDiscarding, .slidingDiscarding].contains(self),
                        aggregates: AggregateSelection(measures: [.cost]))
                ]
            }
        }
    }

    /// From, what of it nothing that is open can follow, and what windows that have been shown cannot.
    static let refused: [(Way, open: Set<Way>, shown: Set<Way>)] = [
        (.tumbling, [.sliding], [.tumblingDiscarding, .sliding, .slidingDiscarding]),
        (.tumblingEarly, [.sliding], [.tumblingDiscarding, .sliding, .slidingDiscarding]),
        (.tumblingDiscarding, [.sliding], [.tumbling, .tumblingEarly, .sliding, .slidingEarly]),
        (
            .sliding, [.slidingEarly, .slidingDiscarding],
            [.tumbling, .tumblingEarly, .tumblingDiscarding, .slidingEarly, .slidingDiscarding]
        ),
        (.slidingEarly, [.sliding], [.tumblingDiscarding, .sliding, .slidingDiscarding]),
        (.slidingDiscarding, [.sliding], [.tumbling, .tumblingEarly, .sliding, .slidingEarly]),
    ]

    @Test("A change that would overwrite results with less, or count requests twice, is refused", arguments: refused)
    func contradicting(way: Way, open: Set<Way>, shown: Set<Way>) throws {
        for (requests, expected) in [([100], open), ([100, 2_700], shown)] as [([Int64], Set<Way>)] {
            var store = MemoryPartition(partition: 0)
            let owner = try store.claim()
            let processor = PartitionProcessor(partition: 0, settings: way.settings, restoring: owner.state)
            processor.feed(requests.map { Self.request(1, at: $0) }, ms: 3_000)
            let stored = store.commit(processor.checkpoint(), epoch: owner.epoch)
            #expect(stored)
            let state = try store.claim().state
            let refused = Way.allCases.filter { next in
                do { try next.settings.check(state) } catch let error as TrimtabError {
                    return error.code == "stream.definition_changed"
                } catch {}
                return false
            }
            #expect(Set(refused) == expected, "\(requests.count)")
        }
    }
}
