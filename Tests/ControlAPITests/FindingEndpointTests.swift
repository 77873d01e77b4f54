import Analysis
import Core
import Foundation
import Policy
import Testing

@Suite struct FindingEndpoints {
    @Test func findingsAreListedByWhatTheyAre() async throws {
        try await TestServer.run { server in
            let all = try await server.send("GET", "/api/v1/findings", as: .viewer)
            let first = try #require(try all.items().first)
            #expect(first["code"] as? String == "cost.dearer_model" && first["status"] as? String == "open")
            let subject = first["subject"] as? [String: String]
            #expect(subject == ["kind": "model", "name": "sim/strong-1"])
            for (filter, count) in [
                ("analyzer=cost", 1), ("analyzer=quality", 0), ("severity=warning", 1), ("severity=critical", 0),
                ("status=open", 1), ("status=closed", 0), ("code=cost.dearer_model", 1), ("route=support-chat", 1),
            ] {
                let reply = try await server.send("GET", "/api/v1/findings?\(filter)", as: .viewer)
                #expect(try reply.items().count == count, "\(filter)")
            }
            let id = try #require(first["id"] as? String)
            #expect(try await server.send("GET", "/api/v1/findings/\(id)", as: .viewer).json()["id"] as? String == id)
            for wrong in ["analyzer=mood", "severity=bad", "status=gone", "cursor=x"] {
                let reply = try await server.send("GET", "/api/v1/findings?\(wrong)", as: .viewer)
                #expect(reply.status == 422, "\(wrong): \(reply.text)")
            }
        }
    }

    @Test func thePastIsAnalyzedAgainWithOtherThresholds() async throws {
        try await TestServer.run { server in
            let path = "/api/v1/routes/support-chat/analysis?from=\(Fixture.start)&to=\(Fixture.start + 600_000)"
            let whole = try await server.send("GET", path + "&warm_up_ms=0", as: .viewer).json()
            #expect(whole["minutes"] as? Int == 10)
            let off = AnalyzerKind.allCases.map { "\($0.rawValue).enabled=false" }.joined(separator: ",")
            let silent = try await server.send("GET", path + "&set=\(off)", as: .viewer).json()
            #expect((silent["findings"] as? [Any])?.isEmpty == true)
            for (wrong, word) in [
                ("set=cost.colour=1", "colour"), ("set=mood.enabled=false", "no such analyzer"), ("set=x", "'x'"),
                ("set=cost.cost_rise=much", "much"), ("set=cost.cost_rise=1e9", "is not between"),
                ("warm_up_ms=9999999999999", "31 days"),
            ] {
                let reply = try await server.send("GET", "\(path)&\(wrong)", as: .viewer)
                #expect(reply.status == 422 && reply.text.contains(word), "\(wrong): \(reply.text)")
            }
            let long = try await server.send(
                "GET", "/api/v1/routes/support-chat/analysis?from=1&to=\(Fixture.start)", as: .viewer)
            #expect(long.status == 422)
        }
    }

    @Test func aRoutesThresholdsAreChecked() async throws {
        try await TestServer.run { server in
            func put(_ analyzers: String) async throws -> (status: Int, text: String) {
                let body =
                    #"{"name":"new","analyzers":\#(analyzers),"policy":{"targets":[{"provider":"sim","model":"m"}]}}"#
                let reply = try await server.send("PUT", "/api/v1/routes/new", body: body)
                return (reply.status, reply.text)
            }
            #expect(try await put(#"{"cost":{"cost_rise":0}}"#).text.contains("/analyzers/cost/cost_rise"))
            #expect(try await put(#"{"cost":{"colour":1}}"#).status == 422)
            #expect(try await put(#"{"mood":{"enabled":false}}"#).status == 422)
            #expect(try await put(#"{"cost":{"enabled":false,"cost_rise":0.5}}"#).status == 201)
            let shown = try await server.send("GET", "/api/v1/routes/new", as: .viewer).json()
            let cost = (shown["analyzers"] as? [String: [String: Any]])?["cost"]
            #expect(cost?["enabled"] as? Bool == false && cost?["cost_rise"] as? Double == 0.5)
        }
    }
}

/// The command line shows findings as tables, and one with its evidence.
@Suite(.enabled(if: Program.isBuilt, "the program is not built")) struct FindingsTool {
    @Test func findingsAndTheirPast() async throws {
        try await TestServer.run { server in
            let id = Fixture.finding().id.description
            let span = ["--from", "\(Fixture.start)", "--to", "\(Fixture.start + 600_000)", "--warm-up", "0s"]
            var said = ""
            for command in [
                ["findings"], ["findings", "list", "--severity", "critical"], ["findings", "show", id],
                ["analyze", "support-chat"] + span + ["--analyzer", "performance"],
            ] {
                let (status, text) = try await Program.run(command, server)
                #expect(status == 0, "\(text)")
                said += "$ trimtab \(command.joined(separator: " "))\n\(text)\n\n"
            }
            try golden("findings.txt", said)
            let (refused, why) = try await Program.run(["analyze", "support-chat", "--warm-up", "soon"], server)
            #expect(refused == 64 && why.contains("Write 90m"), "\(why)")
        }
    }
}
