import ControlLoop
import StreamProcessing
import TestSupport
import Testing

/// What a declared window adds up is in the answer, merged over partitions.
@Suite struct DeclaredWindowTests {
    /// Looks at the windows of two models, `openai/large` and `openai/small`.
    private static func show(_ look: @escaping @Sendable ([[String: Any]]) throws -> Void) async throws {
        try await TestServer.run(windows: [DeclaredTraffic.window]) { server in
            for checkpoint in DeclaredTraffic.checkpoints() {
                await server.records.add(checkpoint, job: "main", topic: "events", owner: "gw-1", now: Fixture.now)
            }
            let items = try await server.send("GET", "/api/v1/windows?window=answers").items()
            let keys = items.compactMap { $0["key"] as? [String: String] }
            #expect(keys == [["model": "openai/large", "key": "web"], ["model": "openai/small", "key": "web"]])
            try look(items)
        }
    }

    @Test func requestsFailuresErrorsAndSignalsAreCounted() async throws {
        try await Self.show { items in
            let small = try #require(items.last)
            #expect(small["kind"] as? String == "ontime" && small["final"] as? Bool == true)
            #expect(small["requests"] as? Int == 8 && small["failures"] as? Int == 3)
            #expect(small["unknown_cost"] as? Int == 3)
            #expect(small["errors"] as? [String: Int] == ["timeout_total": 2, "overloaded": 1])
            #expect(small["signals"] as? [String: Int] == ["abandoned": 1, "unattended": 2])
            let large = try #require(items.first)
            #expect(large["requests"] as? Int == 1 && large["failures"] as? Int == 0)
            #expect(large["errors"] as? [String: Int] == [:])
        }
    }

    @Test func measuresHaveTheirVarianceAndThoseWithASketchTheirQuantiles() async throws {
        try await Self.show { items in
            let small = try #require(items.last)
            var measures = try #require(small["measures"] as? [String: [String: Double]])
            // Quantiles are within 1 %.
            for (name, value) in [("p50", 170.0), ("p95", 230.0), ("p99", 230.0)] {
                let found = measures["total_ms"]?.removeValue(forKey: name) ?? 0
                #expect(abs(found - value) <= value / 100, "\(name)")
            }
            #expect(
                measures == [
                    "cost_nano_usd": [
                        "count": 5, "sum": 10_000, "mean": 2_000, "variance": 4_000_000, "min": 0, "max": 5_000,
                    ],
                    "total_ms": ["count": 4, "sum": 800, "mean": 200, "variance": 6_000, "min": 110, "max": 290],
                ])
        }
    }

    @Test func itemsAreCountedOverAllPartitions() async throws {
        try await Self.show { items in
            let small = try #require(items.last)
            #expect(small["distinct"] as? [String: Int] == ["user": 3, "session": 2])
            let top = try #require(small["top"] as? [String: [[String: Any]]])
            #expect(top.keys.sorted() == ["user"])
            #expect(top["user"]?.compactMap { $0["item"] as? String } == ["a", "b"])
            // Two counters each: the second partition does not list b, which may have had one request there.
            #expect(top["user"]?.compactMap { $0["count"] as? Int } == [4, 2])
            #expect(top["user"]?.compactMap { $0["error"] as? Int } == [0, 1])
        }
    }

    @Test func feedbackIsShownByNameWithItsShareOfTheRequests() async throws {
        try await Self.show { items in
            let feedback = items.compactMap { $0["feedback"] as? [String: [String: Double]] }
            #expect(
                feedback == [
                    ["quality": ["n": 1, "mean": 0.5, "join_rate": 1]],
                    [
                        "quality": ["n": 2, "mean": 0.75, "join_rate": 0.25],
                        "helpful": ["n": 1, "mean": 1, "join_rate": 0.125],
                    ],
                ])
        }
    }
}
