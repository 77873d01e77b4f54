import Foundation
import PostgresClient
import TestSupport
import Testing

/// The official OpenTelemetry Python SDK, from PyPI, exports to a running `trimtab serve`.
@Suite(.serialized) struct CollectorTests {
    private static let version = "1.38.0"
    private static let port = 18_480

    /// A virtual environment with the SDK; `nil` where it cannot be had.
    private static let python = PythonEnvironment.interpreter(
        "opentelemetry-\(version)",
        packages: ["opentelemetry-sdk==\(version)", "opentelemetry-exporter-otlp-proto-http==\(version)"],
        check: "import opentelemetry.exporter.otlp.proto.http.trace_exporter")

    @Test(
        .enabled(if: python != nil, "the OpenTelemetry SDK cannot be installed here"),
        .enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(3)))
    func spansOfThePythonSDKAreCounted() async throws {
        let folder = try ServiceProcess.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let url = try await TestPostgres.database()
        let settings = """
            secret: a secret of the tests that has 32 bytes
            gateway: {id: collector, drain_s: 1}
            collector: {otlp_http: {enabled: true, bind: "127.0.0.1:\(Self.port + 90)"}}
            prices: {openai/gpt-4o-mini: {input_usd_per_mtok: 0.15, output_usd_per_mtok: 0.6}}
            stream: {window_s: 1, bound_s: 0.5, idle_s: 1, checkpoint_s: 0.2}
            state: {postgres: {url: "\(url)"}}
            observability: {log_level: error}
            """
        let service = try await ServiceProcess.serving(settings, folder: folder, port: Self.port)
        defer { service.kill() }
        try await service.ready()
        let token = try #require(service.secret("admin.token"))
        let made = try await Shell.run(
            "/usr/bin/env",
            [
                "TRIMTAB_URL=http://127.0.0.1:\(Self.port + 50)", "TRIMTAB_TOKEN=\(token)", ServiceProcess.program,
                "keys", "create", "exporter", "--output", "json",
            ])
        let answer = try JSONSerialization.jsonObject(with: Data(made.utf8)) as? [String: Any]
        let key = try #require(answer?["secret"] as? String)

        // The key reaches the collector with the next look at the store.
        let endpoint = "http://127.0.0.1:\(Self.port + 90)/v1/traces"
        _ = try await Wait.upTo(seconds: 30) { () -> Void? in
            let status = try await Shell.run(
                "/usr/bin/curl",
                [
                    "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json", "-H",
                    "Authorization: Bearer \(key)", "-d", "{}", endpoint,
                ])
            return status == "200" ? () : nil
        }
        // The same spans twice, as an exporter sends them again that has not heard the first answer.
        let interpreter = try #require(Self.python)
        let said = try await Shell.run(interpreter, ["-c", Self.script, endpoint, key])
        #expect(said == "refused FAILURE\nfirst SUCCESS\ngzip SUCCESS\n")

        let counted = try await Wait.upTo(seconds: 60) { () -> String? in
            let text = try await Shell.sql(
                url,
                "SELECT sum(requests)::bigint, sum(failures)::bigint FROM window_results WHERE definition = 'requests' AND route = 'shop'"
            )
            return text.hasPrefix("40|") ? text : nil
        }
        #expect(counted == "40|4")
        // 512 × 0.15 + 187 × 0.60 dollars a million tokens, where the tokens and the price are known.
        let rows = try await Shell.sql(
            url,
            """
            SELECT model_key, virtual_key, outcome, cost_nano_usd, count(*) FROM requests
            WHERE route = 'shop' GROUP BY 1, 2, 3, 4 ORDER BY 1, 3
            """)
        #expect(
            rows == """
                anthropic/claude|exporter|complete||6
                openai/gpt-4o-mini|exporter|complete|189000|30
                openai/gpt-4o-mini|exporter|upstream_error||4
                """)
        #expect(try await Shell.sql(url, "SELECT count(*) FROM dead_letters") == "0")
        let metrics = try await Shell.run("/usr/bin/curl", ["-s", "http://127.0.0.1:\(Self.port + 50)/metrics"])
        #expect(metrics.contains(#"trimtab_collector_spans_total{kind="otlp_http",result="accepted"} 40"#))
        #expect(metrics.contains(#"trimtab_collector_spans_total{kind="otlp_http",result="ignored"} 80"#))
        #expect(metrics.contains(#"trimtab_collector_spans_total{kind="otlp_http",result="duplicate"} 40"#))
    }

    /// Forty calls of models, each below a span of an agent.
    private static let script = """
        import sys
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.trace import SpanKind, StatusCode
        endpoint, key = sys.argv[1:]
        memory = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
        provider.add_span_processor(SimpleSpanProcessor(memory))
        tracer = provider.get_tracer("test")
        for number in range(40):
            with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
                with tracer.start_as_current_span("chat gpt-4o-mini", kind=SpanKind.CLIENT) as span:
                    span.set_attribute("gen_ai.operation.name", "chat")
                    span.set_attribute("gen_ai.conversation.id", "c-%d" % (number % 7))
                    if number >= 34:
                        span.set_attribute("gen_ai.system", "anthropic")
                        span.set_attribute("gen_ai.request.model", "claude")
                        span.set_attribute("gen_ai.usage.input_tokens", 512)
                        span.set_attribute("gen_ai.usage.output_tokens", 187)
                        continue
                    span.set_attribute("gen_ai.provider.name", "openai")
                    span.set_attribute("gen_ai.request.model", "gpt-4o-mini")
                    if number >= 30:
                        span.set_attribute("error.type", "RateLimitError")
                        span.set_status(StatusCode.ERROR, "too many")
                        continue
                    span.set_attribute("gen_ai.usage.input_tokens", 512)
                    span.set_attribute("gen_ai.usage.output_tokens", 187)
                    span.set_attribute("gen_ai.response.finish_reasons", ["stop"])
                    span.add_event("gen_ai.choice", {"index": 0})
        spans = memory.get_finished_spans()
        def export(name, key, **more):
            exporter = OTLPSpanExporter(endpoint=endpoint, headers={"authorization": "Bearer " + key}, **more)
            print(name, exporter.export(spans).name)
        export("refused", "tt-unknown")
        export("first", key)
        export("gzip", key, compression=Compression.Gzip)
        """
}
