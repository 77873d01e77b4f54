import Analysis
import ControlAPI
import ControlLoop
import Core
import Decisions
import Foundation
import Policy
import Rollouts
import StreamProcessing
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite struct Access {
    /// Every endpoint, with every role and without one: a role may do what its own and lower ones may, and no more.
    @Test func everyEndpointAsksForItsRole() async throws {
        try await TestServer.run { server in
            for endpoint in ControlAPI.endpoints where endpoint.path != "/api/v1/events" {
                let path = endpoint.path.replacingOccurrences(of: "{name}", with: "nobody")
                    .replacingOccurrences(of: "{id}", with: "x").replacingOccurrences(of: "{version}", with: "0")
                let body = ["POST", "PUT"].contains(endpoint.method) ? "{\"no_such_field\":1}" : nil
                let unknown = try await server.send(endpoint.method, path, as: nil, body: body)
                guard let needed = endpoint.role else {
                    #expect(unknown.status != 401 || endpoint.path == "/login", "\(endpoint.method) \(path)")
                    continue
                }
                #expect(unknown.status == 401, "\(endpoint.method) \(path)")
                #expect(unknown.header("WWW-Authenticate") != nil)
                for role in OperatorToken.Role.allCases {
                    let reply = try await server.send(endpoint.method, path, as: role, body: body)
                    #expect(
                        (reply.status == 403) == (role < needed),
                        "\(endpoint.method) \(path) as \(role): \(reply.status)")
                    #expect(reply.status != 401 && reply.status < 500, "\(endpoint.method) \(path): \(reply.text)")
                }
            }
        }
    }

    @Test(arguments: ["Bearer nonsense", "Basic YTpi", "Bearer", ""])
    func badCredentialsAreRefused(_ header: String) async throws {
        try await TestServer.run { server in
            let reply = try await server.send("GET", "/api/v1/routes", as: nil, headers: ["Authorization": header])
            #expect(reply.status == 401)
        }
    }

    @Test func revokedTokensStopAtOnceWhereTheyAreRevoked() async throws {
        try await TestServer.run { server in
            #expect(try await server.send("GET", "/api/v1/routes", as: .viewer).status == 200)
            #expect(try await server.send("DELETE", "/api/v1/tokens/test-viewer").status == 204)
            #expect(try await server.send("GET", "/api/v1/routes", as: .viewer).status == 401)
            let own = try await server.send("DELETE", "/api/v1/tokens/test-admin")
            #expect(own.status == 409)
        }
    }

    @Test func theConsolesCookieReadsFreelyAndWritesOnlyFromItsOwnPage() async throws {
        try await TestServer.run { server in
            let secret = server.tokens[.operator] ?? ""
            let own = ["Sec-Fetch-Site": "same-origin"]
            let refused = try await server.send("POST", "/login", as: nil, body: "{\"token\":\"tto-x\"}", headers: own)
            #expect(refused.status == 401)
            let login = try await server.send(
                "POST", "/login", as: nil, body: "{\"token\":\"\(secret)\"}", headers: own)
            #expect(login.status == 200)
            let cookie = login.header("Set-Cookie") ?? ""
            for part in ["HttpOnly", "SameSite=Strict", "Path=/"] { #expect(cookie.contains(part), "\(cookie)") }
            let pair = String(cookie.prefix { $0 != ";" })
            #expect(try await server.send("GET", "/api/v1/session", as: nil, headers: ["Cookie": pair]).status == 200)
            let path = "/api/v1/rollouts/\(Fixture.id(3)):pause"
            let sites: [([String: String], Int)] = [
                ([:], 403), (["Sec-Fetch-Site": "cross-site", "X-Trimtab-Console": "1"], 403),
                (["Sec-Fetch-Site": "same-site"], 403), (["X-Trimtab-Console": "1"], 200), (own, 200),
            ]
            for (headers, status) in sites {
                let all = headers.merging(["Cookie": pair]) { $1 }
                #expect(try await server.send("POST", path, as: nil, headers: all).status == status, "\(headers)")
            }
        }
    }

    @Test func secretsAreShownOnceAndOnlyDigestsAreKept() async throws {
        try await TestServer.run { server in
            let made = try await server.send("POST", "/api/v1/keys", body: "{\"name\":\"team-a\",\"project\":\"p\"}")
            #expect(made.status == 201)
            let secret = try #require(try made.json()["secret"] as? String)
            #expect(secret.hasPrefix("tt-"))
            let list = try await server.send("GET", "/api/v1/keys")
            #expect(!list.text.contains(secret) && !list.text.contains("digest"))
            #expect(try await server.send("POST", "/api/v1/keys", body: "{\"name\":\"team-a\"}").status == 409)
            #expect(try await server.send("DELETE", "/api/v1/keys/team-a").status == 204)
            #expect(try await server.send("DELETE", "/api/v1/keys/nobody").status == 404)
        }
    }
}

