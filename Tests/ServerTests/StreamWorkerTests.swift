import Core
import EventLog
import Server
import StreamProcessing
import Telemetry
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct StreamWorkerTests {
    private static let began = ContinuousClock.now

    /// Ten hours after the events, and moving.
    @Sendable private static func now() -> Int64 {
        Make.start + 36_000_000 + Int64((ContinuousClock.now - began) / .milliseconds(1))
    }

    private static func worker(
        _ reader: MemoryReader, _ store: MemoryStreamStore, windows: [WindowDefinition] = []
    ) -> StreamWorker {
        var settings = StreamWorker.Settings()
        settings.checkpointMs = 5
        settings.retryMs = 1
        settings.longestRetryMs = 4
        var stream = Make.settings { ($0.latenessMs, $0.windows) = (86_400_000, windows) }
        stream.idleMs = 20
        return StreamWorker(reader: reader, store: store, stream: stream, settings: settings, now: now)
    }

    /// Events over partitions by bucket, each with feedback on an earlier request here and there.
    private static func log(seed: UInt64, partitions: Int, requests: UInt64) -> [[LogEvent]] {
        var random = SplitMix64(seed: seed)
        var log = [[LogEvent]](repeating: [], count: partitions)
        for number in 0..<requests {
            let seq = Int64(number) + 1
            let request = Make.request(number, at: Int64(random.next() % 20_000), producer: "gw/1", seq: seq)
            log[request.bucketID.partition(of: partitions)].append(request)
            if number % 5 == 4 {
                let feedback = Make.feedback(number, on: random.next() % number)
                log[feedback.bucketID.partition(of: partitions)].append(feedback)
            }
        }
        return log
    }

    private static func expected(_ log: [[LogEvent]]) -> [WindowID: Int64] {
        log.joined().reduce(into: [:]) { counts, event in
            guard case .request(let record) = event else { return }
            let start = record.at - record.at % 1_000
            counts[WindowID(window: Window(start: start, end: start + 1_000), key: WindowKey(record)), default: 0] += 1
        }
    }

    private static func poll(_ condition: () async -> Bool) async throws {
        while await !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test(
        "With a store that fails before and after commits, every event counts exactly once",
        arguments: [1, 2, 3] as [UInt64])
    func faultyStore(seed: UInt64) async throws {
        let log = Self.log(seed: seed, partitions: 4, requests: 4_000)
        let reader = MemoryReader(log, assigned: [0, 1, 2, 3], seed: seed)
        let store = MemoryStreamStore(seed: seed, faults: 0.2)
        let worker = Self.worker(reader, store)
        let running = Task { try await worker.run() }
        let expected = Self.expected(log)
        try await Self.poll { await store.counts == expected }
        try await Self.poll { await store.feedback == 800 }
        await store.setFaults(0)
        running.cancel()
        try await running.value
        #expect(await store.counts == expected)
        #expect(await reader.closed)
        #expect(worker.statistics.failedCheckpoints > 0)
        #expect(await store.declared == 4)
    }

    @Test("Partitions that move between workers at any time are counted once")
    func moves() async throws {
        let log = Self.log(seed: 9, partitions: 2, requests: 3_000)
        let store = MemoryStreamStore(seed: 9)
        let readers = [MemoryReader(log, assigned: [0, 1], seed: 1), MemoryReader(log, assigned: [], seed: 2)]
        let workers = readers.map { Self.worker($0, store) }
        let running = workers.map { worker in Task { try await worker.run() } }
        var owner = 0
        for round in 0..<6 {
            try await Task.sleep(for: .milliseconds(8))
            // Given up in order, or taken after a session timeout that the former owner hears of later.
            if round % 2 == 0 {
                await readers[owner].send(.revoked([0]))
                try await Self.poll { await readers[owner].released.count == round / 2 + 1 || round / 2 % 2 == 1 }
                await readers[1 - owner].send(.assigned([0]))
            } else {
                await readers[1 - owner].send(.assigned([0]))
                try await Task.sleep(for: .milliseconds(8))
                await readers[owner].send(.lost([0]))
            }
            owner = 1 - owner
        }
        let expected = Self.expected(log)
        try await Self.poll { await store.counts == expected }
        for worker in workers { worker.stop() }
        for task in running { try await task.value }
        #expect(await store.counts == expected)
    }

    @Test("What the log's bound took before it was read is counted, and reading goes on")
    func loss() async throws {
        let log = Self.log(seed: 5, partitions: 1, requests: 1_000)
        let reader = MemoryReader(log, assigned: [0], seed: 5)
        let store = MemoryStreamStore(seed: 5)
        let worker = Self.worker(reader, store)
        let running = Task { try await worker.run() }
        await reader.send(.gap(partition: 0, from: 7, to: 10))
        let expected = Self.expected(log)
        try await Self.poll { await store.counts == expected }
        try await Self.poll { worker.statistics.lost == 3 }
        worker.stop()
        try await running.value
    }

    @Test("A partition waits while a changed window could not be counted on, and goes on when the change is taken back")
    func changed() async throws {
        let log = Self.log(seed: 6, partitions: 1, requests: 600)
        let beginning = [Array(log[0].prefix(300))]
        let store = MemoryStreamStore(seed: 6)
        func counts() async -> [WindowID: Int64] {
            await store.counts.filter { $0.key.key.window == WindowDefinition.requests }
        }
        for (log, discarding) in [(beginning, true), (log, false), (log, true)] {
            let pieces = WindowDefinition(
                name: "pieces", key: [.route], assigner: .tumbling(size: 1_000), latenessMs: 86_400_000,
                discarding: discarding)
            let reader = MemoryReader(log, assigned: [0], seed: 1)
            let worker = Self.worker(reader, store, windows: [pieces])
            let running = Task { try await worker.run() }
            let (before, claims) = (await counts(), await store.partitions[0]?.epoch ?? 0)
            if discarding {
                let expected = Self.expected(log)
                try await Self.poll { await counts() == expected }
            } else {
                try await Self.poll { await store.partitions[0]?.epoch ?? 0 > claims + 3 }
                #expect(await counts() == before)
            }
            worker.stop()
            try await running.value
        }
    }

    @Test("Stopping stores what was read, and a second start goes on from there")
    func restart() async throws {
        let log = Self.log(seed: 4, partitions: 1, requests: 2_000)
        let store = MemoryStreamStore(seed: 4)
        let expected = Self.expected(log)
        for round in 0..<3 as Range<UInt64> {
            let worker = Self.worker(MemoryReader(log, assigned: [0], seed: round), store)
            let running = Task { try await worker.run() }
            if round < 2 {
                try await Self.poll { worker.statistics.checkpoints > 1 }
            } else {
                try await Self.poll { await store.counts == expected }
                try await Self.poll { worker.statistics.partitions[0]?.lag == 0 }
                #expect(worker.statistics.watermark ?? 0 > Make.start + 20_000)
            }
            worker.stop()
            try await running.value
        }
        #expect(await store.counts == expected)
    }
}
