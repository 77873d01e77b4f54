import Core
import Foundation
import Observability
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The demo as a whole: its own PostgreSQL, all roles, simulated providers and traffic.
@Suite(.serialized) struct WholeLoopTests {
    /// Killed at random moments, the service goes on where it was, windows count every record once, and the log holds
    /// what its clients had been answered.
    @Test(.timeLimit(.minutes(5))) func killsLoseAndDoubleNothing() async throws {
        let folder = try ServiceProcess.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let demo = try ServiceProcess.demo(folder: folder, port: 18_080)
        defer { demo.kill() }
        var generator = SplitMix64(seed: 7)
        var answered: Set<String> = []
        for _ in 0..<4 {
            try await demo.ready()
            let (port, key) = (demo.port, try #require(demo.secret("demo.key")))
            let client = Task { await Self.chat(port: port, key: key) }
            try await Task.sleep(for: .milliseconds(2_500 + Int(generator.next() % 1_500)))
            demo.kill()
            let killed = Date()
            for (id, at) in await client.value where killed.timeIntervalSince(at) > 0.1 { answered.insert(id) }
            try demo.start()
        }
        // All windows that ended before now are due a few seconds after it, whatever the kills interrupted.
        let end = Int64(Date().timeIntervalSince1970) / 5 * 5_000
        _ = try await Wait.upTo(seconds: 90) { () -> Bool? in
            let watermark = try await demo.sql("SELECT min(watermark) FROM stream_partitions")
            return (Int64(watermark) ?? 0) > end + 3_000 ? true : nil
        }
        let written = try await demo.requestsInLog(endedBefore: end)
        #expect(written.count > 300)
        #expect(
            Int(
                try await demo.sql(
                    "SELECT sum(requests)::bigint FROM window_results WHERE definition = 'requests' AND window_end <= \(end)"
                ))
                == written.count)
        #expect(try await demo.sql("SELECT count(*) FROM dead_letters") == "0")
        #expect(answered.count > 50)
        #expect(answered.subtracting(try await demo.requestsInLog()).isEmpty)
    }