@Suite struct Answers {
    @Test func listsComeInPages() async throws {
        try await TestServer.run { server in
            let template = try Fixture.rollout()
            server.store.edit { content in
                content.rollouts = (UInt64(10)..<17).map { number in
                    var rollout = template
                    rollout.id = Fixture.id(number)
                    return rollout
                }
            }
            for path in ["/api/v1/rollouts", "/api/v1/keys"] {
                if path.hasSuffix("keys") {
                    for number in 0..<7 {
                        _ = try await server.send("POST", path, body: "{\"name\":\"key-\(number)\"}")
                    }
                }
                var seen: [String] = []
                var cursor: String?
                repeat {
                    let page = try await server.send("GET", path + "?limit=3" + (cursor.map { "&cursor=\($0)" } ?? ""))
                    #expect(page.status == 200)
                    seen += try page.items().compactMap { ($0["id"] ?? $0["name"]) as? String }
                    cursor = try page.json()["next_cursor"] as? String
                } while cursor != nil && seen.count < 50
                #expect(seen.count == 7 && Set(seen).count == 7, "\(path)")
            }
        }
    }

    @Test func singleResourcesCarryAnEntityTag() async throws {
        try await TestServer.run { server in
            let paths = [
                "/api/v1/routes/support-chat", "/api/v1/routes/support-chat/policies/2",
                "/api/v1/rollouts/\(Fixture.id(3))", "/api/v1/decisions/\(Fixture.id(1))", "/api/v1/prices", "/",
            ]
            for path in paths {
                let first = try await server.send("GET", path)
                let tag = try #require(first.header("ETag"), "\(path)")
                let second = try await server.send("GET", path, headers: ["If-None-Match": "\"x\", \(tag)"])
                #expect(second.status == 304 && second.text.isEmpty, "\(path)")
                #expect(try await server.send("GET", path, headers: ["If-None-Match": "\"x\""]).status == 200)
            }
        }
    }

    @Test func aRepeatedCreationIsAnsweredFromTheFirst() async throws {
        try await TestServer.run { server in
            let headers = ["Idempotency-Key": "once"]
            let first = try await server.send("POST", "/api/v1/keys", body: "{\"name\":\"a\"}", headers: headers)
            let again = try await server.send("POST", "/api/v1/keys", body: "{\"name\":\"a\"}", headers: headers)
            #expect(first.status == 201 && again.status == 201 && first.text == again.text)
            let other = try await server.send("POST", "/api/v1/keys", body: "{\"name\":\"b\"}", headers: headers)
            #expect(other.status == 422)
            #expect(server.store.content.withLock { $0.keys.count } == 1)
        }
    }

    @Test func namesWithSlashesAreReached() async throws {
        try await TestServer.run { server in
            let body =
                #"{"name":"team/a:b","objective":{"quality":{"tolerance":0.05}},"policy":{"targets":[{"provider":"sim","model":"m"}]}}"#
            #expect(try await server.send("PUT", "/api/v1/routes/team%2Fa%3Ab", body: body).status == 201)
            let shown = try await server.send("GET", "/api/v1/routes/team%2Fa:b")
            let name = try shown.json()["name"] as? String
            #expect(name == "team/a:b")
            // What GET says can be applied again.
            #expect(try await server.send("PUT", "/api/v1/routes/team%2Fa%3Ab", body: shown.text).status == 200)
        }
    }

