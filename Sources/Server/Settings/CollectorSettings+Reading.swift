import Collectors
import ControlAPI
import Core
import Gateway

extension CollectorSettings {
    /// - Parameter broker: Client properties of the event log, which the collector's own lie over.
    init(_ reader: SettingsReader, broker: [String: String]) throws {
        let name = try reader.string(
            "default_route", default: "otlp", "Route of spans that name neither trimtab.route nor their service.")
        guard let route = RouteName(name) else {
            throw reader.malformed(
                "default_route", name, reader.origin("default_route"), "a route name",
                remedy: "Use 1 to 128 of A-Z a-z 0-9 . _ : / -, a letter or digit first.")
        }
        self.init(defaultRoute: route)
        spansPerSecond = try reader.int(
            "spans_per_s", default: spansPerSecond, 1...10_000_000,
            "Spans taken a second in the mean; past it exporters are asked to wait.")
        http = try HTTP(reader.section("otlp_http"))
        kafka = try Kafka(reader.section("kafka"), broker: broker)
        try reader.finish()
    }
}

extension CollectorSettings.HTTP {
    init(_ reader: SettingsReader) throws {
        self.init()
        enabled = try reader.bool(
            "enabled", default: enabled, "Whether a process with the role gateway takes spans at POST /v1/traces.")
        (host, port) = try reader.address(
            "bind", default: "127.0.0.1:4318", "Where exporters connect; port 0 takes a free one.")
        auth = try reader.choice(
            "auth", default: auth, "keys: an export needs a virtual key; none: for a loopback address only.")
        guard auth == .keys || ["localhost", "::1"].contains(host) || host.hasPrefix("127.") else {
            throw reader.wrong(
                "auth", "is none, and collector.otlp_http.bind is no loopback address",
                remedy: "Set it to keys, or bind to 127.0.0.1.")
        }
        bodyBytes = try reader.int(
            "body_bytes", default: bodyBytes, 1_024...67_108_864, "Largest export, compressed or not.")
        try reader.finish()
    }
}

extension CollectorSettings.Kafka {
    /// `nil` without a topic.
    init?(_ reader: SettingsReader, broker: [String: String]) throws {
        let topic = try reader.optionalString(
            "topic", "Topic of OTLP exports, read by a process with the role gateway; absent reads none.")
        let group = try reader.string("group", default: "trimtab.collector", "Consumer group of the collectors.")
        let own = try reader.pairs(
            "properties", "librdkafka client properties by name, over those of event_log.kafka.properties.")
        guard let topic else {
            try reader.finish()
            return nil
        }
        self.init(topic: topic, group: group, properties: broker.merging(own) { $1 })
        guard properties["bootstrap.servers"]?.isEmpty == false else {
            throw reader.missing(
                "properties.bootstrap.servers", remedy: "Set it to the brokers' addresses, for example 'kafka-1:9092'.")
        }
        try reader.finish()
    }
}

extension Settings {
    /// - Throws: `TrimtabError` where the collector would listen where another part does.
    func checkCollectorAddress() throws {
        guard collector.http.enabled, collector.http.port != 0 else { return }
        let others = [("gateway.bind", gateway.host, gateway.port), ("api.bind", api.host, api.port)]
        for (key, host, port) in others where (host, port) == (collector.http.host, collector.http.port) {
            throw TrimtabError(
                "config.malformed", "collector.otlp_http.bind is the address of \(key) too.",
                remedy: "Give each a port of its own.")
        }
    }
}
