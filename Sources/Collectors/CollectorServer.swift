import Hummingbird
package import Logging
package import Policy
package import ServiceLifecycle

/// The collector's own port.
package enum CollectorServer {
    /// A service for the server's group; it stops accepting on graceful shutdown.
    ///
    /// - Parameter onRunning: called with the port in use, which matters when the setting is 0.
    package static func make(
        ingest: SpanIngest, settings: CollectorSettings.HTTP, hasher: KeyHasher, logger: Logger,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) -> any Service {
        Application(
            responder: ExportEndpoint(ingest: ingest, settings: settings, hasher: hasher),
            configuration: ApplicationConfiguration(address: .hostname(settings.host, port: settings.port)),
            onServerRunning: { await onRunning($0.localAddress?.port ?? 0) }, logger: logger)
    }
}
