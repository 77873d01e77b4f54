import Core
package import NIOCore
import NIOPosix

/// Where a replay sends and how.
package struct ReplayOptions: Sendable {
    /// The gateway's address, for example `http://127.0.0.1:8080`.
    package var gateway: String
    package var key: String
    package var route: String
    /// Divides the gaps between requests (the fleet divides latencies), above 0.
    package var speed = 1.0
    /// Open requests above which further ones are counted as dropped.
    package var maximumInFlight = 2_048
    package var timeoutS = 120
    package var seed: UInt64 = 1

    package init(gateway: String, key: String, route: String) {
        self.gateway = gateway
        self.key = key
        self.route = route
    }
}

/// An open-loop load generator: requests leave when the workload says, whatever becomes of the earlier ones, and
/// latency counts from the intended moment, so that a slow gateway cannot hide (no coordinated omission).
///
/// Answers are graded as a user would: the quality of (prompt, answering model), posted as feedback for a share of them.
package final class ReplayClient: Sendable {
    private let loop: any EventLoop
    private let replay: NIOLoopBound<Replay>

    /// - Throws: `simulation.url`.
    package init(
        _ options: ReplayOptions, workload: Workload, simulator: SharedSimulator,
        loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()
    ) async throws {
        let url = try PlainURL(options.gateway)
        self.loop = loop
        replay = try await loop.submit {
            NIOLoopBound(
                Replay(options, url: url, workload: workload, simulator: simulator, loop: loop), eventLoop: loop)
        }.get()
    }

    /// Runs until the workload ends, `stop()` is called or the task is cancelled, and the open requests are done.
    package func run() async throws -> ReplayStatistics {
        let finished = loop.makePromise(of: Void.self)
        loop.execute { [replay] in replay.value.start(finished) }
        try await withTaskCancellationHandler {
            try await finished.futureResult.get()
        } onCancel: {
            stop()
        }
        return try await statistics()
    }

    /// No further requests; open ones are waited for.
    package func stop() { loop.execute { [replay] in replay.value.stop() } }

    /// Everything since the start.
    package func statistics() async throws -> ReplayStatistics {
        try await loop.submit { [replay] in replay.value.total }.get()
    }

    /// What came since the last call of this.
    package func recent() async throws -> ReplayStatistics {
        try await loop.submit { [replay] in replay.value.takeRecent() }.get()
    }
}
