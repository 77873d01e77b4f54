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
    let tickMs: Int64
    let retentionDays: Int
    let metrics: MetricRegistry
    let logger: Logger

    private static let maintenanceMs: Int64 = 600_000

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var driver = driver
            var nextMaintenance: Int64 = 0
            while !Task.isCancelled {
                do {
                    let leads = try await lock.acquire()
                    metrics.set(.controlLeader, leads ? 1 : 0)
                    if leads {
                        let now = currentMilliseconds()
                        let start = ContinuousClock.now
                        try await driver.tick(now: now, seed: UInt64(bitPattern: now))
                        metrics.observe(.controlStepDuration, (ContinuousClock.now - start) / .seconds(1))
                        if now >= nextMaintenance {
                            try await store.maintain(now: now, retentionDays: retentionDays)
                            nextMaintenance = now + Self.maintenanceMs
                        }
                    }
                } catch is CancellationError {
                    break
                } catch {
                    metrics.set(.controlLeader, 0)
                    logger.warning("Control loop step failed", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                }
                try? await Task.sleep(for: .milliseconds(tickMs))
            }
            metrics.set(.controlLeader, 0)
            await lock.release()
        }
    }
}

/// Runs people's commands through the same driver.
struct LoopCommands: CommandHandling {
    let driver: LoopDriver

    func handle(_ command: Command, route: RouteName, by actor: String) async throws -> CommandResult {
        let now = currentMilliseconds()
        var generator = SystemRandomNumberGenerator()
        return try await driver.handle(command, route: route, by: actor, now: now, seed: generator.next())
    }
}
