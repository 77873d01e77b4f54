import Core
package import Logging
package import NIOCore
import NIOPosix
import NIOSSL
package import Policy
import Synchronization

/// The OpenAI-compatible proxy: accepts clients and spreads them over the event loops of a group.
///
/// Each event loop has its own state; a new snapshot is handed to each in turn. Nothing on the path of a request takes
/// a lock or leaves its event loop.
package final class GatewayServer: Sendable {
    private let settings: GatewaySettings
    private let group: any EventLoopGroup
    private let logger: Logger
    private let loops: [Loop]
    private let tls: NIOSSLContext?
    private let listener = Mutex<(any Channel)?>(nil)
    private let updating = Mutex(())
    private let panel: JudgePanel?

    private struct Loop: Sendable {
        let eventLoop: any EventLoop
        let state: NIOLoopBoundBox<GatewayLoop>
        let report: LoopReport
    }

    /// - Throws: `TrimtabError` for a provider's address or key, or a certificate, that cannot be used.
    package init(
        settings: GatewaySettings, providers: [ProviderSettings], sink: any RecordSink, hasher: KeyHasher,
        logger: Logger, group: any EventLoopGroup
    ) throws {
        self.settings = settings
        self.group = group
        self.logger = logger
        let endpoints = try providers.map(UpstreamEndpoint.init)
        tls = try settings.tls.map(Self.context)
        let eventLoops = Array(group.makeIterator())
        let share = max(1, settings.limits.connections / max(1, eventLoops.count))
        let recentPrompts = RecentPrompts()
        loops = eventLoops.map { eventLoop in
            let report = LoopReport()
            let state = NIOLoopBoundBox.makeBoxSendingValue(
                GatewayLoop(
                    eventLoop: eventLoop, settings: settings, providers: endpoints, sink: sink, hasher: hasher,
                    logger: logger, connectionLimit: share, report: report, recentPrompts: recentPrompts),
                eventLoop: eventLoop)
            return Loop(eventLoop: eventLoop, state: state, report: report)
        }
        panel = Self.panel(settings.judge, sink: sink, logger: logger, first: loops.first)
        if let panel {
            for loop in loops { loop.eventLoop.execute { loop.state.value.panel = panel } }
        }
    }

    /// One panel for all event loops, since there is one budget; the judge is asked from the first of them.
    private static func panel(
        _ judge: JudgeSettings?, sink: any RecordSink, logger: Logger, first: Loop?
    ) -> JudgePanel? {
        guard let judge, let first else { return nil }
        let chat = ChatJudge(
            loop: first.state, eventLoop: first.eventLoop, target: judge.target, timeoutMs: judge.timeoutMs)
        return JudgePanel(settings: judge, judge: chat, sink: sink, logger: logger)
    }

    /// The port that is listened on, once started.
    package var port: Int? { listener.withLock { $0?.localAddress?.port } }

    /// The epoch that every event loop serves at least; -1 before the first snapshot.
    package var servedEpoch: Int64 { loops.map { $0.report.epoch.load(ordering: .acquiring) }.min() ?? -1 }

    package var statistics: GatewayStatistics {
        loops.reduce(GatewayStatistics()) { sum, loop in sum + loop.report.statistics.withLock { $0 } }
    }

    /// `nil` without a judge.
    package var judgeStatistics: JudgeStatistics? { panel?.statistics }

    /// Serves by `snapshot` from now on; requests under way keep theirs.
    package func update(_ snapshot: GatewaySnapshot) {
        // The lock keeps two updates in the same order on every loop; requests never take it.
        updating.withLock { _ in
            panel?.update(snapshot.prices)
            for loop in loops { loop.eventLoop.execute { loop.state.value.update(snapshot) } }
        }
    }

    /// As `update`; returns when every event loop serves by `snapshot`, so that its epoch can be reported truly.
    package func serve(_ snapshot: GatewaySnapshot) async {
        update(snapshot)
        for loop in loops { try? await loop.eventLoop.submit {}.get() }
    }

    /// Starts to listen.
    ///
    /// - Throws: `TrimtabError` naming `gateway.bind` if the address cannot be had.
    package func start() async throws {
        let loops = Dictionary(
            loops.map { (ObjectIdentifier($0.eventLoop), $0) }, uniquingKeysWith: { first, _ in first })
        let tls = tls
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else {
                        throw ChannelError.inappropriateOperationForState
                    }
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.addHandler(ClientConnection(loop: loop.state.value))
                }
            }
        let channel: any Channel
        do {
            channel = try await bootstrap.bind(host: settings.host, port: settings.port).get()
        } catch {
            throw TrimtabError(
                "gateway.bind", "The gateway cannot listen on \(settings.host):\(settings.port): \(error).",
                remedy: "Free the port, or set gateway.bind to another address.")
        }
        listener.withLock { $0 = channel }
        for loop in self.loops { startTicking(loop) }
        logger.notice("Gateway listens", metadata: ["gateway.bind": "\(settings.host):\(port ?? settings.port)"])
    }

    /// Stops to listen, waits up to `drain` for answers in flight, then ends them as truncated.
    package func stop(drain: Duration) async {
        let channel = listener.withLock { current in
            defer { current = nil }
            return current
        }
        try? await channel?.close().get()
        panel?.stop()
        let wait = TimeAmount(drain)
        let drained = loops.map { loop in
            let promise = loop.eventLoop.makePromise(of: Void.self)
            loop.eventLoop.execute { loop.state.value.drain(promise) }
            let cut = loop.eventLoop.scheduleTask(in: wait) { loop.state.value.cutOff() }
            promise.futureResult.whenComplete { _ in cut.cancel() }
            return promise.futureResult
        }
        for future in drained { try? await future.get() }
        logger.notice("Gateway stopped")
    }

    private func startTicking(_ loop: Loop) {
        loop.eventLoop.scheduleRepeatedTask(initialDelay: GatewayLoop.tick, delay: GatewayLoop.tick) { task in
            loop.state.value.onTick()
            if loop.state.value.stopped { task.cancel() }
        }
    }

    private static func context(_ tls: GatewaySettings.TLS) throws -> NIOSSLContext {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(tls.certificateFile).map {
                NIOSSLCertificateSource.certificate($0)
            }
            let key = try NIOSSLPrivateKey(file: tls.keyFile, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(key))
            configuration.applicationProtocols = ["http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw TrimtabError(
                "gateway.tls", "The certificate or key of gateway.tls cannot be used: \(error).",
                remedy: "Give PEM files that exist, can be read and belong together.")
        }
    }
}
