import ControlAPI
import Core
package import EventLog
import Gateway
import Policy
package import StateStore

extension GatewaySettings {
    init(_ reader: SettingsReader) throws {
        self.init()
        (host, port) = try reader.address(
            "bind", default: "127.0.0.1:8080", "Where clients connect; port 0 takes a free one.")
        requireKeys = try reader.bool("require_keys", default: requireKeys, "Whether a request needs a virtual key.")
        if let text = try reader.optionalString(
            "default_route", "Route that serves models nobody configured; absent refuses them.")
        {
            guard let name = RouteName(text) else {
                throw reader.malformed(
                    "default_route", text, reader.origin("default_route"), "a route name", remedy: "Name a route.")
            }
            defaultRoute = name
        }
        drainSeconds = try reader.double(
            "drain_s", default: drainSeconds, 0...3_600, "How long a stop waits for answers in flight.")
        let limits = try reader.section("limits")
        self.limits.bodyBytes = try limits.int(
            "body_bytes", default: self.limits.bodyBytes, 1_024...1_073_741_824, "Largest request body.")
        self.limits.headerBytes = try limits.int(
            "header_bytes", default: self.limits.headerBytes, 1_024...1_048_576, "Largest request header.")
        self.limits.connections = try limits.int(
            "connections", default: self.limits.connections, 1...1_000_000, "Client connections.")
        self.limits.answerBytes = try limits.int(
            "answer_bytes", default: self.limits.answerBytes, 1_024...1_073_741_824,
            "Answers up to this size are held to read their usage.")
        self.limits.waiting = try limits.int(
            "waiting", default: self.limits.waiting, 0...1_000_000,
            "Requests of one event loop that wait for a connection to one provider.")
        self.limits.mirrors = try limits.int(
            "mirrors", default: self.limits.mirrors, 0...10_000,
            "Copies of requests that one event loop has under way for shadow rollouts; further ones are dropped.")
        try limits.finish()
        let timeouts = try reader.section("timeouts")
        self.timeouts.headerMs = try timeouts.int(
            "header_ms", default: self.timeouts.headerMs, 1...3_600_000, "For a client to send its headers.")
        self.timeouts.bodyMs = try timeouts.int(
            "body_ms", default: self.timeouts.bodyMs, 1...3_600_000, "For a client to send its body.")
        self.timeouts.keepAliveMs = try timeouts.int(
            "keep_alive_ms", default: self.timeouts.keepAliveMs, 1...3_600_000, "Between two requests of a connection.")
        try timeouts.finish()
        let tls = try reader.section("tls")
        let certificate = try tls.optionalString(
            "certificate_file", "PEM file; with key_file, clients connect over TLS.")
        let key = try tls.optionalString("key_file", "PEM file of the private key.")
        switch (certificate, key) {
        case (let certificate?, let key?): self.tls = TLS(certificateFile: certificate, keyFile: key)
        case (nil, nil): break
        case (_, nil), (nil, _):
            throw tls.missing(
                key == nil ? "key_file" : "certificate_file",
                remedy: "Give both files to serve TLS, or neither to serve plain HTTP.")
        }
        try tls.finish()
        judge = try JudgeSettings.read(reader.section("judge"))
    }
}

extension ProviderSettings {
    init(_ reader: SettingsReader, id: String) throws {
        let url = try reader.string(
            "base_url", default: "https://api.openai.com/v1", "What /chat/completions is appended to.")
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw reader.malformed(
                "base_url", url, reader.origin("base_url"), "an address", remedy: "Begin with http:// or https://.")
        }
        self.init(
            id: id, baseURL: url,
            apiKey: try reader.optionalString("api_key", secret: true, "Sent to the provider as a bearer token."))
        includeUsage = try reader.bool(
            "include_usage", default: includeUsage, "Whether it knows stream_options.include_usage.")
        maxConnectionsPerLoop = try reader.int(
            "max_connections_per_loop", default: maxConnectionsPerLoop, 1...65_535,
            "Connections of one event loop to it.")
        idleTimeoutMs = try reader.int(
            "idle_timeout_ms", default: idleTimeoutMs, 100...3_600_000, "An unused connection is closed after this.")
        models = try reader.list("models", default: [], "Models that routes may use and the loop may choose.")
        trustRootsFile = try reader.optionalString(
            "trust_roots_file", "PEM file of certificate authorities to trust instead of the system's.")
    }
}

extension LocalLogSettings {
    init(_ reader: SettingsReader, gatewayID: String, folder: String, partitions: Int) throws {
        self.init(
            path: try reader.optionalString("path", shownDefault: "<data_dir>/events.sqlite", "The database file.")
                ?? "\(folder)/events.sqlite",
            gatewayID: gatewayID, partitions: partitions)
        maxBytes = Int64(
            try reader.int(
                "max_bytes", default: Int(maxBytes), 65_536...1_099_511_627_776,
                "Bytes kept; past it the oldest go, counted."))
        let hours = try reader.double(
            "retention_hours", default: Double(retentionMs) / 3_600_000, 0.01...87_600,
            "How long what the stream has stored stays for replays.")
        retentionMs = Int64(hours * 3_600_000)
        flushMs = try reader.int("flush_ms", default: flushMs, 1...30, "How long a record may wait in memory.")
        queueLimit = try reader.int(
            "queue_limit", default: queueLimit, 1...10_000_000,
            "Records that may wait in memory; past it new ones are dropped, counted.")
        try reader.finish()
    }
}

