import ControlLoop
import Foundation
import Policy
import Rollouts
import Testing

@Suite struct RehearsalEndpoints {
    @Test func aRehearsalIsRunKeptAndListed() async throws {
        try await TestServer.run { server in
            let path = "/api/v1/routes/support-chat"
            let answer = try await server.send("POST", "\(path):rehearse", as: .operator)
            let report = try answer.json()
            #expect(answer.status == 200 && report["passed"] as? Bool == true, "\(answer.text)")
            #expect((report["summary"] as? String)?.contains("1 unseen (price_rise)") == true)
            let scores = try #require(report["scores"] as? [[String: Any]])
            #expect(scores.map { $0["fault"] as? String } == RehearsalFault.allCases.map(\.rawValue))
            let list = try await server.send("GET", "\(path)/rehearsals", as: .viewer)
            #expect(try list.items().map { $0["id"] as? String } == [report["id"] as? String])
            let route = try await server.send("GET", path, as: .viewer).json()
            #expect((route["rehearsal"] as? [String: Any])?["passed"] as? Bool == true)
            // The one that runs, if there is one, is waited for.
            let second = try await server.send("POST", "\(path):rehearse", as: .operator)
            #expect(second.status == 409 && second.text.contains("rehearsal.busy"), "\(second.text)")
        }
    }

    @Test func rolesAndNamesAreChecked() async throws {
        try await TestServer.run { server in
            #expect(try await server.send("POST", "/api/v1/routes/support-chat:rehearse", as: .viewer).status == 403)
            #expect(try await server.send("POST", "/api/v1/routes/none:rehearse", as: .operator).status == 404)
            #expect(try await server.send("GET", "/api/v1/routes/none/rehearsals", as: .viewer).status == 404)
            let wrong = try await server.send("GET", "/api/v1/routes/support-chat/rehearsals?cursor=x", as: .viewer)
            #expect(wrong.status == 422)
        }
    }
}

/// The command line shows the score as a table.
@Suite(.enabled(if: Program.isBuilt, "the program is not built")) struct RehearseTool {
    @Test func theScoreIsATableAndTheExitStatus() async throws {
        try await TestServer.run { server in
            let (status, said) = try await Program.run(["rehearse", "support-chat"], server)
            #expect(status == 0, "\(said)")
            try golden("rehearsal.txt", said)
            let (shown, route) = try await Program.run(["routes", "show", "support-chat"], server)
            #expect(shown == 0 && route.contains("passed, 2025-11-20"), "\(route)")
            let (refused, why) = try await Program.run(["rehearse", "support-chat"], server)
            #expect(refused == 64 && why.contains("Try again in some seconds."), "\(why)")
        }
    }

    @Test func whatDidNotPassExitsWith1() async throws {
        try await TestServer.run { server in
            server.store.edit { $0.states[$0.rollouts[0].route]?.route.guardrails[.errors] = 0 }
            let (status, said) = try await Program.run(["rehearse", "support-chat", "--output", "json"], server)
            #expect(status == 1 && said.contains("\"passed\" : false"), "\(said)")
        }
    }
}
