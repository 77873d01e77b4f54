package import ControlLoop
package import Core
package import Hummingbird
package import Policy
package import ServiceLifecycle
package import Telemetry

/// Gives people's commands to the control loop. Implemented where the loop is run.
package protocol CommandHandling: Sendable {
    /// - Throws: `TrimtabError` when the command cannot be carried out as the route stands.
    func handle(_ command: Command, route: RouteName, by actor: String) async throws -> CommandResult
}

/// Takes feedback into the event log.
package protocol FeedbackSink: Sendable {
    /// - Throws: `TrimtabError` when the log cannot take it.
    func append(_ feedback: Feedback) async throws
}

/// The REST interface, the console, health and metrics, on one port.
package struct ControlAPI: Sendable {
    package typealias Store = ControlStore & AdminStore & AnalysisStore

    let store: any Store
    let commands: any CommandHandling
    let records: any StreamRecords
    let feedback: any FeedbackSink
    let hasher: KeyHasher
    let settings: ControlAPISettings
    let hooks: Hooks
    let authenticator: Authenticator
    let events: EventHub
    let idempotency = IdempotencyCache()

    /// What the server adds that the API does not know how to do.
    package struct Hooks: Sendable {
        /// The Prometheus text of the whole process.
        package var metrics: @Sendable () -> String = { "" }
        /// Called once a request with its method, status and duration in seconds.
        package var record: @Sendable (_ method: String, _ status: Int, _ seconds: Double) -> Void = { _, _, _ in }
        package var checks: [Check] = []
        /// The offset after the newest record of each partition, as far as this process knows.
        package var endOffsets: @Sendable () -> [Int: Int64] = { [:] }
        /// Puts an event into the log; `nil` in a process that has none.
        package var append: (@Sendable (LogEvent) -> Void)?
        /// Rehearses a route and keeps the score; `nil` in a process that does not.
        package var rehearse: (@Sendable (RouteName, _ actor: String) async throws -> RehearsalReport)?
        /// Runs the analyzers over the past of a route; `nil` in a process that does not.
        package var analyze:
            (
                @Sendable (RouteName, Range<Int64>, _ choices: [String: AnalyzerChoices], _ warmUpMs: Int64)
                    async throws
                    -> Backtest
            )?
        /// Milliseconds since the epoch.
        package var now: @Sendable () -> Int64

        package init(now: @escaping @Sendable () -> Int64) { self.now = now }
    }

    /// Something that this process depends on.
    package struct Check: Sendable {
        let name: String
        /// Whether the process is of no use without it, and so not ready.
        let isRequired: Bool
        /// `nil`, or what is wrong.
        let problem: @Sendable () async -> String?

        package init(_ name: String, isRequired: Bool, problem: @escaping @Sendable () async -> String?) {
            self.name = name
            self.isRequired = isRequired
            self.problem = problem
        }
    }

    package init(
        store: any Store, records: any StreamRecords, commands: any CommandHandling, feedback: any FeedbackSink,
        hasher: KeyHasher, settings: ControlAPISettings, hooks: Hooks
    ) {
        self.store = store
        self.records = records
        self.commands = commands
        self.feedback = feedback
        self.hasher = hasher
        self.settings = settings
        self.hooks = hooks
        authenticator = Authenticator(store: store, hasher: hasher, now: hooks.now)
        events = EventHub(store: store)
    }

    /// A service for the server's group. It stops accepting and ends its event streams on graceful shutdown.
    ///
    /// - Parameter onRunning: called with the port in use, which matters when the setting is 0.
    package func makeApplication(
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) -> Application<APIResponder> {
        Application(
            responder: APIResponder(api: self),
            configuration: ApplicationConfiguration(address: .hostname(settings.host, port: settings.port)),
            services: settings.systemOnly ? [] : [events],
            onServerRunning: { await onRunning($0.localAddress?.port ?? 0) },
            logger: settings.logger)
    }

    /// The same as a plain service, for a caller that does not import Hummingbird.
    package func makeService(onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }) -> any Service {
        makeApplication(onRunning: onRunning)
    }

    /// Open event streams, for metrics.
    package var openEventStreams: Int { events.count }

    func newID() -> UUIDv7 {
        var generator = SystemRandomNumberGenerator()
        return UUIDv7(milliseconds: hooks.now(), using: &generator)
    }
}