    @Test func policiesAreMadeComparedAndActivated() async throws {
        try await TestServer.run { server in
            let path = "/api/v1/routes/support-chat/policies"
            let body =
                #"{"reason":"try","parent":2,"targets":[{"provider":"sim","model":"m"}],"fallbacks":["sim/m"]}"#
            let made = try await server.send("POST", path, as: .operator, body: body)
            #expect(made.status == 201 && made.header("Location") == path + "/3")
            let author = try made.json()["created_by"] as? String
            #expect(author == "test-operator")
            let diff = try await server.send("GET", path + "/3/diff?against=1")
            let differences = try diff.json()["differences"] as? [[String: String]]
            #expect(differences?.first?["key"] == "targets")
            #expect(try await server.send("POST", path + "/3:activate").status == 200)
            #expect(server.commands.asked.withLock { $0.last?.0 } == .activate(policy: 3))
            let check = try await server.send("POST", "/api/v1/policies:validate", body: #"{"targets":[]}"#)
            let valid = try check.json()["valid"] as? Bool
            #expect(valid == false)
        }
    }

    @Test func commandsReachTheLoopInTheActorsName() async throws {
        try await TestServer.run { server in
            let start = #"{"route":"support-chat","policy":2,"goal":"cheaper","reason":"because"}"#
            let started = try await server.send("POST", "/api/v1/rollouts", as: .operator, body: start)
            #expect(started.status == 201 && started.header("Location") == "/api/v1/rollouts/\(Fixture.id(3))")
            for verb in ["pause", "promote", "abort"] {
                #expect(try await server.send("POST", "/api/v1/rollouts/\(Fixture.id(3)):\(verb)").status == 200)
            }
            let waiver = #"{"guardrail":"cost","for_s":600,"reason":"the price is known"}"#
            #expect(
                try await server.send("POST", "/api/v1/rollouts/\(Fixture.id(3)):waive", body: waiver).status == 200)
            let resume = try await server.send("POST", "/api/v1/rollouts/\(Fixture.id(3)):resume")
            #expect(resume.status == 409 && resume.text.contains("Pause it first."))
            for verb in ["approve", "reject"] {
                #expect(try await server.send("POST", "/api/v1/decisions/\(Fixture.id(1)):\(verb)").status == 200)
            }
            let asked = server.commands.asked.withLock { $0 }
            #expect(asked.map(\.2) == ["test-operator"] + Array(repeating: "test-admin", count: 7))
            #expect(asked[0].0 == .startRollout(RolloutRequest(policy: 2, goal: .cheaper, reason: "because")))
            #expect(asked[3].0 == .abort(rollout: Fixture.id(3), reason: "asked by test-admin"))
            #expect(
                asked[4].0
                    == .waive(
                        rollout: Fixture.id(3), guardrail: .cost, forMs: 600_000, reason: "the price is known"))
        }
    }

    @Test func feedbackIsJudgedAndPassedOn() async throws {
        try await TestServer.run { server in
            let body = #"{"request":"\#(Fixture.id(77))","value":0.25,"source":"judge"}"#
            #expect(try await server.send("POST", "/api/v1/feedback", as: .operator, body: body).status == 202)
            let judged = try #require(server.commands.judged.withLock { $0.first })
            #expect(judged.request == Fixture.id(77) && judged.value == 0.25 && judged.name == "quality")
            #expect(judged.key == nil && judged.at == Fixture.now)
        }
    }

    @Test func evidenceSaysHowFarEachGuardrailIs() async throws {
        try await TestServer.run { server in
            let reply = try await server.send("GET", "/api/v1/rollouts/\(Fixture.id(3))/evidence")
            let guardrails = try #require(try reply.json()["guardrails"] as? [[String: Any]])
            let bad = try #require(guardrails.first { $0["guardrail"] as? String == "bad_answers" })
            let (logE, limit) = (try #require(bad["log_e"] as? Double), try #require(bad["log_limit"] as? Double))
            #expect(abs(limit + log(0.01 * 0.1 / 0.92)) < 1e-9)
            #expect(try #require(bad["progress"] as? Double) == min(1, max(0, logE / limit)))
            #expect((bad["candidate"] as? [String: Any])?["trials"] as? Int == 200)
            #expect((bad["candidate"] as? [String: Any])?["events"] as? Int == 20)
            let ratio = try #require(bad["ratio"] as? [String: Any])
            let estimate = try #require(ratio["estimate"] as? Double)
            let (lower, upper) = (try #require(ratio["lower"] as? Double), try #require(ratio["upper"] as? Double))
            #expect(lower < estimate && estimate < upper)
        }
    }

    @Test func theSameTrialsGiveTheSameEvidence() async throws {
        try await TestServer.run { server in
            let path = "/api/v1/rollouts/\(Fixture.id(3))/replay"
            let same = try await server.send("GET", path).json()
            #expect(same["matches"] as? Bool == true, "\(same)")
            #expect(same["candidate_requests"] as? Int == 240)
            server.store.edit { $0.panes.removeLast() }
            let other = try await server.send("GET", path).json()
            #expect(other["matches"] as? Bool == false)
            let differences = try #require(other["differences"] as? [String])
            #expect(differences.contains { $0.hasPrefix("bad_answers: log e is") })
        }
    }

    @Test func thePlotShowsStepsLimitAndNames() async throws {
        try await TestServer.run { server in
            let path = "/api/v1/rollouts/\(Fixture.id(3))/evidence.svg"
            let plot = try await server.send("GET", path)
            #expect(plot.status == 200 && plot.header("Content-Type") == "image/svg+xml; charset=utf-8")
            let text = plot.text
            for part in ["evidence that it is worse", "25 %", "limit", "240 requests of the candidate", "</svg>"] {
                #expect(text.contains(part), "\(part) is missing")
            }
            server.store.edit { content in
                content.panes = []
                content.rollouts[0].phase = .ended(.aborted(by: "<ann>"))
            }
            let empty = try await server.send("GET", path).text
            #expect(empty.contains("No stored evidence.") && !empty.contains("<ann>"))
        }
    }

    @Test func aReplayThatMatchesSaysSo() async throws {
        try await TestServer.run { server in
            let path = "/api/v1/decisions/\(Fixture.id(1))/replay"
            server.store.edit { content in
                content.decisions[0].outcome = decide(content.decisions[0].input)
                content.decisions[0].engine = DecisionEngine.name
            }
            let same = try await server.send("GET", path).json()
            #expect(same["matches"] as? Bool == true && same["same_engine"] as? Bool == true)
            server.store.edit { content in
                content.decisions[0].outcome.code = "other"
                content.decisions[0].engine = "0 other"
            }
            let other = try await server.send("GET", path).json()
            #expect(other["matches"] as? Bool == false && other["same_engine"] as? Bool == false)
            #expect((other["differences"] as? [String])?.first?.hasPrefix("code: other") == true)
        }
    }

    @Test func windowsMergeIntoEqualSteps() async throws {
        try await TestServer.run { server in
            let query = "?route=support-chat&from=\(Fixture.start)&to=\(Fixture.now)&step_ms=60000"
            let items = try await server.send("GET", "/api/v1/windows" + query).items()
            #expect(items.count == 10)
            let requests = items.compactMap { $0["requests"] as? Int }.reduce(0, +)
            let kept = server.store.content.withLock { $0.windows.reduce(0) { $0 + Int($1.aggregate.requests) } }
            #expect(requests == kept)
            let last = try #require(items.last)
            let groups = try #require(last["groups"] as? [[String: Any]])
            #expect(groups.compactMap { $0["policy"] as? Int } == [1, 2])
            let cost = try #require(groups[0]["cost_per_1000_usd"] as? Double)
            #expect(abs(cost - 3.1) < 0.1)
            let p95 = try #require(groups[0]["latency_p95_ms"] as? Double)
            #expect((600...640).contains(p95))
        }
    }
}

@Suite struct Health {
    @Test func readinessNamesWhatIsWrong() async throws {
        try await TestServer.run(checks: [
            .init("gateway", isRequired: true) { nil }, .init("spare", isRequired: false) { "Away." },
        ]) { server in
            #expect(try await server.send("GET", "/livez", as: nil).status == 200)
            #expect(try await server.send("GET", "/readyz", as: nil).status == 200)
            server.store.edit { $0.problem = "connection refused" }
            for path in ["/readyz", "/healthz"] {
                let reply = try await server.send("GET", path, as: nil)
                #expect(reply.status == 503)
                #expect(
                    reply.text
                        == #"{"checks":[{"name":"gateway","ready":true,"required":true},"#
                        + #"{"detail":"Away.","name":"spare","ready":false,"required":false},"#
                        + #"{"detail":"connection refused","name":"store","ready":false,"required":true}],"ready":false}"#
                )
            }
            #expect(try await server.send("GET", "/metrics", as: nil).text == "# TYPE up gauge\nup 1\n")
        }
    }

    @Test func aProcessWithoutTheControlRoleShowsItsHealthAlone() async throws {
        try await TestServer.run(systemOnly: true) { server in
            for (path, status) in ["/livez": 200, "/readyz": 200, "/metrics": 200, "/": 404, "/api/v1/routes": 404] {
                let reply = try await server.send("GET", path)
                #expect(reply.status == status)
            }
        }
    }

    @Test func nothingMayBeFramedSniffedOrLoadedFromElsewhere() async throws {
        try await TestServer.run { server in
            for path in ["/", "/app.js", "/api/v1/routes", "/nowhere"] {
                let reply = try await server.send("GET", path)
                #expect(reply.header("X-Content-Type-Options") == "nosniff")
                let policy = reply.header("Content-Security-Policy") ?? ""
                #expect(policy.hasPrefix("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
                #expect(!policy.contains("unsafe") && !policy.contains("http"))
            }
        }
    }
}
