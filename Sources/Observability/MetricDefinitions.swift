extension Metric {
    // Bounds span what each thing can be; a factor of about two between neighbours.
    private static let requestBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
    private static let overheadBounds = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05]
    private static let workBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
    private static let rollbackBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60]

    package var definition: Definition {
        func counter(_ unit: String, _ labels: [Label], _ help: String) -> Definition {
            Definition(kind: .counter, unit: unit, labels: labels, help: help)
        }
        func gauge(_ unit: String, _ labels: [Label], _ help: String) -> Definition {
            Definition(kind: .gauge, unit: unit, labels: labels, help: help)
        }
        func histogram(_ bounds: [Double], _ labels: [Label], _ help: String) -> Definition {
            Definition(kind: .histogram, unit: "seconds", labels: labels, help: help, bounds: bounds)
        }
        return switch self {
        case .gatewayRequests: counter("requests", [.route, .arm, .outcome], "Requests that ended.")
        case .gatewayDuration:
            histogram(Self.requestBounds, [.route], "Time from accepting a request to the last byte of its answer.")
        case .gatewayFirstToken:
            histogram(Self.requestBounds, [.route], "Time from accepting a request to the first byte of content.")
        case .gatewayOverhead:
            histogram(Self.overheadBounds, [], "The part of a request's time that is the gateway's own.")
        case .gatewayInFlight: gauge("requests", [], "Requests being served.")
        case .gatewayConnections: gauge("connections", [], "Open client connections.")
        case .gatewayUpstreamErrors:
            counter("errors", [.provider, .code], "Attempts that failed, by provider and error class.")
        case .gatewayFallbacks: counter("requests", [.route], "Requests that a fallback target answered.")
        case .gatewayMirrorsDropped:
            counter("copies", [], "Copies of requests for shadow rollouts that were not sent, for want of room.")
        case .gatewayTableEpoch: gauge("epoch", [], "Epoch of the routing table in force.")
        case .gatewayTableAge: gauge("seconds", [], "Time since the routing table was last confirmed.")
        case .judgeVerdicts:
            counter("pairs", [.version, .outcome], "Pairs of answers put to the judge, by what it said.")
        case .judgeChecks:
            counter("checks", [.version, .kind, .result], "Questions to the judge whose better answer was known.")
        case .judgeSkipped: counter("pairs", [.reason], "Sampled pairs of answers that were not judged.")
        case .judgeLength:
            counter("pairs", [.kind], "Preferred answers that were longer or shorter than the other one.")
        case .judgePreferred:
            counter("pairs", [.route, .kind], "Pairs in which the judge preferred the user's answer, or the copy's.")
        case .judgeCopyBetter:
            gauge(
                "share", [.route, .kind],
                "Share of decided pairs whose better answer is the copy's, corrected for the judge's errors in its checks: "
                    + "estimate, lower and upper bound (95 %).")
        case .judgeSpend: counter("usd", [], "US dollars spent on the judge, checks included.")
        case .judgeSuspended: gauge("state", [], "1 while the judge fails its checks and is not listened to.")
        case .probePrompts:
            counter("prompts", [.provider, .outcome], "Fixed prompts that were due, by what became of them.")
        case .probeSpend: counter("usd", [], "US dollars spent on fixed prompts; at most, where no usage came back.")
        case .logAppended: counter("records", [.kind], "Records appended to the local log.")
        case .logDropped: counter("records", [], "Records dropped because the local log was full or its disk failed.")
        case .logShipped: counter("records", [], "Records that Kafka acknowledged.")
        case .logSize: gauge("bytes", [], "Size of the local log on disk.")
        case .logLag: gauge("records", [.partition], "Records appended and not yet read by the stream.")
        case .collectorSpans:
            counter("spans", [.kind, .result], "Spans that came, by source: accepted, duplicate, ignored, rejected.")
        case .collectorRejected: counter("spans", [.reason], "Spans of model calls that could not be records.")
        case .collectorExports:
            counter("exports", [.kind, .result], "Exports that came, by source and what became of them.")
        case .collectorBreaker:
            gauge("state", [], "1 while exporters are kept away because the local log takes nothing.")
        case .collectorLag: gauge("records", [.partition], "Records of the collector's topic that were not read yet.")
        case .collectorLostDeadLetters:
            counter("records", [], "Payloads of the topic that were no exports and could not be kept as dead letters.")
        case .streamRecords: counter("records", [.kind], "Records folded into windows.")
        case .streamDuplicates: counter("records", [], "Records dropped because their number was seen before.")
        case .streamLost: counter("records", [], "Records that the log's bound took before they were read.")
        case .streamLate: counter("records", [.window], "Records too late for the windows of a definition.")
        case .streamPaused: gauge("partitions", [], "Partitions held back because they ran ahead of the others.")
        case .streamDeadLetters: counter("records", [.reason], "Records put aside as dead letters, late ones included.")
        case .streamWatermarkLag: gauge("seconds", [.partition], "How far a partition's watermark is behind the clock.")
        case .streamOpenWindows: gauge("windows", [], "Windows that have not fired.")
        case .streamCheckpoints: counter("checkpoints", [.result], "Checkpoints written, fenced off or failed.")
        case .streamCheckpointDuration: histogram(Self.workBounds, [], "Time to write one checkpoint.")
        case .controlLeader: gauge("state", [], "1 while this process leads the control loop.")
        case .controlStepDuration:
            histogram(Self.workBounds, [], "Time of one step of the control loop over one route.")
        case .controlStepFailures: counter("steps", [.route], "Steps of the control loop that failed.")
        case .decisions: counter("decisions", [.route, .code], "Decisions made, by reason code.")
        case .rolloutsEnded: counter("rollouts", [.route, .result], "Rollouts that ended, by how.")
        case .rollbackDuration:
            histogram(
                Self.rollbackBounds, [.route, .result],
                "Time from the end of a rollout without promotion until its candidate's weight was 0 on every gateway that "
                    + "said so.")
        case .rolloutWeight: gauge("ratio", [.route], "The candidate's share of traffic, 0 without a rollout.")
        case .findingsOpen: gauge("findings", [.route, .severity], "Findings that stand.")
        case .findingsOpened: counter("findings", [.route, .analyzer, .code], "Findings that opened.")
        case .analysisLag: gauge("seconds", [.route], "How far what is analyzed lies behind the clock.")
        case .analysisDuration: histogram(Self.workBounds, [], "Time to analyze what is new on all routes.")
        case .analysisFailures: counter("failures", [.route], "Times that a route could not be analyzed.")
        case .webhookDeliveries:
            counter(
                "events", [.webhook, .outcome],
                "Events sent to a webhook: delivered, failed (an attempt, made again) and skipped (given up).")
        case .webhookPendingAge:
            gauge("seconds", [.webhook], "Age of the oldest event that a webhook has not taken, 0 without one.")
        case .apiRequests: counter("requests", [.method, .status], "Control API requests, by class of status.")
        case .apiDuration: histogram(Self.workBounds, [.method], "Time to answer a control API request.")
        case .apiEventStreams: gauge("streams", [], "Open event streams.")
        case .build: gauge("info", [.version], "Always 1; the label says which build this is.")
        case .processStart: gauge("seconds", [], "When the process started, seconds since the epoch.")
        case .processMemory: gauge("bytes", [], "Resident memory.")
        case .processCPU: counter("seconds", [], "Processor time used, user and system.")
        case .processFiles: gauge("files", [], "Open file descriptors.")
        }
    }

    /// The reference table of all metrics, as Markdown.
    package static func documentation() -> String {
        var text = """
            # Metrics

            The control port serves these at `/metrics` in the Prometheus text format. Names and labels are part of the
            public interface. A label takes a bounded number of values; those past the bound are counted as `other`.

            | Name | Type | Unit | Labels | Meaning |
            |---|---|---|---|---|

            """
        for metric in allCases {
            let definition = metric.definition
            let labels = definition.labels.map { "`\($0.rawValue)`" }.joined(separator: " ")
            text += "| `\(metric.rawValue)` | \(definition.kind.rawValue) | \(definition.unit) | \(labels) "
            text += "| \(definition.help) |\n"
        }
        return text
    }
}
