import Dispatch
import Synchronization

/// What passes between a consumer's thread and the task that uses it.
final class ConsumerMailbox: Sendable {
    enum Order: Sendable {
        case start(Int, Int64)
        case release([Int])
        case pause([Int])
        case resume([Int])
        case commit([Int: Int64])
        case close
    }

    fileprivate typealias Waiter = CheckedContinuation<KafkaConsumerEvent?, any Error>

    fileprivate struct State: Sendable {
        var events: [KafkaConsumerEvent] = []
        var taken = 0
        var batches = 0
        var bytes = 0
        var waiter: (deadline: ContinuousClock.Instant, continuation: Waiter)?
        var orders: [Order] = []
        /// Starts on their way to the thread, by partition: what it reads of these meanwhile is from before.
        var starting: [Int: Int] = [:]
        var failure: KafkaError?
        var closed = false
        var ends: [Int: Int64] = [:]
        /// Whether the thread waits for an order or room.
        var isThreadWaiting = false
        /// When the task last asked for an event.
        var askedAt = ContinuousClock.now
    }

    private let state = Mutex(State())
    private let maxBatches: Int
    private let maxBytes: Int
    /// Raised for a thread that waits when there is an order or room again; it looks at the state after every wake-up.
    private let news = DispatchSemaphore(value: 0)

    init(maxBatches: Int, maxBytes: Int) {
        self.maxBatches = maxBatches
        self.maxBytes = maxBytes
    }

    // MARK: The task's side

    func next(timeout: Duration) async throws -> KafkaConsumerEvent? {
        let deadline = ContinuousClock.now + timeout
        return try await withCheckedThrowingContinuation { continuation in
            let result: Result<KafkaConsumerEvent?, any Error>? = state.withLock { state in
                state.askedAt = .now
                if let event = state.pop() {
                    if isHalfEmpty(state) { wake(&state) }
                    return .success(event)
                }
                if let failure = state.failure { return .failure(failure) }
                if timeout <= .zero { return .success(nil) }
                state.waiter = (deadline, continuation)
                return nil
            }
            if let result { continuation.resume(with: result) }
        }
    }

    func order(_ order: Order) {
        state.withLock { state in
            state.orders.append(order)
            wake(&state)
        }
    }

    private func wake(_ state: inout State) {
        guard state.isThreadWaiting else { return }
        state.isThreadWaiting = false
        news.signal()
    }

    /// Batches and bytes that wait to be taken.
    var waiting: (batches: Int, bytes: Int) { state.withLock { ($0.batches, $0.bytes) } }

    /// Orders a partition to be read from `offset` on; from now on nothing comes that was read of it before.
    func start(_ partition: Int, at offset: Int64) {
        state.withLock { state in
            state.drop([partition])
            state.starting[partition, default: 0] += 1
            state.orders.append(.start(partition, offset))
            wake(&state)
        }
    }

    var endOffsets: [Int: Int64] { state.withLock { $0.ends } }
    var isClosed: Bool { state.withLock { $0.closed } }

    // MARK: The thread's side

    func takeOrders() -> [Order] {
        state.withLock { state in
            defer { state.orders = [] }
            return state.orders
        }
    }

    func post(_ event: KafkaConsumerEvent) {
        let waiter = state.withLock { state -> (Waiter, KafkaConsumerEvent)? in
            if let partition = event.reads, state.starting[partition] != nil { return nil }
            state.push(event)
            guard let waiter = state.waiter.take(), let next = state.pop() else { return nil }
            return (waiter.continuation, next)
        }
        if let (continuation, event) = waiter { continuation.resume(returning: event) }
    }

    /// Forgets the batches of partitions that are another's now.
    func forget(_ partitions: Set<Int>) {
        state.withLock { state in
            state.drop(partitions)
            for partition in partitions { state.ends[partition] = nil }
        }
    }

    /// The thread reads from the new place on.
    func started(_ partition: Int) {
        state.withLock { state in
            let others = (state.starting[partition] ?? 1) - 1
            state.starting[partition] = others > 0 ? others : nil
        }
    }

    func setEnd(_ end: Int64, of partition: Int) { state.withLock { $0.ends[partition] = end } }

    /// Ends a wait whose time is over.
    func expireWaiter() {
        let waiter = state.withLock { state -> Waiter? in
            guard let waiter = state.waiter, waiter.deadline <= .now else { return nil }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume(returning: nil)
    }

    var isFull: Bool { state.withLock { $0.batches >= maxBatches || $0.bytes >= maxBytes } }
    var isHalfEmpty: Bool { state.withLock { isHalfEmpty($0) } }
    private func isHalfEmpty(_ state: State) -> Bool {
        state.batches <= maxBatches / 2 && state.bytes <= maxBytes / 2
    }

    /// Waits for an order or for room.
    func waitForNews(milliseconds: Int) {
        let isDue = state.withLock { state in
            state.isThreadWaiting = state.orders.isEmpty && !isHalfEmpty(state)
            return !state.isThreadWaiting
        }
        if !isDue { _ = news.wait(timeout: .now() + .milliseconds(milliseconds)) }
    }

    /// Whether something waits and nobody has asked for it for so long.
    func isStalled(for limit: Duration) -> Bool {
        state.withLock { $0.taken < $0.events.count && $0.askedAt + limit < .now }
    }

    /// Drops what waits: its partitions are about to be another's.
    func abandon(_ error: KafkaError) {
        state.withLock { ($0.events, $0.taken, $0.batches, $0.bytes) = ([], 0, 0, 0) }
        fail(error)
    }

    /// Reading is over: once the mailbox is empty, `next` throws this.
    func fail(_ error: KafkaError) {
        let waiter = state.withLock { state in
            state.failure = state.failure ?? error
            return state.waiter.take()?.continuation
        }
        waiter?.resume(throwing: error)
    }

    func close() {
        fail(.closed)
        state.withLock { $0.closed = true }
    }
}

extension KafkaConsumerEvent {
    /// The partition that was read.
    fileprivate var reads: Int? {
        switch self {
        case .batch(let batch): batch.partition
        case .overtaken(let partition, _, _): partition
        case .assigned, .revoked, .lost: nil
        }
    }
}

extension ConsumerMailbox.State {
    /// Takes out what was read of these partitions.
    fileprivate mutating func drop(_ partitions: Set<Int>) {
        let waiting = events[taken...]
        (events, taken, batches, bytes) = ([], 0, 0, 0)
        for event in waiting where event.reads.map(partitions.contains) != true { push(event) }
    }

    fileprivate mutating func push(_ event: KafkaConsumerEvent) {
        events.append(event)
        if case .batch(let batch) = event {
            batches += 1
            bytes += batch.bytes.count
        }
    }

    fileprivate mutating func pop() -> KafkaConsumerEvent? {
        guard taken < events.count else { return nil }
        let event = events[taken]
        taken += 1
        // What was taken leaves together, so that taking one stays cheap.
        if taken >= 32 || taken == events.count {
            events.removeFirst(taken)
            taken = 0
        }
        if case .batch(let batch) = event {
            batches -= 1
            bytes -= batch.bytes.count
        }
        return event
    }
}
