import Foundation
import Logging
import Observability
import Synchronization
import Testing

@Suite struct MetricNames {
    @Test func followOneForm() throws {
        let parts =
            /(gateway|judge|probe|log|collector|stream|control|analysis|webhook|api|postgres|process)_[a-z0-9_]+/
        for metric in Metric.allCases {
            let definition = metric.definition
            #expect(metric.rawValue.hasPrefix("trimtab_"))
            #expect(metric.rawValue.dropFirst("trimtab_".count).wholeMatch(of: parts) != nil, "\(metric.rawValue)")
            #expect(metric.rawValue.hasSuffix("_total") == (definition.kind == .counter), "\(metric.rawValue)")
            #expect(definition.bounds.isEmpty == (definition.kind != .histogram), "\(metric.rawValue)")
            #expect(definition.bounds == definition.bounds.sorted())
            #expect(Set(definition.labels).count == definition.labels.count)
            #expect(definition.help.hasSuffix("."))
        }
    }

    @Test func documentationIsInStep() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/metrics.md")
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try Metric.documentation().write(to: file, atomically: true, encoding: .utf8)
        }
        let kept = try String(contentsOf: file, encoding: .utf8)
        #expect(kept == Metric.documentation(), "Run the tests with UPDATE_GOLDEN=1 to write docs/metrics.md anew.")
    }
}

@Suite struct Exposition {
    /// A registry with at least one series of every metric.
    static func filled() -> MetricRegistry {
        let registry = MetricRegistry()
        for metric in Metric.allCases {
            let labels = Dictionary(uniqueKeysWithValues: metric.definition.labels.map { ($0, "a \"b\"\\c\nd") })
            switch metric.definition.kind {
            case .counter: registry.add(metric, 1.5, labels)
            case .gauge: registry.set(metric, -2, labels)
            case .histogram:
                registry.observe(metric, 0.02, labels)
                registry.observe(metric, 1e9, labels)
            }
        }
        return registry
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/promtool"), "promtool is not installed"))
    func promtoolAcceptsEveryMetric() throws {
        let (status, output) = try promtool(Self.filled().text())
        #expect(status == 0, "\(output)")
        #expect(output.isEmpty)
    }

    @Test func countersAddGaugesReplaceHistogramsAccumulate() {
        let registry = MetricRegistry()
        registry.add(.logDropped, 2)
        registry.add(.logDropped, 3)
        registry.set(.gatewayInFlight, 4)
        registry.set(.gatewayInFlight, 1)
        registry.observe(.streamCheckpointDuration, 0.001)
        registry.observe(.streamCheckpointDuration, 20)
        let text = registry.text()
        #expect(text.contains("\ntrimtab_log_dropped_records_total 5\n"))
        #expect(text.contains("\ntrimtab_gateway_in_flight_requests 1\n"))
        #expect(text.contains("trimtab_stream_checkpoint_duration_seconds_bucket{le=\"0.001\"} 1\n"))
        #expect(text.contains("trimtab_stream_checkpoint_duration_seconds_bucket{le=\"10\"} 1\n"))
        #expect(text.contains("trimtab_stream_checkpoint_duration_seconds_bucket{le=\"+Inf\"} 2\n"))
        #expect(text.contains("trimtab_stream_checkpoint_duration_seconds_sum 20.001\n"))
    }

    @Test func collectorsAreAskedAtEachScrape() {
        let registry = MetricRegistry()
        let calls = Mutex(0.0)
        registry.collect {
            let n = calls.withLock { count -> Double in
                count += 1
                return count
            }
            return [MetricSample(.logLag, n, [.partition: "0"]), MetricSample(.logLag, 1, [.partition: "1"])]
        }
        #expect(registry.text().contains("trimtab_log_lag_records{partition=\"0\"} 1\n"))
        #expect(registry.text().contains("trimtab_log_lag_records{partition=\"0\"} 2\n"))
    }

    @Test func labelValuesPastTheBoundBecomeOther() {
        let registry = MetricRegistry()
        for number in 0..<500 { registry.add(.gatewayFallbacks, 1, [.route: "route-\(number)"]) }
        registry.add(.gatewayFallbacks, 1, [.route: "route-3"])
        let lines = registry.text().split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(lines.count == Metric.Label.route.valueLimit + 1)
        #expect(lines.contains("trimtab_gateway_fallbacks_total{route=\"other\"} 400"))
        #expect(lines.contains("trimtab_gateway_fallbacks_total{route=\"route-3\"} 2"))
    }

    @Test func theProcessIsMeasured() throws {
        let registry = MetricRegistry()
        registry.collect(ProcessMetrics.collector(version: "1.2.3"))
        let text = registry.text()
        #expect(text.contains("trimtab_process_build_info{version=\"1.2.3\"} 1\n"))
        #expect(text.contains("trimtab_process_resident_memory_bytes "))
        #expect(ProcessMetrics.residentKilobytes("Name:\tx\nVmRSS:\t  1234 kB\n") == 1234)
        #expect(ProcessMetrics.processorTicks("7 (a) b) R 1 2 3 4 5 6 7 8 9 10 30 12 0 0") == 42)
        #expect(ProcessMetrics.processorTicks("garbage") == nil)
    }

    private func promtool(_ text: String) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/promtool")
        process.arguments = ["check", "metrics"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try input.fileHandleForWriting.close()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: said, as: UTF8.self))
    }
}

@Suite struct LogLines {
    private func lines(_ body: (Logger) -> Void) -> [String] {
        let sink = LineSink()
        var logger = Logger(label: "test") { label in
            JSONLogHandler(
                label: label, level: .debug, now: { Date(timeIntervalSince1970: 1.5) }, write: { sink.append($0) })
        }
        logger[metadataKey: "gateway"] = "gw-1"
        body(logger)
        return sink.all
    }

    @Test func areOneObjectEach() throws {
        let said = lines { $0.notice("Rollout step passed", metadata: ["rollout.step": "2", "note": "a\n\"b\"\u{1}"]) }
        #expect(
            said == [
                #"{"at":"1970-01-01T00:00:01.500Z","level":"notice","label":"test","message":"Rollout step passed","#
                    + #""gateway":"gw-1","note":"a\n\"b\"\u0001","rollout.step":"2"}"# + "\n"
            ])
        let parsed = try JSONSerialization.jsonObject(with: Data(said[0].utf8)) as? [String: String]
        #expect(parsed?["note"] == "a\n\"b\"\u{1}")
    }

    @Test(arguments: [
        ("token", "abc"), ("api_key", "abc"), ("http.authorization", "abc"), ("url", "postgres://u:hunter22@db/x"),
        ("header", "Bearer abcdefghijklmnopqrstuvwxyz"), ("key", "tt-abcdefghijklmnopqrstuvwxyz"),
        ("error", "key=\"sk-abcdefghijklmnopqrstuvwxyz\""),
    ])
    func neverHoldSecrets(_ key: String, _ value: String) {
        let said = lines { $0.error("Failed", metadata: ["\(key)": "\(value)"]) }.joined()
        #expect(said.contains("[redacted]"))
        for secret in ["hunter22", "abcdefghijkl", "\"abc\""] { #expect(!said.contains(secret)) }
    }

    @Test func whatOnlySoundsSecretStays() {
        let said = lines { $0.info("Counted", metadata: ["tokens.input": "12", "key": "team-a", "mail": "a@b"]) }
        #expect(said.joined().contains(#""key":"team-a","mail":"a@b","tokens.input":"12""#))
    }
}

private final class LineSink: Sendable {
    private let lines = Mutex<[String]>([])
    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}
