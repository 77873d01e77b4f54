import NIOCore
import NIOPosix
import NIOSSL
import Telemetry

/// Connections of one event loop to one provider: kept alive, the last one used first.
final class UpstreamPool {
    let endpoint: UpstreamEndpoint
    /// The cycle ends when the loop has drained and lets go of its pools.
    private let loop: GatewayLoop
    private var idle: [UpstreamConnection] = []
    private var waiters = CircularBuffer<(exchange: any UpstreamUser, ticket: Int)>()
    private var connecting = 0
    private var lastTicket = 0
    /// Connections there are, those being made included.
    private(set) var open = 0

    init(_ endpoint: UpstreamEndpoint, loop: GatewayLoop) {
        self.endpoint = endpoint
        self.loop = loop
    }

    var waitingCount: Int { waiters.count }
    /// Whether less than half of the connections that may be are in use: what is left is for users.
    var hasRoomToSpare: Bool { 2 * (open - idle.count) < endpoint.settings.maxConnectionsPerLoop }

    enum Acquisition {
        case connection(UpstreamConnection)
        /// `exchange.connected` or `exchange.attemptFailed` follows. `queued`: no connection is being made for it,
        /// since there are as many as allowed.
        case waiting(ticket: Int, queued: Bool)
        case full
    }

    /// - Parameter fresh: passes over kept connections.
    func acquire(_ exchange: any UpstreamUser, fresh: Bool, connectMs: Int) -> Acquisition {
        if !fresh, let connection = idle.popLast() { return .connection(connection) }
        guard waiters.count < loop.settings.limits.waiting else { return .full }
        lastTicket += 1
        waiters.append((exchange, lastTicket))
        let queued = open >= endpoint.settings.maxConnectionsPerLoop
        if !queued { connect(timeoutMs: connectMs) }
        return .waiting(ticket: lastTicket, queued: queued)
    }

    /// Takes a connection that is ready for another request.
    func release(_ connection: UpstreamConnection) {
        if let exchange = nextWaiter() {
            exchange.connected(connection)
        } else if loop.draining && loop.connections.isEmpty {
            connection.close()
        } else {
            connection.idleSince = .now()
            idle.append(connection)
        }
    }

    func closed(_ connection: UpstreamConnection) {
        open -= 1
        idle.removeAll { $0 === connection }
        // Whoever waits for room gets it.
        if !waiters.isEmpty, connecting < waiters.count { connect(timeoutMs: 5_000) }
    }

    func sweep(_ now: NIODeadline) {
        let limit = TimeAmount.milliseconds(Int64(endpoint.settings.idleTimeoutMs))
        // The oldest lie at the bottom.
        while let oldest = idle.first, now - oldest.idleSince > limit {
            idle.removeFirst()
            oldest.close()
        }
    }

    func closeIdle() {
        let all = idle
        idle = []
        for connection in all { connection.close() }
    }

    private func nextWaiter() -> (any UpstreamUser)? {
        while let (exchange, ticket) = waiters.popFirst() {
            if exchange.ticket == ticket { return exchange }
        }
        return nil
    }

    // MARK: Connecting

    private func connect(timeoutMs: Int) {
        open += 1
        connecting += 1
        loop.statistics.upstreamConnects += 1
        let timeout = TimeAmount.milliseconds(Int64(timeoutMs))
        let bound = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let bootstrap = ClientBootstrap(group: loop.eventLoop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.addHandlers(channel) }
            }
        let future =
            if let address = endpoint.address {
                bootstrap.connect(to: address)
            } else {
                bootstrap.connect(host: endpoint.host, port: endpoint.port)
            }
        future.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): self.opened(channel, timeout: timeout)
            case .failure(let error): self.connectFailed(UpstreamFailure(connecting: error))
            }
        }
    }

    private func addHandlers(_ channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls = endpoint.tls {
            let name = endpoint.address == nil ? endpoint.host : nil
            try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: name))
        }
        try pipeline.addHandler(UpstreamConnection(pool: self))
    }

    private func opened(_ channel: any Channel, timeout: TimeAmount) {
        guard let connection = try? channel.pipeline.syncOperations.handler(type: UpstreamConnection.self) else {
            return connectFailed(UpstreamFailure(error: .reset))
        }
        connection.attach(handshakeTimeout: timeout)
    }

    func ready(_ connection: UpstreamConnection) {
        connecting -= 1
        release(connection)
    }

    func connectFailed(_ failure: UpstreamFailure) {
        open -= 1
        connecting -= 1
        nextWaiter()?.attemptFailed(failure)
        if connecting < waiters.count, open < endpoint.settings.maxConnectionsPerLoop { connect(timeoutMs: 5_000) }
    }
}