/// `event_log`: the broker between gateways and stream workers, if there is one.
package struct EventLogSettings: Sendable, Equatable {
    package var kind: Kind
    package var topic: String
    package var partitions: Int
    /// Of use with `kind: kafka` only.
    package var kafka: KafkaLogSettings

    package enum Kind: String, CaseIterable, Sendable { case embedded, kafka }

    init(_ reader: SettingsReader) throws {
        kind = try reader.choice("kind", default: .embedded, "embedded: read the gateway's own log; kafka: ship it.")
        topic = try reader.string("topic", default: KafkaLogSettings.defaultTopic, "Topic of requests and feedback.")
        let chosen = try reader.int(
            "partitions", default: 0, 0...4_096,
            "Partitions, fixed when the log is made; 0 takes 4 embedded, 12 with Kafka.")
        partitions =
            chosen > 0
            ? chosen : kind == .kafka ? LocalLogSettings.kafkaPartitions : LocalLogSettings.embeddedPartitions
        let section = try reader.section("kafka")
        kafka = KafkaLogSettings(
            properties: try section.pairs(
                "properties", "librdkafka client properties by name, passed through; bootstrap.servers is needed."))
        kafka.topic = topic
        kafka.partitions = partitions
        kafka.replicas = try section.int(
            "replicas", default: kafka.replicas, -1...32,
            "Replicas of a topic that we make; -1 leaves it to the cluster.")
        kafka.group = try section.string("group", default: kafka.group, "Consumer group of the stream workers.")
        kafka.assignor = try section.choice(
            "assignor", default: kafka.assignor, "How partitions are shared among workers.")
        kafka.maxInFlight = try section.int(
            "max_in_flight", default: kafka.maxInFlight, 100...10_000_000,
            "Records given to the cluster without its word on them.")
        try section.finish()
        if kind == .kafka { try kafka.validate() }
    }
}

/// `state`: PostgreSQL.
package struct StateSettings: Sendable, Equatable {
    package var url: String
    package var connections: Int
    package var retention: Retention

    init(_ reader: SettingsReader) throws {
        let postgres = try reader.section("postgres")
        url = try postgres.string(
            "url", default: "postgresql://127.0.0.1:5432/trimtab", secret: true, "Connection string, as libpq reads it."
        )
        connections = try postgres.int("connections", default: 6, 2...64, "Connections, each with a thread of its own.")
        if let scheme = url.firstRange(of: "://"),
            !["postgresql", "postgres"].contains(String(url[..<scheme.lowerBound]))
        {
            // The rest of it may hold a password.
            throw postgres.wrong(
                "url", "begins with '\(url[..<scheme.upperBound])'",
                remedy: "Write postgresql://user@host:5432/database, or libpq's key=value form.")
        }
        try postgres.finish()
        retention = Retention()
        retention.records = try reader.int(
            "retention_days", default: 30, 1...3_650,
            "How long requests, feedback, dead letters, evidence, closed findings, events and digests of probes are kept."
        )
        let levels = try reader.section("retention")
        // A window takes late records for up to seven days; it must not be gone before.
        retention.windows = try levels.int(
            "windows_days", default: retention.windows, 8...3_650, "How long window results are kept as declared.")
        retention.hours = try levels.int(
            "hours_days", default: retention.hours, 8...3_650,
            "How long results of tumbling windows are kept, summed by hour.")
        retention.days = try levels.int(
            "days_days", default: retention.days, 8...36_500,
            "How long results of tumbling windows are kept, summed by day.")
        try levels.finish()
        try reader.finish()
    }
}

extension ControlAPISettings {
    init(_ reader: SettingsReader) throws {
        self.init()
        (host, port) = try reader.address(
            "bind", default: "127.0.0.1:8081", "Where the control API and the console listen.")
        bodyLimit = try reader.int("body_bytes", default: bodyLimit, 1_024...104_857_600, "Largest request body.")
        secureCookie = try reader.bool(
            "secure_cookie", default: secureCookie, "Marks the console's cookie Secure; set it behind TLS.")
        try reader.finish()
    }
}

/// `observability`.
package struct ObservabilitySettings: Sendable, Equatable {
    package var level: Level
    package var format: Format

    package enum Level: String, CaseIterable, Sendable { case debug, info, notice, warning, error }
    package enum Format: String, CaseIterable, Sendable { case json, text }

    init(_ reader: SettingsReader) throws {
        level = try reader.choice("log_level", default: .info, "The least severe level that is written.")
        format = try reader.choice("log_format", default: .json, "json: one object a line; text: for people.")
        try reader.finish()
    }
}

/// `simulation`: what `trimtab demo` replays.
package struct SimulationSettings: Sendable, Equatable {
    package var scenario: String
    package var statusSeconds: Double
    /// `provider/model`; empty for none.
    package var badUpgrade: String

    init(_ reader: SettingsReader) throws {
        scenario = try reader.string(
            "scenario", default: "savings", "Name of a built-in scenario, or the path of a file.")
        badUpgrade = try reader.string(
            "bad_upgrade", default: "",
            "Model that the demo rolls out after the loop has promoted one, to show a rollback.")
        statusSeconds = try reader.double("status_s", default: 5, 0.5...3_600, "Between two lines of the demo.")
        try reader.finish()
    }
}
