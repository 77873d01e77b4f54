import Core
import Logging
import NIOCore
import Policy
import Synchronization
import Telemetry

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What of one event loop other threads may look at.
final class LoopReport: Sendable {
    let statistics = Mutex(GatewayStatistics())
    let epoch = Atomic<Int64>(-1)
}

/// Everything that one event loop owns: it shares nothing that changes with the others, so it needs no lock.
final class GatewayLoop {
    /// How exactly timeouts are kept.
    static let tick = TimeAmount.milliseconds(20)
    /// Digests remembered, so that a key's HMAC is not computed for every request.
    private static let digestLimit = 4_096

    let eventLoop: any EventLoop
    let settings: GatewaySettings
    let sink: any RecordSink
    let logger: Logger
    let connectionLimit: Int
    let report: LoopReport
    private let hasher: KeyHasher
    private var digests: [String: String] = [:]

    private(set) var snapshot = GatewaySnapshot(table: RoutingTable())
    private(set) var pools: [String: UpstreamPool] = [:]
    private(set) var connections: [ClientConnection] = []
    var mirrors: [Mirror] = []
    var judgeCalls: [JudgeCall] = []
    /// Judges the answers of pairs, if a judge is configured.
    var panel: JudgePanel?
    private(set) var draining = false
    private(set) var stopped = false
    private var drained: EventLoopPromise<Void>?
    var statistics = GatewayStatistics()
    let recentPrompts: RecentPrompts
    /// Of the hashes of prompts: the same in every gateway of the installation.
    let promptSalt: UInt64
    var random = SplitMix64(seed: .random(in: 0 ... .max))

    init(
        eventLoop: any EventLoop, settings: GatewaySettings, providers: [UpstreamEndpoint], sink: any RecordSink,
        hasher: KeyHasher, logger: Logger, connectionLimit: Int, report: LoopReport, recentPrompts: RecentPrompts
    ) {
        self.eventLoop = eventLoop
        self.settings = settings
        self.sink = sink
        self.hasher = hasher
        // No secret of a key reads like this, so the salt is the digest of nothing else.
        promptSalt = UInt64(hasher.digest("prompt features").prefix(16), radix: 16) ?? 0
        self.logger = logger
        self.connectionLimit = connectionLimit
        self.report = report
        self.recentPrompts = recentPrompts
        for endpoint in providers { pools[endpoint.settings.id] = UpstreamPool(endpoint, loop: self) }
    }

    func update(_ snapshot: GatewaySnapshot) {
        self.snapshot = snapshot
        report.epoch.store(snapshot.epoch, ordering: .releasing)
    }

    /// The key behind a secret, revoked ones included.
    func key(_ secret: String) -> VirtualKey? {
        if let digest = digests[secret] { return snapshot.keys[digest] }
        let digest = hasher.digest(secret)
        guard let key = snapshot.keys[digest] else { return nil }
        if digests.count >= Self.digestLimit { digests.removeAll(keepingCapacity: true) }
        digests[secret] = digest
        return key
    }

    func append(_ record: RequestRecord) {
        sink.append(.request(record))
        statistics.requests[record.outcome, default: 0] += 1
        if let error = record.error { statistics.errors[error, default: 0] += 1 }
        if let overhead = record.overheadMs { statistics.overhead.add(overhead) }
    }

    // MARK: Client connections

    /// - Returns: whether there was room.
    func add(_ connection: ClientConnection) -> Bool {
        guard connections.count < connectionLimit, !draining else { return false }
        connections.enter(connection)
        return true
    }

    func remove(_ connection: ClientConnection) {
        if connections.leave(connection) { finishDraining() }
    }

    /// Keeps every timeout of the loop, and publishes its numbers.
    func onTick() {
        let now = NIODeadline.now()
        // From the end, since one that closes is replaced by the last.
        var index = connections.count
        while index > 0 {
            index = min(index, connections.count) - 1
            guard index >= 0 else { break }
            if connections[index].deadline <= now { connections[index].expired(now) }
        }
        forEachMirror { if $0.deadline <= now { $0.expired(now) } }
        for call in judgeCalls where call.deadline <= now { call.expired() }
        for pool in pools.values { pool.sweep(now) }
        publish()
    }

    private func publish() {
        statistics.clientConnections = connections.count
        statistics.upstreamConnections = pools.values.reduce(0) { $0 + $1.open }
        statistics.waiting = pools.values.reduce(0) { $0 + $1.waitingCount }
        let current = statistics
        report.statistics.withLock { $0 = current }
    }

    // MARK: Stopping

    /// Takes nothing new; `promise` is kept when the last client connection has gone.
    func drain(_ promise: EventLoopPromise<Void>) {
        draining = true
        drained = promise
        forEachMirror { $0.cut() }
        for call in judgeCalls { call.cut() }
        for connection in connections { connection.drain() }
        finishDraining()
    }

    /// Ends what is still in flight.
    func cutOff() {
        for connection in connections { connection.cutOff() }
    }

    private func finishDraining() {
        guard draining, connections.isEmpty, let promise = drained else { return }
        drained = nil
        for pool in pools.values { pool.closeIdle() }
        publish()
        pools = [:]
        panel = nil
        stopped = true
        promise.succeed()
    }
}

/// Milliseconds since the epoch.
func wallClock() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}

extension NIODeadline {
    /// Milliseconds from `start` to this.
    func milliseconds(since start: NIODeadline) -> Double { Double((self - start).nanoseconds) / 1e6 }
}