    /// Asks one question after the other until the gateway is gone.
    ///
    /// - Returns: the ids of the answers with the moment after their last byte.
    private static func chat(port: Int, key: String) async -> [(id: String, at: Date)] {
        guard let url = URL(string: "http://127.0.0.1:\(port)/v1/chat/completions") else { return [] }
        var request = URLRequest(url: url)
        request.httpMethod = "POST"
        request.setValue("Bearer \(key)", forHTTPHeaderField: "authorization")
        request.httpBody = Data(#"{"model":"support-chat","messages":[{"role":"user","content":"Hello"}]}"#.utf8)
        let asked = request
        return await withTaskGroup(of: [(id: String, at: Date)].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var answers: [(id: String, at: Date)] = []
                    while let (_, response) = try? await URLSession.shared.data(for: asked),
                        let response = response as? HTTPURLResponse, response.statusCode == 200,
                        let id = response.value(forHTTPHeaderField: "x-request-id")
                    {
                        answers.append((id, Date()))
                    }
                    return answers
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
    }

    /// Waits, and where nothing comes says how the demo's rollouts and decisions stand.
    private static func wait<Value>(
        for demo: ServiceProcess, seconds: Double, _ condition: () async throws -> Value?
    ) async throws -> Value {
        do { return try await Wait.upTo(seconds: seconds, condition) } catch {
            let rollouts = try await demo.items("/api/v1/rollouts") ?? []
            let decision = try await demo.items("/api/v1/decisions")?.first?["rationale"] ?? "none"
            let states = rollouts.map { "\($0["state"] ?? "?"): \($0["waits_for"] ?? $0["detail"] ?? "")" }
            throw TrimtabError(
                "test.timeout", "Nothing came within \(seconds) s. Rollouts: \(states). Newest decision: \(decision)",
                remedy: "See what it waits for.")
        }
    }

    /// What a newcomer watches: within five minutes live traffic gets cheaper at held quality and a bad upgrade is
    /// taken back, by itself, although the service is killed in the middle of the rollout; and all of it is kept.
    @Test(.timeLimit(.minutes(10))) func getsCheaperAndTakesABadUpgradeBack() async throws {
        let folder = try ServiceProcess.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let demo = try ServiceProcess.demo(
            folder: folder, port: 18_180, ["analyzers.probes.enabled=true", "analyzers.probes.every_s=5"])
        defer { demo.kill() }
        try await demo.ready()
        let began = ContinuousClock.now
        for step in [1, 3] {
            try await Self.wait(for: demo, seconds: 150) {
                let rollout = try await demo.items("/api/v1/rollouts")?.first
                return (rollout?["step"] as? Int).flatMap { $0 >= step ? () : nil }
            }
            demo.kill()
            try demo.start()
        }
        func rollout(in state: String) async throws -> [String: Any] {
            try await Self.wait(for: demo, seconds: 240) {
                try await demo.items("/api/v1/rollouts")?.first { $0["state"] as? String == state }
            }
        }
        let promoted = try await rollout(in: "promoted")
        let rolledBack = try await rollout(in: "rolled_back")
        #expect(ContinuousClock.now - began < .seconds(300))
        #expect(rolledBack["decision"] == nil, "a person started it")
        let id = try #require(rolledBack["id"] as? String)
        try await Wait.upTo(seconds: 10) {
            try await demo.get("/api/v1/rollouts/\(id)")?["acknowledgement"] == nil ? nil : ()
        }
        #expect((rolledBack["detail"] as? String)?.hasPrefix("Rolled back") == true)

        // It acted by itself because its guardrails had been tried first.
        let rehearsals = try #require(try await demo.items("/api/v1/routes/support-chat/rehearsals"))
        #expect(rehearsals.last?["passed"] as? Bool == true)

        let decision = try #require(promoted["decision"] as? String)
        let rationale = try await demo.get("/api/v1/decisions/\(decision)")?["rationale"] as? String
        #expect(rationale?.isEmpty == false)

        // What was promoted a moment ago serves as stable in no window yet.
        func mean(_ sum: String, of table: String, policy: Any?) async throws -> Double {
            let version = try #require(policy as? Int)
            return try await Wait.upTo(seconds: 30) {
                Double(try await demo.sql("SELECT \(sum) FROM \(table) WHERE arm = 'stable' AND policy = \(version)"))
            }
        }
        let (cost, quality) = ("sum(cost_sum) / sum(cost_n)", "sum(sum) / sum(n)")
        #expect(
            try await mean(cost, of: "window_results", policy: promoted["candidate"])
                < 0.5 * mean(cost, of: "window_results", policy: promoted["stable"]))
        // The tolerance, and four standard errors of what a minute of feedback shows.
        #expect(
            try await mean(quality, of: "window_feedback", policy: promoted["candidate"])
                > mean(quality, of: "window_feedback", policy: promoted["stable"]) - 0.03 - 0.03)

        // Analysis shows itself with its first minute after the last kill.
        var metrics = ""
        for _ in 0..<150 where !metrics.contains(Metric.analysisLag.rawValue) {
            metrics = try await Shell.run("/usr/bin/curl", ["-s", "http://127.0.0.1:\(demo.port + 50)/metrics"])
            try await Task.sleep(for: .milliseconds(200))
        }
        let verdict = try await Shell.run(
            "/bin/sh", ["-c", "promtool check metrics 2>&1 && echo accepted"], input: metrics)
        #expect(verdict == "accepted\n")
        // Those that need a Kafka, a collector, a judge or a webhook, that something went wrong, or a decision or finding since the
        // last kill.
        let absent: Set<Metric> = [
            .decisions, .findingsOpened, .analysisFailures, .judgeVerdicts, .judgeChecks, .judgeSkipped, .judgeLength,
            .judgePreferred, .judgeCopyBetter, .judgeSpend, .judgeSuspended, .webhookDeliveries, .webhookPendingAge,
            .logShipped, .gatewayUpstreamErrors, .controlStepFailures, .streamDeadLetters, .collectorSpans,
            .collectorRejected, .collectorExports, .collectorBreaker, .collectorLag, .collectorLostDeadLetters,
        ]
        for metric in Metric.allCases where !absent.contains(metric) {
            #expect(metrics.contains("# TYPE \(metric.rawValue) "), "\(metric.rawValue) is documented and not there")
        }

        // The leader has sent fixed prompts to both models, evenly, and kept what tells the answers apart.
        try await Wait.upTo(seconds: 60) {
            let probed = try await demo.sql("SELECT count(*) FROM probes GROUP BY model_key ORDER BY 1 DESC LIMIT 2")
                .split(separator: "\n").compactMap { Int($0) }
            return probed.count == 2 && probed.allSatisfy { $0 >= 5 } ? () : nil
        }

        #expect(demo.stop() == 0)
        try demo.start()
        try await demo.ready()
        let kept = try #require(try await demo.items("/api/v1/rollouts")).map { $0["id"] as? String }
        #expect(kept.contains(promoted["id"] as? String))
        #expect(kept.contains(rolledBack["id"] as? String))
        #expect(try await demo.get("/api/v1/decisions/\(decision)")?["rationale"] as? String == rationale)
    }
}
