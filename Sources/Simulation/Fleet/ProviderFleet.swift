import Core
import Foundation
package import NIOCore
import NIOHTTP1
import NIOPosix

/// Simulated providers behind one loopback port, in the real OpenAI wire format. A provider is a path prefix:
/// `http://host:port/<provider>/v1/chat/completions`.
///
/// A waiting answer is a timer on an event loop, so thousands of slow requests cost no thread.
package final class ProviderFleet: Sendable {
    package let simulator: SharedSimulator
    package let port: Int
    private let channel: any Channel

    /// - Parameters:
    ///   - port: 0 takes a free one.
    ///   - speed: divides all latencies, above 0.
    ///   - clock: milliseconds since the epoch.
    /// - Throws: `simulation.bind` if the port is taken.
    package static func start(
        simulator: SharedSimulator, host: String = "127.0.0.1", port: Int = 0, speed: Double = 1,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        clock: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1000) }
    ) async throws -> ProviderFleet {
        let settings = FleetSettings(simulator: simulator, speed: max(speed, 1e-3), clock: clock)
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 1024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        try channel.pipeline.syncOperations.addHandler(FleetHandler(settings))
                    }
                }
                .bind(host: host, port: port).get()
            return ProviderFleet(simulator: simulator, channel: channel, port: channel.localAddress?.port ?? port)
        } catch {
            throw TrimtabError(
                "simulation.bind", "The simulated providers cannot listen on \(host):\(port): \(error).",
                remedy: "Choose another port, or 0 for a free one.")
        }
    }

    private init(simulator: SharedSimulator, channel: any Channel, port: Int) {
        self.simulator = simulator
        self.channel = channel
        self.port = port
    }

    /// What a gateway's configuration calls the provider's base URL: the endpoint is `<base>/chat/completions`.
    package func baseURL(of provider: String) -> String { "http://127.0.0.1:\(port)/\(provider)/v1" }

    package var providers: [String] { Set(simulator.models.map(\.provider)).sorted() }

    /// Changes how a model behaves, from its next request on.
    package func set(_ model: String, _ change: ModelChange) throws { try simulator.set(model, change) }

    /// Stops accepting; open connections end when their clients do.
    package func stop() async throws { try await channel.close() }
}

struct FleetSettings: Sendable {
    let simulator: SharedSimulator
    let speed: Double
    let clock: @Sendable () -> Int64
    /// Larger bodies get 413.
    let maximumBodyBytes = 8 << 20
}
