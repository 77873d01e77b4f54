import ControlAPI
import Foundation
import Testing

/// What a client is told of each kind of bad input, word for word.
@Suite struct Problems {
    static let cases: [(name: String, method: String, path: String, body: String?)] = [
        ("malformed-json", "PUT", "/api/v1/routes/a", "{\n  \"name\": oops\n}"),
        ("empty-body", "PUT", "/api/v1/routes/a", ""),
        ("not-an-object", "POST", "/api/v1/keys", "[]"),
        ("deep-nesting", "POST", "/api/v1/keys", String(repeating: "[", count: 2_000)),
        ("unknown-fields", "PUT", "/api/v1/routes/a", #"{"name":"a","objectiv":{},"guardrails":{"slo":1}}"#),
        ("wrong-type", "PUT", "/api/v1/routes/a", #"{"name":"a","holdout":"much"}"#),
        ("missing-field", "POST", "/api/v1/routes/support-chat/policies", #"{"targets":[{"provider":"sim"}]}"#),
        ("bad-name", "PUT", "/api/v1/routes/a", #"{"name":"no spaces"}"#),
        (
            "other-name", "PUT", "/api/v1/routes/a",
            #"{"name":"b","policy":{"targets":[{"provider":"sim","model":"m"}]}}"#
        ),
        (
            "out-of-range", "PUT", "/api/v1/routes/a",
            #"{"name":"a","bad_below":3,"holdout":-1,"policy":{"targets":[]}}"#
        ),
        ("no-first-policy", "PUT", "/api/v1/routes/a", #"{"name":"a"}"#),
        (
            "unknown-provider", "POST", "/api/v1/routes/support-chat/policies",
            #"{"targets":[{"provider":"acme","model":"m"}],"selector":{"kind":"weighted","weights":{"x":1}}}"#
        ),
        (
            "unlisted-model", "POST", "/api/v1/routes/support-chat/policies",
            #"{"targets":[{"provider":"sim","model":"strnog-1"}]}"#
        ),
        ("split-hundredths", "PUT", "/api/v1/routes/support-chat", #"{"name":"support-chat","bad_below":0.333}"#),
        (
            "unknown-selector", "POST", "/api/v1/routes/support-chat/policies",
            #"{"targets":[{"provider":"sim","model":"m"}],"selector":{"kind":"magic"}}"#
        ),
        ("unknown-route", "GET", "/api/v1/routes/nobody", nil),
        ("unknown-policy", "GET", "/api/v1/routes/support-chat/policies/99", nil),
        ("start-unknown-policy", "POST", "/api/v1/rollouts", #"{"route":"support-chat","policy":9,"reason":"x"}"#),
        (
            "start-bad-goal", "POST", "/api/v1/rollouts",
            #"{"route":"support-chat","policy":2,"goal":"more","reason":"x"}"#
        ),
        (
            "start-bad-kind", "POST", "/api/v1/rollouts",
            #"{"route":"support-chat","policy":2,"kind":"slow","reason":"x"}"#
        ),
        ("start-empty-reason", "POST", "/api/v1/rollouts", #"{"route":"support-chat","policy":2,"reason":" "}"#),
        ("not-an-id", "GET", "/api/v1/decisions/17", nil),
        ("bad-cursor", "GET", "/api/v1/decisions?cursor=zzz", nil),
        ("bad-limit", "GET", "/api/v1/decisions?limit=1000", nil),
        ("bad-status", "GET", "/api/v1/decisions?status=bogus", nil),
        (
            "waive-too-long", "POST", "/api/v1/rollouts/\(Fixture.id(3)):waive",
            #"{"guardrail":"errors","for_s":90000,"reason":" "}"#
        ),
        (
            "waive-unknown-guardrail", "POST", "/api/v1/rollouts/\(Fixture.id(3)):waive",
            #"{"guardrail":"luck","for_s":60,"reason":"x"}"#
        ),
        ("bad-state", "GET", "/api/v1/rollouts?state=bogus", nil),
        ("unknown-parameter", "GET", "/api/v1/decisions?colour=red", nil),
        ("windows-without-route", "GET", "/api/v1/windows", nil),
        ("windows-too-fine", "GET", "/api/v1/windows?route=support-chat&from=0&to=100000000&step_ms=1", nil),
        ("bad-feedback", "POST", "/api/v1/feedback", #"{"request":"nope","value":2}"#),
        (
            "feedback-out-of-range", "POST", "/api/v1/feedback",
            #"{"request":"019aa2f0-0000-7000-8000-000000000001","value":2,"name":"No"}"#
        ),
        (
            "bad-price", "PUT", "/api/v1/prices",
            #"{"prices":{"m":{"input_nano_usd_per_mtok":-1,"output_nano_usd_per_mtok":1}}}"#
        ),
        ("bad-role", "POST", "/api/v1/tokens", #"{"name":"x","role":"king"}"#),
        ("no-such-path", "GET", "/api/v1/nothing", nil),
        ("wrong-method", "PATCH", "/api/v1/routes/support-chat", nil),
        ("unknown-verb", "POST", "/api/v1/rollouts/x:fly", nil),
    ]

    @Test func nameTheField() async throws {
        try await TestServer.run { server in
            var text = ""
            for one in Self.cases {
                let reply = try await server.send(one.method, one.path, body: one.body)
                #expect(reply.header("Content-Type") == "application/problem+json", "\(one.name)")
                #expect((400..<500).contains(reply.status), "\(one.name): \(reply.text)")
                text += "\(one.name): \(reply.status)\n\(reply.text)\n\n"
            }
            try golden("problems.txt", text)
        }
    }

    @Test func bodiesOverTheLimitAreRefused() async throws {
        try await TestServer.run { server in
            let body = "{\"name\":\"" + String(repeating: "x", count: 300_000) + "\"}"
            let reply = try await server.send("POST", "/api/v1/keys", body: body)
            #expect(reply.status == 413)
        }
    }

    @Test func otherContentTypesAreRefused() async throws {
        try await TestServer.run { server in
            let reply = try await server.send(
                "POST", "/api/v1/keys", body: "name=x", headers: ["Content-Type": "application/x-www-form-urlencoded"])
            #expect(reply.status == 415 && reply.text.contains("Content type not taken"))
        }
    }
}

/// Compares with a file beside the tests; `UPDATE_GOLDEN=1` writes it anew.
func golden(_ name: String, _ text: String, file: String = #filePath) throws {
    let folder = URL(filePath: file).deletingLastPathComponent().appending(path: "Golden")
    let place = folder.appending(path: name)
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try text.write(to: place, atomically: true, encoding: .utf8)
    }
    let kept = try String(contentsOf: place, encoding: .utf8)
    #expect(text == kept, "\(name) differs. Run with UPDATE_GOLDEN=1 and read the difference.")
}
