package import ControlLoop
import Core
package import Policy
package import Rollouts
import Statistics
import StreamProcessing
import Telemetry

/// The whole loop on a virtual clock, from one seed, without a socket, a sleep or a thread: arrivals, assignment,
/// simulated answers, request records and feedback, the stream's windows and evidence, the store, the control loop.
///
/// Only time is simulated. Assignment, stream processing and control loop are the code that serves.
package struct VirtualWorld {
    package let store: InMemoryControlStore
    package private(set) var now: Int64
    private let settings: VirtualSettings
    private var driver: LoopDriver
    private var workload: Workload
    private var simulator: Simulator
    private var gateway: VirtualGateway
    private var processors: [PartitionProcessor]
    private var offsets: [Int64]
    /// Requests that have started and not ended, and their feedback.
    private var open: [Completion] = []
    private var next: PlannedRequest?
    private var events: ArraySlice<ScenarioEvent>
    private var ids: SplitMix64
    private var served: [VirtualReport.Key: ServedStatistics] = [:]
    private var spanStart: Int64

    private struct Completion {
        var record: RequestRecord
        var feedback: Feedback?
    }

    /// - Throws: what the store says of the route.
    package init(_ settings: VirtualSettings) async throws {
        self.settings = settings
        now = settings.startMs
        spanStart = settings.startMs
        store = InMemoryControlStore()
        var control = settings.control
        // A world is a rehearsal itself.
        control.requireRehearsal = false
        control.catalog = settings.models.map { Target(modelKey: $0.key) }
        driver = LoopDriver(
            loop: ControlLoop(settings: control), store: store, decisionIntervalMs: settings.decisionIntervalMs)
        var seeds = SplitMix64(seed: settings.seed)
        workload = Workload(
            arrivals: settings.arrivals, prompts: settings.prompts, shape: settings.traffic, seed: seeds.next())
        simulator = Simulator(models: settings.models, outcomes: settings.outcomes, seed: seeds.next())
        let known = ModelCatalog.prices(of: settings.models).prices.mapValues { Optional($0) }
        gateway = VirtualGateway(
            prices: await store.setPrices(known, by: Self.actor, now: now), seed: seeds.next())
        processors = (0..<max(1, settings.partitions)).map {
            PartitionProcessor(partition: $0, settings: settings.stream)
        }
        offsets = Array(repeating: 0, count: processors.count)
        ids = seeds.split()
        next = workload.next()
        events = settings.events[...]
        try await store.apply(settings.route, firstPolicy: settings.firstPolicy, by: Self.actor, now: now)
        await refreshTable()
    }

    package static let actor = "simulation"

    /// Lets `milliseconds` of virtual time pass.
    ///
    /// - Parameter observe: told of the route after every look of the control loop.
    /// - Returns: what happened in this span.
    package mutating func run(
        milliseconds: Int64, observe: @Sendable (Int64, RouteState) throws -> Void = { _, _ in }
    ) async throws -> VirtualReport {
        let end = now + max(0, milliseconds)
        while now < end {
            let tick = min(end, now + max(1, settings.tickMs))
            try await playEvents(until: tick)
            serveArrivals(until: tick)
            now = tick
            try await look()
            if let state = await store.state(of: settings.route.name) { try observe(now, state) }
        }
        defer { (served, spanStart) = ([:], now) }
        return VirtualReport(start: spanStart, end: now, served: served)
    }

    private mutating func serveArrivals(until tick: Int64) {
        while let planned = next {
            let at = settings.startMs + Int64(planned.atMs)
            guard at < tick else { return }
            next = workload.next()
            guard let (user, copy) = gateway.serve(planned, route: settings.route.name, now: at, &simulator) else {
                continue
            }
            // No user sees a copy: it is no served request.
            count(user)
            open.append(completion(of: user, .user, isJudged: planned.givesFeedback))
            if let copy { open.append(completion(of: copy, .judge, isJudged: planned.givesFeedback)) }
        }
    }

    private mutating func completion(of one: VirtualGateway.Served, _ source: Feedback.Source, isJudged: Bool)
        -> Completion
    {
        var completion = Completion(record: one.record)
        guard isJudged, let quality = one.quality else { return completion }
        var feedback = Feedback(
            id: UUIDv7(milliseconds: one.record.at, using: &ids), request: one.record.id, at: one.record.at,
            name: Feedback.quality, value: quality, source: source)
        feedback.pair = one.record.shadowOf
        completion.feedback = feedback
        return completion
    }

    private mutating func count(_ one: VirtualGateway.Served) {
        let record = one.record
        let key = VirtualReport.Key(
            policy: record.policy ?? 0, arm: record.arm.rawValue, modelKey: WindowKey(record).modelKey)
        served[key, default: .init()].requests += 1
        if record.outcome.isFailure { served[key]?.failures += 1 }
        if let cost = record.cost { served[key]?.cost.add(Double(cost.value)) }
        if let quality = one.quality { served[key]?.quality.add(quality) }
    }

    /// What ended goes through the stream into the store; then the loop looks, and the table follows.
    private mutating func look() async throws {
        let ended = open.filter { $0.record.at <= now }.sorted {
            ($0.record.at, $0.record.id) < ($1.record.at, $1.record.id)
        }
        open.removeAll { $0.record.at <= now }
        for completion in ended {
            process(.request(completion.record))
            if let feedback = completion.feedback { process(.feedback(feedback)) }
        }
        for processor in processors {
            processor.advance(now: now)
            let checkpoint = processor.checkpoint()
            await store.add(
                results: checkpoint.results, feedback: checkpoint.feedbackDeltas(), panes: checkpoint.evidence())
        }
        try await driver.tick(now: now, seed: ids.next())
        await refreshTable()
    }

    private mutating func process(_ event: LogEvent) {
        let partition = event.bucketID.partition(of: processors.count)
        processors[partition].process(event, offset: offsets[partition], now: now)
        offsets[partition] += 1
    }

    private mutating func refreshTable() async {
        guard let state = await store.state(of: settings.route.name), let stable = state.stable else { return }
        gateway.table.entries[settings.route.name] = RoutingTable.Entry(
            route: state.route, pointer: state.pointer, stable: stable,
            candidate: state.pointer.candidate.flatMap { state.policies[$0] }, baseline: state.baseline,
            catalog: driver.loop.settings.catalog)
    }

    private mutating func playEvents(until tick: Int64) async throws {
        while let event = events.first, settings.startMs + Int64(event.atS * 1000) < tick {
            events.removeFirst()
            if let change = event.change { try simulator.set(change.model, change.to) }
            if let price = event.price {
                var change = ModelChange()
                change.price = price.to
                try simulator.set(price.model, change)
                gateway.prices = await store.setPrices([price.model: price.to.tokenPrice], by: Self.actor, now: now)
            }
            if let rollout = event.rollout {
                let policy = RoutingPolicy.simulated(
                    route: settings.route.name, model: rollout.model, fallbacks: settings.firstPolicy.fallbacks,
                    reason: rollout.reason)
                try await startRollout(of: policy, goal: rollout.goal, reason: rollout.reason)
            }
        }
    }

    /// Somebody starts a rollout of a policy that is new.
    ///
    /// - Throws: what the control loop says against it.
    package mutating func startRollout(
        of policy: RoutingPolicy, goal: RolloutPlan.Goal, kind: RolloutPlan.Kind = .canary, reason: String
    ) async throws {
        let version = try await store.create(policy, now: now).version
        _ = try await driver.handle(
            .startRollout(RolloutRequest(policy: version, goal: goal, kind: kind, reason: reason)),
            route: settings.route.name, by: Self.actor, now: now, seed: ids.next())
        await refreshTable()
    }
}
