import ControlAPI
import ControlLoop
import Core
import Logging
import Observability
import ServiceLifecycle
import StateStore
import Synchronization

/// Ticks the loop while this process holds the leader's lock; others stand by.
struct ControlLeader: Service {
    let driver: LoopDriver
    let analysis: AnalysisDriver
    /// Where fixed prompts are to be sent.
    let prober: Prober?
    let lock: LeaderLock
    let store: PostgresControlStore
    let partitions: DayPartitions
    let tickMs: Int64
    let rollups: Rollups
    let retention: Retention
    let webhooks: WebhookSender
    let metrics: MetricRegistry
    let logger: Logger

    private static let maintenanceMs: Int64 = 600_000
    private static let analysisMs: Int64 = 1_000
    /// Between two looks at whether a fixed prompt is due.
    private static let probeMs: Int64 = 250

    func run() async throws {
        let leading = Leading()
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask { await lead(leading) }
                group.addTask { await maintain(leading) }
                group.addTask { await analyze(leading) }
                if let prober { group.addTask { await probe(leading, prober) } }
                group.addTask { await webhooks.run { leading.epoch != nil } }
            }
        }
        metrics.set(.controlLeader, 0)
        await lock.release()
    }

    /// Rolls results up and lets old ones go, beside the loop, which must not wait for it.
    private func maintain(_ leading: Leading) async {
        while !Task.isCancelled {
            do {
                guard leading.epoch != nil else {
                    try await Task.sleep(for: .seconds(1))
                    continue
                }
                let now = currentMilliseconds()
                try await rollups.run(now: now)
                try await partitions.maintain(now: now, keep: retention)
                try await Task.sleep(for: .milliseconds(Self.maintenanceMs))
            } catch is CancellationError {
                return
            } catch {
                logger.warning("Maintenance failed", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(10))
            }
        }
    }

    /// Looks for findings, beside the loop: a rollback must not wait for them.
    private func analyze(_ leading: Leading) async {
        var analysis = analysis
        var epoch: Int64?
        var outage = OutageLog()
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: .milliseconds(Self.analysisMs))
                guard let leads = leading.epoch else { continue }
                if leads != epoch {
                    // What was known when this process led before may be old.
                    analysis = self.analysis
                    analysis.store = store.fenced(by: "control", epoch: leads)
                    epoch = leads
                }
                let now = currentMilliseconds()
                let start = ContinuousClock.now
                try await analysis.tick(now: now, seed: UInt64(bitPattern: now))
                metrics.observe(.analysisDuration, (ContinuousClock.now - start) / .seconds(1))
                if let ms = outage.worked(at: currentMilliseconds()) {
                    logger.notice("The analyzers work again", metadata: ["after_ms": "\(ms)"])
                }
            } catch is CancellationError {
                return
            } catch {
                if outage.failed(at: currentMilliseconds()) {
                    logger.warning("Analysis failed", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    /// Sends fixed prompts, beside the loop: some are answered late, or never.
    private func probe(_ leading: Leading, _ prober: Prober) async {
        var prober = prober
        var outage = OutageLog()
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: .milliseconds(Self.probeMs))
                guard leading.epoch != nil else {
                    prober.rest()
                    continue
                }
                try await prober.tick()
                if let ms = outage.worked(at: currentMilliseconds()) {
                    logger.notice("Fixed prompts are sent again", metadata: ["after_ms": "\(ms)"])
                }
            } catch is CancellationError {
                return
            } catch {
                if outage.failed(at: currentMilliseconds()) {
                    logger.warning("Fixed prompts cannot be sent", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func lead(_ leading: Leading) async {
        var driver = driver
        var outage = OutageLog()
        while !Task.isCancelled {
            do {
                let epoch = try await lock.lead()
                metrics.set(.controlLeader, epoch == nil ? 0 : 1)
                leading.epoch = epoch
                if let epoch {
                    let now = currentMilliseconds()
                    let start = ContinuousClock.now
                    driver.store = store.fenced(by: "control", epoch: epoch)
                    try await driver.tick(now: now, seed: UInt64(bitPattern: now))
                    metrics.observe(.controlStepDuration, (ContinuousClock.now - start) / .seconds(1))
                }
                if let ms = outage.worked(at: currentMilliseconds()) {
                    logger.notice("The control loop works again", metadata: ["after_ms": "\(ms)"])
                }
                try await Task.sleep(for: .milliseconds(tickMs))
            } catch is CancellationError {
                return
            } catch {
                metrics.set(.controlLeader, 0)
                leading.epoch = nil
                if outage.failed(at: currentMilliseconds()) {
                    logger.warning("Control loop step failed", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }
}

/// Whether this process leads, and by which epoch, told by the loop to what runs beside it.
private final class Leading: Sendable {
    private let held = Mutex<Int64?>(nil)

    var epoch: Int64? {
        get { held.withLock { $0 } }
        set { held.withLock { $0 = newValue } }
    }
}

/// Runs people's commands through the same driver.
struct LoopCommands: CommandHandling {
    let driver: LoopDriver

    func handle(_ command: Command, route: RouteName, by actor: String) async throws -> CommandResult {
        var generator = SystemRandomNumberGenerator()
        return try await driver.handle(
            command, route: route, by: actor, now: currentMilliseconds(), seed: generator.next())
    }
}
