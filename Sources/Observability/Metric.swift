/// Every metric there is. A name is never written anywhere else, so code, scrape and documentation cannot disagree.
package enum Metric: String, CaseIterable, Sendable {
    // MARK: Gateway
    case gatewayRequests = "trimtab_gateway_requests_total"
    case gatewayDuration = "trimtab_gateway_request_duration_seconds"
    case gatewayFirstToken = "trimtab_gateway_first_token_seconds"
    case gatewayOverhead = "trimtab_gateway_overhead_seconds"
    case gatewayInFlight = "trimtab_gateway_in_flight_requests"
    case gatewayConnections = "trimtab_gateway_open_connections"
    case gatewayUpstreamErrors = "trimtab_gateway_upstream_errors_total"
    case gatewayFallbacks = "trimtab_gateway_fallbacks_total"
    case gatewayMirrorsDropped = "trimtab_gateway_mirrors_dropped_total"
    case gatewayTableEpoch = "trimtab_gateway_routing_table_epoch"
    case gatewayTableAge = "trimtab_gateway_routing_table_age_seconds"

    // MARK: Judge
    case judgeVerdicts = "trimtab_judge_verdicts_total"
    case judgeChecks = "trimtab_judge_checks_total"
    case judgeSkipped = "trimtab_judge_skipped_pairs_total"
    case judgeLength = "trimtab_judge_preferred_length_total"
    case judgePreferred = "trimtab_judge_preferred_side_total"
    case judgeCopyBetter = "trimtab_judge_copy_better_ratio"
    case judgeSpend = "trimtab_judge_spend_usd_total"
    case judgeSuspended = "trimtab_judge_suspended_state"

    // MARK: Probes
    case probePrompts = "trimtab_probe_prompts_total"
    case probeSpend = "trimtab_probe_spend_usd_total"

    // MARK: Event log
    case logAppended = "trimtab_log_appended_records_total"
    case logDropped = "trimtab_log_dropped_records_total"
    case logShipped = "trimtab_log_shipped_records_total"
    case logSize = "trimtab_log_size_bytes"
    case logLag = "trimtab_log_lag_records"

    // MARK: Collectors
    case collectorSpans = "trimtab_collector_spans_total"
    case collectorRejected = "trimtab_collector_rejected_spans_total"
    case collectorExports = "trimtab_collector_exports_total"
    case collectorBreaker = "trimtab_collector_breaker_state"
    case collectorLag = "trimtab_collector_lag_records"
    case collectorLostDeadLetters = "trimtab_collector_lost_dead_letters_total"

    // MARK: Stream
    case streamRecords = "trimtab_stream_records_total"
    case streamDuplicates = "trimtab_stream_duplicate_records_total"
    case streamLost = "trimtab_stream_lost_records_total"
    case streamLate = "trimtab_stream_late_records_total"
    case streamPaused = "trimtab_stream_paused_partitions"
    case streamDeadLetters = "trimtab_stream_dead_letters_total"
    case streamWatermarkLag = "trimtab_stream_watermark_lag_seconds"
    case streamOpenWindows = "trimtab_stream_open_windows"
    case streamCheckpoints = "trimtab_stream_checkpoints_total"
    case streamCheckpointDuration = "trimtab_stream_checkpoint_duration_seconds"

    // MARK: Control loop
    case controlLeader = "trimtab_control_leader_state"
    case controlStepDuration = "trimtab_control_step_duration_seconds"
    case controlStepFailures = "trimtab_control_step_failures_total"
    case decisions = "trimtab_control_decisions_total"
    case rolloutsEnded = "trimtab_control_rollouts_ended_total"
    case rollbackDuration = "trimtab_control_rollback_duration_seconds"
    case rolloutWeight = "trimtab_control_rollout_weight_ratio"

    // MARK: Analysis
    case findingsOpen = "trimtab_analysis_open_findings"
    case findingsOpened = "trimtab_analysis_findings_total"
    case analysisLag = "trimtab_analysis_lag_seconds"
    case analysisDuration = "trimtab_analysis_duration_seconds"
    case analysisFailures = "trimtab_analysis_failures_total"

    // MARK: Webhooks
    case webhookDeliveries = "trimtab_webhook_deliveries_total"
    case webhookPendingAge = "trimtab_webhook_pending_age_seconds"

    // MARK: Control API
    case apiRequests = "trimtab_api_requests_total"
    case apiDuration = "trimtab_api_request_duration_seconds"
    case apiEventStreams = "trimtab_api_open_event_streams"

    // MARK: PostgreSQL

    // MARK: Process
    case build = "trimtab_process_build_info"
    case processStart = "trimtab_process_start_time_seconds"
    case processMemory = "trimtab_process_resident_memory_bytes"
    case processCPU = "trimtab_process_cpu_seconds_total"
    case processFiles = "trimtab_process_open_files"

    package enum Kind: String, Sendable { case counter, gauge, histogram }

    /// A label's name. Values come from closed lists wherever there is one, and are bounded everywhere.
    package enum Label: String, Sendable, CaseIterable {
        case analyzer, arm, code, kind, method, outcome, partition, provider, reason, result, route, severity, status,
            version
        /// A configured webhook's name.
        case webhook
        /// A declared window's name.
        case window

        /// Values past so many become `other`.
        package var valueLimit: Int {
            switch self {
            case .partition: 256
            case .route: 100
            default: 40
            }
        }
    }

    package struct Definition: Sendable {
        package let kind: Kind
        package let unit: String
        package let labels: [Label]
        package let help: String
        /// Upper bounds of a histogram's buckets, rising, without the last one (+Inf).
        package var bounds: [Double] = []
    }
}
