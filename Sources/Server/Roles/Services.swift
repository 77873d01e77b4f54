import Hummingbird
import ControlAPI
import Core
import EventLog
import Foundation
import Gateway
import Logging
import NIOCore
import Observability
import ServiceLifecycle
import StateStore
import Synchronization
import Telemetry

/// The ports in use, which matters where 0 was asked for; `nil` until bound.
package final class Ports: Sendable {
    private let state = Mutex((gateway: Int?.none, api: Int?.none))

    package var gateway: Int? { state.withLock { $0.gateway } }
    package var api: Int? { state.withLock { $0.api } }
    func set(gateway port: Int?) { state.withLock { $0.gateway = port } }
    func set(api port: Int?) { state.withLock { $0.api = port } }
}

/// Keeps the local log open for all who use it; it stops last.
struct LogService: Service {
    let log: LocalLog
    let metrics: MetricRegistry

    func run() async throws {
        metrics.collect {
            let statistics = log.statistics
            return [
                MetricSample(.logDropped, Double(statistics.dropped.values.reduce(0, +))),
                MetricSample(.logSize, Double(statistics.bytes)),
            ]
        }
        try? await gracefulShutdown()
        await log.close()
    }
}

struct GatewayService: Service {
    let gateway: GatewayServer
    let drainSeconds: Double
    let metrics: MetricRegistry
    let ports: Ports
    let logger: Logger

    func run() async throws {
        try await gateway.start()
        ports.set(gateway: gateway.port)
        logger.notice("Gateway listens", metadata: ["port": "\(gateway.port ?? 0)"])
        metrics.collect {
            let statistics = gateway.statistics
            return [
                MetricSample(.gatewayInFlight, Double(statistics.inFlight)),
                MetricSample(.gatewayConnections, Double(statistics.clientConnections)),
                MetricSample(.gatewayMirrorsDropped, Double(statistics.mirrorsDropped)),
                MetricSample(.gatewayTableEpoch, Double(gateway.servedEpoch)),
            ] + (gateway.judgeStatistics?.samples() ?? [])
        }
        try? await gracefulShutdown()
        await gateway.stop(drain: .seconds(drainSeconds))
    }
}

struct StreamService: Service {
    let worker: StreamWorker

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await worker.run()
        } onGracefulShutdown: {
            worker.stop()
        }
    }
}

struct ShipperService: Service {
    let shipper: Shipper
    let metrics: MetricRegistry

    func run() async throws {
        metrics.collect { [MetricSample(.logShipped, Double(shipper.status.acknowledged))] }
        try await cancelWhenGracefulShutdown { try await shipper.run() }
    }
}

struct APIService: Service {
    let api: ControlAPI
    let address: String
    let ports: Ports
    let metrics: MetricRegistry
    let logger: Logger

    func run() async throws {
        metrics.collect { [MetricSample(.apiEventStreams, Double(api.openEventStreams))] }
        let application = api.makeService { port in
            ports.set(api: port)
            logger.notice("Control API listens", metadata: ["port": "\(port)"])
        }
        do {
            try await application.run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw TrimtabError(
                "api.bind", "The control API cannot listen on \(address): the port is taken.",
                remedy: "Free the port, or set api.bind to another address.")
        }
    }
}

/// The last of all services and so the first to be told to stop: from then on a second signal gets the default action
/// and ends the process at once.
struct SecondSignal: Service {
    func run() async throws {
        try? await gracefulShutdown()
        signal(SIGINT, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
    }
}

/// Takes operators' feedback into the local log.
struct LogFeedback: FeedbackSink {
    let log: LocalLog?

    func append(_ feedback: Feedback) async throws {
        guard let log else {
            throw TrimtabError(
                "server.no_gateway", "This process has no gateway role and so no event log to write to.",
                remedy: "Post feedback to a gateway, at /v1/feedback.")
        }
        log.append(.feedback(feedback))
    }
}
