import ControlLoop
import Core
import Foundation
import Gateway
import Policy
import Rollouts
import Server
import Simulation
import StreamProcessing
import Testing

@Suite struct SettingsTests {
    static let valid = """
        gateway:
          bind: 127.0.0.1:9000
        providers:
          openai:
            base_url: https://api.openai.com/v1
            api_key: sk-very-secret
            models: [gpt-4o, gpt-4o-mini]
        routes:
          support-chat:
            targets: [openai/gpt-4o]
            allowed: ["openai/*"]
            objective:
              quality: {tolerance: 0.03}
        """

    @Test func readsTheTree() throws {
        let settings = try Settings(SettingsSource(yaml: Self.valid))
        #expect(settings.gateway.port == 9000)
        #expect(settings.providers.map(\.id) == ["openai"])
        #expect(settings.routes.first?.route.objective.quality.tolerance == 0.03)
        #expect(settings.control.loop.catalog.map(\.modelKey) == ["openai/gpt-4o", "openai/gpt-4o-mini"])
    }

    @Test func flagsBeatTheEnvironmentWhichBeatsTheFile() throws {
        let environment = ["TRIMTAB_GATEWAY_BIND": "127.0.0.1:9001", "TRIMTAB_STREAM_WINDOW_S": "30"]
        let source = try SettingsSource(
            yaml: Self.valid, flags: ["gateway.bind=127.0.0.1:9002"], environment: environment)
        let settings = try Settings(source)
        #expect(settings.gateway.port == 9002)
        #expect(settings.stream.processing.windowMs == 30_000)
    }

    /// Each message names the key, where it stands, and what to do.
    @Test(arguments: [
        ("gatway:\n  bind: 127.0.0.1:1\n", "gatway at config.yaml:1 is not a setting. Did you mean `gateway`?"),
        ("gateway:\n  bnd: 127.0.0.1:1\n", "gateway.bnd at config.yaml:2 is not a setting. Did you mean `bind`?"),
        ("gateway:\n  drain_s: soon\n", "gateway.drain_s = 'soon' (config.yaml:2) is not a number."),
        ("gateway:\n  drain_s: -1\n", "gateway.drain_s = -1.0 is out of range. Allowed is 0.0 to 3600.0."),
        ("gateway: 5\n", "gateway at config.yaml:1 is a single value, not a mapping."),
        ("gateway:\n  bind: nowhere\n", "gateway.bind = 'nowhere' (as read) is not an address."),
        ("event_log:\n  kind: rabbit\n", "event_log.kind = 'rabbit' (config.yaml:2) is not one of embedded, kafka."),
        ("event_log:\n  kind: kafka\n", "event_log.kafka.properties.bootstrap.servers is not set."),
        ("routes:\n  a:\n    targets: [nope/x]\n", "routes.a/targets/0/provider: No provider 'nope' is configured."),
        ("routes:\n  a:\n    targets: [x]\n", "routes.a.targets: 'x' is not a target. Write provider/model."),
        (
            "rollouts:\n  steps: [0.5, 0.1, 1]\n",
            "rollouts.steps = [0.5, 0.1, 1.0] is not a rising list that ends with 1."
        ),
        ("a: [1\n", "config.yaml is not valid YAML"),
    ])
    func whatIsWrongIsNamed(yaml: String, message: String) throws {
        let error = try #require(throws: TrimtabError.self) { _ = try Settings(SettingsSource(yaml: yaml)) }
        #expect(error.description.contains(message), "\(error)")
        #expect(!error.remedy.isEmpty)
    }

    @Test func unknownVariablesAndFlagsAreErrors() throws {
        #expect(throws: TrimtabError.self) {
            _ = try Settings(SettingsSource(yaml: "", environment: ["TRIMTAB_GATEWAY_BIMD": "x"]))
        }
        #expect(throws: TrimtabError.self) { _ = try Settings(SettingsSource(yaml: "", flags: ["gateway.bimd=x"])) }
        #expect(throws: TrimtabError.self) { _ = try SettingsSource(yaml: "", flags: ["gateway.bind"]) }
    }

    @Test func secretsAreRedactedWhenShown() throws {
        let shown = try Commands.show(SettingsSource(yaml: Self.valid))
        let key = try #require(shown.first { $0.key == "providers.openai.api_key" })
        #expect(key.value == "********")
        #expect(!shown.contains { $0.value.contains("very-secret") })
    }

    /// `docs/configuration.md` is written by `make docs` from the code that reads the settings.
    @Test func referenceIsInStepWithTheCode() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/configuration.md")
        let text = try Settings.referenceDocument()
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == text, "run `make docs`")
    }

    @Test(arguments: ["demo", "savings", "bad-upgrade", "provider-outage", "price-drop", "dearer-is-worse"])
    func scenariosAreValid(name: String) throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        try Scenarios.load("\(root.path)/config/scenarios/\(name).yaml").validate()
    }

    @Test func demoSettingsAreValid() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let source = try SettingsSource(
            file: "\(root.path)/config/demo.yaml", flags: [], environment: [:], secretsFolder: nil)
        #expect(try Settings(source).control.loop.plan.minStepMs == 8_000)
    }
}
