import Collectors
import Core
import Foundation
import Logging
import NIOCore
import Observability
import ServiceLifecycle
import StateStore
import StreamProcessing
import Telemetry

extension Assembly {
    /// What takes spans into the local log; it stops before the log does.
    func collectors(_ ingest: SpanIngest) -> [any Service] {
        metrics.collect { ingest.statistics.samples() }
        var services: [any Service] = []
        if settings.collector.http.enabled {
            services.append(CollectorService(ingest: ingest, assembly: self))
        }
        if let kafka = settings.collector.kafka {
            let store = DeadLetterStore(pool)
            services.append(
                KafkaCollector(ingest: ingest, settings: kafka, logger: logger, now: currentMilliseconds) { payloads in
                    try await store.insert(payloads.map(DeadLetterStore.Row.init))
                })
        }
        return services
    }
}

/// OTLP over HTTP.
struct CollectorService: Service {
    let ingest: SpanIngest
    let assembly: Assembly

    func run() async throws {
        let settings = assembly.settings.collector.http
        let logger = assembly.logger
        let application = CollectorServer.make(
            ingest: ingest, settings: settings, hasher: assembly.hasher, logger: logger
        ) { port in
            logger.notice("OTLP collector listens", metadata: ["port": "\(port)"])
        }
        do {
            try await application.run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw TrimtabError(
                "collector.bind",
                "The OTLP collector cannot listen on \(settings.host):\(settings.port): the port is taken.",
                remedy: "Free the port, or set collector.otlp_http.bind to another address.")
        }
    }
}

extension DeadLetterStore.Row {
    init(_ payload: UnreadablePayload) {
        self.init(
            topic: payload.topic, partition: payload.partition, offset: payload.offset, at: payload.at,
            reason: DeadLetter.Reason.malformedExport.rawValue, detail: payload.detail, raw: payload.raw)
    }
}

extension CollectorStatistics {
    /// For the registry, at each scrape: all series from the start, so that an increase from none is seen.
    func samples() -> [MetricSample] {
        var samples = [
            MetricSample(.collectorBreaker, isOpen ? 1 : 0),
            MetricSample(.collectorLostDeadLetters, Double(lostDeadLetters)),
        ]
        var accepted = 0
        for (source, counts) in spans {
            accepted += counts[.accepted] ?? 0
            for result in SpanResult.allCases {
                samples.append(
                    MetricSample(
                        .collectorSpans, Double(counts[result] ?? 0),
                        [.kind: source.rawValue, .result: result.rawValue]))
            }
        }
        samples.append(MetricSample(.logAppended, Double(accepted), [.kind: "request"]))
        for (reason, count) in rejections {
            samples.append(MetricSample(.collectorRejected, Double(count), [.reason: reason.rawValue]))
        }
        for (source, counts) in exports {
            for (result, count) in counts {
                samples.append(
                    MetricSample(
                        .collectorExports, Double(count), [.kind: source.rawValue, .result: result.rawValue]))
            }
        }
        for (partition, lag) in lag {
            samples.append(MetricSample(.collectorLag, Double(lag), [.partition: "\(partition)"]))
        }
        return samples
    }
}
