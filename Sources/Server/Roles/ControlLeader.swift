import ControlAPI
import ControlLoop
import Core
import Logging
import Observability
import ServiceLifecycle
import StateStore

/// Ticks the loop while this process holds the leader's lock; others stand by.
struct ControlLeader: Service {
    let driver: LoopDriver
    let lock: LeaderLock
    let store: PostgresControlStore
    let partitions: DayPartitions
    let tickMs: Int64
    let retentionDays: Int
    let metrics: MetricRegistry
    let logger: Logger

    private static let maintenanceMs: Int64 = 600_000

    func run() async throws {
        await cancelWhenGracefulShutdown { await lead() }
        metrics.set(.controlLeader, 0)
        await lock.release()
    }

    private func lead() async {
        var driver = driver
        var nextMaintenance: Int64 = 0
        var outage = OutageLog()
        while !Task.isCancelled {
            do {
                let epoch = try await lock.lead()
                metrics.set(.controlLeader, epoch == nil ? 0 : 1)
                if let epoch {
                    let now = currentMilliseconds()
                    let start = ContinuousClock.now
                    driver.store = store.fenced(by: "control", epoch: epoch)
                    try await driver.tick(now: now, seed: UInt64(bitPattern: now))
                    metrics.observe(.controlStepDuration, (ContinuousClock.now - start) / .seconds(1))
                    if now >= nextMaintenance {
                        try await partitions.maintain(now: now, keepDays: retentionDays)
                        nextMaintenance = now + Self.maintenanceMs
                    }
                }
                if let ms = outage.worked(at: currentMilliseconds()) {
                    logger.notice("The control loop works again", metadata: ["after_ms": "\(ms)"])
                }
                try await Task.sleep(for: .milliseconds(tickMs))
            } catch is CancellationError {
                return
            } catch {
                metrics.set(.controlLeader, 0)
                if outage.failed(at: currentMilliseconds()) {
                    logger.warning("Control loop step failed", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: .seconds(1))
            }
        }
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
