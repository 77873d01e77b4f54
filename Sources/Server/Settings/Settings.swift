package import Collectors
package import ControlAPI
import ControlLoop
package import Core
package import EventLog
import Foundation
package import Gateway
import Policy
import StreamProcessing

/// The whole configuration, read once at start. Every key is read in this folder and nowhere else.
package struct Settings: Sendable {
    /// Where state that is not in PostgreSQL lives: local log, last routing table, secrets.
    package var dataFolder: String
    /// What keys and tokens are hashed with; `nil` makes one in the data folder.
    package var secret: String?
    package var gateway: GatewaySettings
    package var localLog: LocalLogSettings
    package var providers: [ProviderSettings]
    package var prices: [String: TokenPrice]
    package var routes: [RouteSettings]
    package var eventLog: EventLogSettings
    package var collector: CollectorSettings
    package var stream: StreamRoleSettings
    package var control: ControlRoleSettings
    package var webhooks: [WebhookSettings]
    package var state: StateSettings
    package var api: ControlAPISettings
    package var observability: ObservabilitySettings
    package var simulation: SimulationSettings

    /// Reads the tree; the first thing wrong is thrown.
    package init(_ source: SettingsSource) throws {
        let reader = try SettingsReader(source)
        try self.init(reader)
        try reader.finish()
    }

    /// What the reference documents: every key with its default.
    package static func reference() throws -> [SettingsReader.Entry] {
        let reader = try SettingsReader(SettingsSource(yaml: ""))
        _ = try Settings(reader)
        return reader.entries
    }

    package init(_ reader: SettingsReader) throws {
        dataFolder = try reader.string(
            "data_dir", default: Self.defaultDataFolder, "Folder for the local log, the last routing table and secrets."
        )
        secret = try reader.optionalString(
            "secret", secret: true,
            "What keys and tokens are hashed with, at least 32 bytes; absent makes one in the data folder.")
        if let secret, secret.utf8.count < InstallationSecret.minimumBytes {
            throw reader.wrong("secret", "is shorter than 32 bytes", remedy: "Give at least 32 random bytes.")
        }
        let gatewayReader = try reader.section("gateway")
        let gatewayID = try gatewayReader.string(
            "id", default: Self.hostName, "Names this gateway; unique among all gateways.")
        gateway = try GatewaySettings(gatewayReader)
        let kafka = try reader.section("event_log")
        eventLog = try EventLogSettings(kafka)
        localLog = try LocalLogSettings(
            gatewayReader.section("local_log"), gatewayID: gatewayID, folder: dataFolder,
            partitions: eventLog.partitions)
        try gatewayReader.finish()
        try kafka.finish()
        collector = try CollectorSettings(reader.section("collector"), broker: eventLog.kafka.properties)
        providers = try reader.map("providers", template: "provider") { try ProviderSettings($0, id: $1) }
        if let judge = gateway.judge, !providers.contains(where: { $0.id == judge.target.provider }) {
            throw try gatewayReader.section("judge").wrong(
                "target", "names a provider '\(judge.target.provider)' that is not configured",
                remedy: "Add it to providers, or name one of them.")
        }
        prices = try Self.prices(reader)
        let known = providers
        routes = try reader.map("routes", template: "route") { try RouteSettings($0, name: $1, providers: known) }
        stream = try StreamRoleSettings(reader.section("stream"))
        control = try ControlRoleSettings(reader)
        control.loop.catalog = providers.flatMap { provider in
            provider.models.map { Target(provider: provider.id, model: $0) }
        }
        webhooks = try WebhookSettings.all(reader.section("integrations"))
        state = try StateSettings(reader.section("state"))
        let apiReader = try reader.section("api")
        api = try ControlAPISettings(apiReader)
        guard api.port != gateway.port || api.port == 0 || api.host != gateway.host else {
            throw apiReader.wrong(
                "bind", "is the address of gateway.bind too", remedy: "Give each a port of its own.")
        }
        api.providers = providers.map { ProviderSummary(name: $0.id, baseURL: $0.baseURL, models: $0.models) }
        observability = try ObservabilitySettings(reader.section("observability"))
        simulation = try SimulationSettings(reader.section("simulation"))
        try checkCollectorAddress()
    }

    private static func prices(_ reader: SettingsReader) throws -> [String: TokenPrice] {
        let rows = try reader.map("prices", template: "provider/model") { reader, name in
            let limit = 0.0...1e6
            let cached = try reader.optionalDouble(
                "cached_input_usd_per_mtok", limit, "US dollars per million cached input tokens.")
            let write = try reader.optionalDouble(
                "cache_write_usd_per_mtok", limit, "US dollars per million tokens written to the cache.")
            let input = try reader.optionalDouble(
                "input_usd_per_mtok", limit, "US dollars per million input tokens; needed.")
            let output = try reader.optionalDouble(
                "output_usd_per_mtok", limit, "US dollars per million output tokens; needed.")
            guard let input, let output else {
                throw reader.missing(
                    input == nil ? "input_usd_per_mtok" : "output_usd_per_mtok",
                    remedy: "Give both prices, or leave the model out while its price is not known.")
            }
            guard Target(parsing: name) != nil else {
                throw TrimtabError(
                    "config.malformed", "prices: '\(name)' is not a model (\(reader.origin())).",
                    remedy: "Write provider/model.")
            }
            func nano(_ dollars: Double) -> Int64 { Int64((dollars * 1e9).rounded()) }
            return (
                name,
                TokenPrice(
                    input: nano(input), output: nano(output), cachedInput: cached.map(nano), cacheWrite: write.map(nano)
                )
            )
        }
        return Dictionary(rows, uniquingKeysWith: { $1 })
    }

    private static var hostName: String {
        ProcessInfo.processInfo.hostName.split(separator: ".").first.map(String.init) ?? "gateway"
    }

    /// `/var/lib/trimtab` for root, else below the XDG data folder.
    package static var defaultDataFolder: String {
        DataFolder.path(environment: ProcessInfo.processInfo.environment, isRoot: getuid() == 0)
    }
}
