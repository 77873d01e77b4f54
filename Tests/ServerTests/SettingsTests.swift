import Collectors
import ControlLoop
import Core
import EventLog
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

    /// The collector's topic lies on the event log's brokers unless it says otherwise.
    @Test func theCollectorKnowsTheEventLogsBrokers() throws {
        let yaml = """
            event_log: {kind: kafka, kafka: {properties: {bootstrap.servers: "a:9092", client.id: x}}}
            collector: {kafka: {topic: spans, properties: {client.id: y}}}
            """
        let collector = try Settings(SettingsSource(yaml: yaml)).collector
        #expect(collector.kafka?.properties == ["bootstrap.servers": "a:9092", "client.id": "y"])
        #expect(!collector.http.enabled && collector.http.port == 4318 && collector.http.auth == .keys)
    }

    @Test func flagsBeatTheEnvironmentWhichBeatsTheFile() throws {
        let environment = ["TRIMTAB_GATEWAY_BIND": "127.0.0.1:9001", "TRIMTAB_STREAM_WINDOW_S": "30"]
        let source = try SettingsSource(
            yaml: Self.valid, flags: ["gateway.bind=127.0.0.1:9002"], environment: environment)
        let settings = try Settings(source)
        #expect(settings.gateway.port == 9002)
        #expect(settings.stream.processing.windowMs == 30_000)
    }

    @Test func theWindowsOfAnalyzersAreThereUnlessSwitchedOff() throws {
        let usual = try Settings(SettingsSource(yaml: Self.valid)).stream.processing
        #expect(usual.definitions.map(\.name) == ["requests", "spend", "prompts", "sizes"])
        let without = try Settings(SettingsSource(yaml: Self.valid, flags: ["stream.analyzer_windows=false"]))
        #expect(without.stream.processing.definitions.map(\.name) == ["requests"])
        for name in WindowDefinition.reserved {
            let error = #expect(throws: TrimtabError.self) {
                try Settings(SettingsSource(yaml: "stream: {windows: {\(name): {size_s: 60}}}"))
            }
            #expect(error?.description.contains("Choose another name.") == true)
        }
        let declared = try Settings(
            SettingsSource(yaml: "stream: {windows: {mine: {aggregates: [signals, queue_ms]}}}"))
        #expect(declared.stream.processing.windows.first?.aggregates.signals == true)
    }

    /// Each message names the key, where it stands, and what to do.
    @Test(arguments: [
        ("gatway:\n  bind: 127.0.0.1:1\n", "gatway at config.yaml:1 is not a setting. Did you mean `gateway`?"),
        ("gateway:\n  bnd: 127.0.0.1:1\n", "gateway.bnd at config.yaml:2 is not a setting. Did you mean `bind`?"),
        ("gateway:\n  drain_s: soon\n", "gateway.drain_s = 'soon' (config.yaml:2) is not a number."),
        (
            "gateway:\n  drain_s: -1\n",
            "gateway.drain_s = -1.0 (config.yaml:2) is out of range. Allowed is 0.0 to 3600.0."
        ),
        ("gateway: 5\n", "gateway at config.yaml:1 is a single value, not a mapping."),
        ("gateway:\n  bind: nowhere\n", "gateway.bind = 'nowhere' (config.yaml:2) is not an address."),
        ("event_log:\n  kind: rabbit\n", "event_log.kind = 'rabbit' (config.yaml:2) is not one of embedded, kafka."),
        ("event_log:\n  kind: kafka\n", "event_log.kafka.properties.bootstrap.servers is not set."),
        (
            "collector:\n  otlp_http: {auth: none, bind: \"0.0.0.0:4318\"}\n",
            "collector.otlp_http.auth (config.yaml:2) is none, and collector.otlp_http.bind is no loopback address."
        ),
        (
            "collector:\n  default_route: a b\n",
            "collector.default_route = 'a b' (config.yaml:2) is not a route name."
        ),
        (
            "collector:\n  kafka:\n    topic: spans\n",
            "collector.kafka.properties.bootstrap.servers is not set (config.yaml:3)."
        ),
        (
            "collector:\n  otlp_http: {enabled: true, bind: \"127.0.0.1:8080\"}\n",
            "collector.otlp_http.bind is the address of gateway.bind too."
        ),
        (
            "routes:\n  a:\n    targets: [nope/x]\n",
            "routes.a/targets/0/provider (config.yaml:3): No provider 'nope' is configured."
        ),
        (
            "routes:\n  a:\n    targets: [x]\n",
            "routes.a.targets: 'x' is not a target (config.yaml:3). Write provider/model."
        ),
        (
            "rollouts:\n  steps: [0.5, 0.1, 1]\n",
            "rollouts.steps = [0.5, 0.1, 1.0] (config.yaml:2) is not a rising list that ends with 1."
        ),
        ("a: [1\n", "config.yaml is not valid YAML"),
        ("- a\n- b\n", "The configuration at config.yaml:1 is a list, not a mapping."),
        (
            "gateway:\n  tls: {certificate_file: a.pem}\n",
            "gateway.tls.key_file is not set (config.yaml:2). Give both files"
        ),
        ("gateway:\n  tls: {key_file: a.pem}\n", "gateway.tls.certificate_file is not set (config.yaml:2)."),
        (
            "gateway:\n  judge: {target: nope/x}\n",
            "gateway.judge.target (config.yaml:2) names a provider 'nope' that is not configured."
        ),
        ("gateway:\n  judge: {target: x}\n", "gateway.judge.target = 'x' (config.yaml:2) is not a model."),
        ("gateway:\n  judge: {gold: /nowhere}\n", "gateway.judge.gold (config.yaml:2) cannot be read: '/nowhere'."),
        (
            "gateway:\n  judge: {control_share: 0.6, gold_share: 0.6}\n",
            "gateway.judge.control_share (config.yaml:2) and gold_share are more than 1 together."
        ),
        ("gateway:\n  default_route: a b\n", "gateway.default_route = 'a b' (config.yaml:2) is not a route name."),
        ("providers:\n  x:\n    base_url: host\n", "providers.x.base_url = 'host' (config.yaml:3) is not an address."),
        (
            "prices:\n  openai/gpt-4o:\n    input_usd_per_mtok: 1\n",
            "prices.openai/gpt-4o.output_usd_per_mtok is not set (config.yaml:3)."
        ),
        (
            "prices:\n  gpt-4o: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}\n",
            "prices: 'gpt-4o' is not a model (config.yaml:2). Write provider/model."
        ),
        (
            "providers:\n  p: {models: [a, b]}\nroutes:\n  r:\n    targets: [p/c]\n",
            "routes.r/targets/0/model (config.yaml:5): The provider 'p' lists no model 'c'. It lists a, b."
        ),
        (
            "providers:\n  p: {models: [a]}\nroutes:\n  r:\n    targets: [p/a]\n    fallbacks: [p/c]\n",
            "The provider 'p' lists no model 'c'. It lists a."
        ),
        (
            "providers:\n  p: {}\nroutes:\n  r:\n    targets: [p/a]\n    bad_below: 0.333\n",
            "routes.r/bad_below (config.yaml:6): 0.333 is not a whole number of hundredths."
        ),
        ("secret: short\n", "secret (config.yaml:1) is shorter than 32 bytes."),
        ("api:\n  bind: 127.0.0.1:8080\n", "api.bind (config.yaml:2) is the address of gateway.bind too."),
        (
            "state:\n  postgres:\n    url: mysql://me:secret@x/y\n",
            "state.postgres.url (config.yaml:3) begins with 'mysql://'."
        ),
    ])
    func whatIsWrongIsNamed(yaml: String, message: String) throws {
        let error = try #require(throws: TrimtabError.self) { _ = try Settings(SettingsSource(yaml: yaml)) }
        #expect(error.description.contains(message), "\(error)")
        #expect(!error.remedy.isEmpty)
    }

    @Test func readsTheJudge() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "gold-\(UUID()).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        func judge(_ gold: String) throws -> JudgeSettings? {
            try gold.write(to: file, atomically: true, encoding: .utf8)
            let judge = "gateway: {judge: {target: p/m, budget_day_usd: 0.5, timeout_s: 2, gold: \"\(file.path)\"}}\n"
            return try Settings(SettingsSource(yaml: judge + "providers: {p: {}}\n")).gateway.judge
        }
        let question = #"{"prompt": "1 + 1?", "better": "2", "worse": "3"}"#
        let settings = try #require(try judge("\(question)\n\n\(question)\n"))
        #expect(settings.target.modelKey == "p/m" && settings.budgetPerDay == NanoUSD(500_000_000))
        #expect(settings.gold.map(\.better) == ["2", "2"] && settings.timeoutMs == 2_000 && settings.share == 0.1)
        for (text, message) in [("", "has 0 questions"), ("\(question)\n{}\n", "has no question on line 2")] {
            let error = try #require(throws: TrimtabError.self) { _ = try judge(text) }
            #expect(error.description.contains(message), "\(error)")
        }
        #expect(try Settings(SettingsSource(yaml: "")).gateway.judge == nil)
    }

    @Test func promptsOfProbesAreReadFromAFile() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "prompts-\(UUID()).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        func probes(_ prompts: String) throws -> ProbeSettings {
            try prompts.write(to: file, atomically: true, encoding: .utf8)
            let probes = "{enabled: true, every_s: 60, budget_day_usd: 0.5, prompts: \"\(file.path)\"}"
            return try Settings(SettingsSource(yaml: "analyzers: {probes: \(probes)}\n")).control.probes
        }
        let (one, two) = (#"{"name": "one", "prompt": "1 + 1?"}"#, #"{"name": "two", "prompt": "2 + 2?"}"#)
        let settings = try probes("\(one)\r\n\n\(two)\n")
        #expect(settings.enabled && settings.everyMs == 60_000 && settings.budgetPerDay == NanoUSD(500_000_000))
        #expect(settings.prompts.map(\.name) == ["one", "two"])
        let many = (0..<33).map { #"{"name": "\#($0)", "prompt": "?"}"# }.joined(separator: "\n")
        for (text, message) in [
            ("", "has 0 prompts"), (many, "has 33 prompts"), ("\(one)\n\n{}\n", "has no prompt on line 3"),
            ("\(one)\n\(one)\n", "has no prompt on line 2"), (#"{"name": "", "prompt": "?"}"#, "on line 1"),
        ] {
            let error = try #require(throws: TrimtabError.self) { _ = try probes(text) }
            #expect(error.description.contains("analyzers.probes.prompts (config.yaml:1)"), "\(error)")
            #expect(error.description.contains(message), "\(error)")
        }
        let standard = try Settings(SettingsSource(yaml: "")).control.probes
        #expect(!standard.enabled && standard.everyMs == 300_000 && standard.prompts.count == 8)
        #expect(Set(standard.prompts.map(\.name)).count == 8)
    }

    @Test func unknownVariablesAndFlagsAreErrors() throws {
        #expect(throws: TrimtabError.self) {
            _ = try Settings(SettingsSource(yaml: "", environment: ["TRIMTAB_GATEWAY_BIMD": "x"]))
        }
        #expect(throws: TrimtabError.self) { _ = try Settings(SettingsSource(yaml: "", flags: ["gateway.bimd=x"])) }
        #expect(throws: TrimtabError.self) { _ = try SettingsSource(yaml: "", flags: ["gateway.bind"]) }
        let error = #expect(throws: TrimtabError.self) { _ = try SettingsSource(yaml: "", flags: ["=3"]) }
        #expect(error?.summary == "`--set =3` has no key.")
    }

    @Test func aStrongerSourceBeatsAListOfTheFile() throws {
        let settings = try Settings(
            SettingsSource(yaml: Self.valid, flags: ["routes.support-chat.allowed=openai/gpt-4o,x/y"]))
        #expect(settings.routes.first?.route.allowed == ["openai/gpt-4o", "x/y"])
    }

    /// Client properties are free names, so each is shown as it is used, and what may be secret is not.
    @Test func clientPropertiesAreLayeredAndShown() throws {
        let yaml = "event_log:\n  kafka:\n    properties: {bootstrap.servers: a:1, sasl.password: hidden}\n"
        let source = try SettingsSource(
            yaml: yaml, flags: ["event_log.kafka.properties.bootstrap.servers=b:2"])
        let properties = try Settings(source).eventLog.kafka.properties
        #expect(properties == ["bootstrap.servers": "b:2", "sasl.password": "hidden"])
        let shown = try Commands.show(source).filter { $0.key.hasPrefix("event_log.kafka.properties") }
        #expect(shown.map(\.key).sorted() == properties.keys.sorted().map { "event_log.kafka.properties.\($0)" })
        #expect(shown.map(\.value).sorted() == ["********", "b:2"])
    }

    @Test func aFolderAmongTheSecretsIsNamed() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "trimtab-secrets-\(UUID())")
        try FileManager.default.createDirectory(
            at: folder.appending(path: "inner"), withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let error = #expect(throws: TrimtabError.self) {
            _ = try SettingsSource(file: nil, flags: [], environment: [:], secretsFolder: folder.path)
        }
        #expect(error?.summary.hasSuffix("inner is a folder within the secrets folder.") == true, "\(error as Any)")
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
