import Analysis
import ControlLoop
import Core
import Server
import Testing

/// `integrations.webhooks`: what it takes, and what it says of the rest.
@Suite struct WebhookSettingsTests {
    @Test func readsWebhooks() throws {
        let yaml = """
            integrations:
              webhooks:
                ops: {url: "https://x.example/t0ken", events: [finding.*, rollout.ended], min_severity: critical}
                all: {url: "http://127.0.0.1:1/", secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}
            """
        let source = try SettingsSource(
            yaml: yaml, environment: ["TRIMTAB_INTEGRATIONS_WEBHOOKS_OPS_SECRET": "a text of 24 bytes, at le"])
        let webhooks = try Settings(source).webhooks
        #expect(webhooks.map(\.name) == ["ops", "all"] && webhooks.first?.url == "https://x.example/t0ken")
        #expect(webhooks.first?.kinds == [.findingOpened, .findingRaised, .findingClosed, .rolloutEnded])
        #expect(webhooks.first?.minSeverity == .critical && webhooks.last?.minSeverity == .warning)
        let keys = ["a text of 24 bytes, at le", "012345678901234567890123"]
        #expect(webhooks.map(\.key) == keys.map { Array($0.utf8) })
        #expect(webhooks.last?.kinds.count == ControlEvent.Kind.allCases.count)
        let shown = try Commands.show(source).filter { $0.key.hasPrefix("integrations.") }
        #expect(shown.contains { $0.key == "integrations.webhooks.ops.secret" && $0.value == "********" })
        #expect(!shown.contains { $0.value.contains("t0ken") || $0.value.contains("24 bytes") })
        #expect(try Settings(SettingsSource(yaml: "")).webhooks.isEmpty)
    }

    @Test(arguments: [
        ("a: {secret: 0123456789012345678901234}", "integrations.webhooks.a.url is not set (config.yaml:3)."),
        ("a: {url: \"https://x\"}", "integrations.webhooks.a.secret is not set (config.yaml:3). Make one with"),
        (
            "a: {url: x.example/t0ken, secret: 0123456789012345678901234}",
            "integrations.webhooks.a.url (config.yaml:3) is no address. Write https://host/path"
        ),
        (
            "a: {url: \"https://x\", secret: whsec_0123}",
            "integrations.webhooks.a.secret (config.yaml:3) has 3 bytes. Give 24 random bytes at least."
        ),
        (
            "a: {url: \"https://x\", secret: whsec_01+}",
            "integrations.webhooks.a.secret (config.yaml:3) begins with whsec_, and the rest is not base64."
        ),
        (
            "a: {url: \"https://x\", secret: 0123456789012345678901234, events: [finding.open]}",
            "integrations.webhooks.a.events = 'finding.open' (config.yaml:3) is not a type of event. Use finding.opened,"
        ),
        (
            "a: {url: \"https://x\", secret: 0123456789012345678901234, min_severity: high}",
            "integrations.webhooks.a.min_severity = 'high' (config.yaml:3) is not one of info, warning, critical."
        ),
        ("a: {uri: \"https://x\"}", "integrations.webhooks.a.url is not set"),
    ])
    func whatIsWrongWithAWebhookIsNamed(webhook: String, message: String) throws {
        let yaml = "integrations:\n  webhooks:\n    \(webhook)\n"
        let error = try #require(throws: TrimtabError.self) { _ = try Settings(SettingsSource(yaml: yaml)) }
        #expect(error.description.contains(message), "\(error)")
        #expect(!error.description.contains("t0ken") && !error.remedy.isEmpty)
    }
}
