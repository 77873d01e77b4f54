package import Analysis
package import ControlLoop
import Core
import Decisions
import Rollouts
package import StreamProcessing

/// `stream`.
package struct StreamRoleSettings: Sendable {
    package var processing: StreamSettings
    /// Names the offsets and windows in the store.
    package var job: String
    package var checkpointMs: Int64

    init(_ reader: SettingsReader) throws {
        var processing = StreamSettings()
        processing.windowMs = try reader.seconds(
            "window_s", defaultMs: processing.windowMs, 1...86_400, "Length of a window.")
        processing.boundMs = try reader.seconds(
            "bound_s", defaultMs: processing.boundMs, 0...3_600, "How far out of order records may come.")
        processing.idleMs = try reader.seconds(
            "idle_s", defaultMs: processing.idleMs, 0.1...3_600,
            "A partition this long without records follows the clock.")
        processing.latenessMs = try reader.seconds(
            "lateness_s", defaultMs: processing.latenessMs, 0...604_800,
            "How long a window takes late records after it fired.")
        processing.futureLimitMs = try reader.seconds(
            "future_limit_s", defaultMs: processing.futureLimitMs, 1...86_400,
            "A record this far ahead of the clock is a dead letter.")
        processing.keepRequests = try reader.double(
            "keep_requests", default: processing.keepRequests, 0...1, "Share of plain requests kept row by row.")
        processing.mostKeys = try reader.int(
            "max_keys", default: processing.mostKeys, 1...10_000_000,
            "Keys that one window tells apart in a partition; those beyond it are counted together, as (other).")
        let align = try reader.seconds(
            "align_s", defaultMs: processing.alignMs ?? 0, 0...86_400,
            "A partition this far ahead of the others is paused; 0: never.")
        processing.alignMs = align > 0 ? align : nil
        processing.analyzerWindows = try reader.bool(
            "analyzer_windows", default: true,
            "Whether the windows spend, prompts and sizes are kept, which analyzers read.")
        let lateness = processing.latenessMs
        processing.windows = try reader.map("windows", template: "window") {
            try WindowSettings($0, name: $1, latenessMs: lateness).definition
        }
        if processing.windows.count > WindowDefinition.mostDefinitions {
            throw reader.wrong(
                "windows", "are more than \(WindowDefinition.mostDefinitions)", remedy: "Declare fewer windows.")
        }
        self.processing = processing
        job = try reader.string("job", default: "main", "Names offsets and windows in the store.")
        if job.hasPrefix(StreamJob.backfillPrefix) {
            throw reader.wrong(
                "job", "starts with \(StreamJob.backfillPrefix)", remedy: "Choose another name: backfills are named so."
            )
        }
        checkpointMs = try reader.seconds("checkpoint_s", defaultMs: 1_000, 0.05...60, "Between two checkpoints.")
        try reader.finish()
    }
}

/// `decisions`, `rollouts`, `analyzers`.
package struct ControlRoleSettings: Sendable {
    package var loop: ControlSettings
    package var tickMs: Int64
    package var decisionIntervalMs: Int64
    package var analyzers: AnalyzerSettings
    package var probes: ProbeSettings

    init(_ reader: SettingsReader) throws {
        loop = ControlSettings(engine: DecisionEngine.name)
        let decisions = try reader.section("decisions")
        decisionIntervalMs = try decisions.seconds(
            "interval_s", defaultMs: 60_000, 0.5...86_400, "Between two decisions of a route.")
        loop.decisions = try DecisionSettings(decisions)
        try decisions.finish()
        let rollouts = try reader.section("rollouts")
        tickMs = try rollouts.seconds("tick_s", defaultMs: 250, 0.05...60, "Between two looks at the evidence.")
        loop.leaseMs = try rollouts.seconds(
            "lease_s", defaultMs: loop.leaseMs, 1...86_400,
            "How long a gateway serves a candidate without hearing from the control plane.")
        loop.maxActive = try rollouts.int(
            "max_active", default: loop.maxActive, 1...1_000, "Rollouts that may run at once, over all routes.")
        loop.requireRehearsal = try rollouts.bool(
            "require_rehearsal", default: loop.requireRehearsal,
            "Whether autonomy auto acts only once `trimtab rehearse` has passed.")
        loop.retryCooldownMs = try rollouts.seconds(
            "retry_cooldown_s", defaultMs: loop.retryCooldownMs, 0...604_800,
            "Rest between a rollout's end and a new attempt at the same change.")
        loop.plan = try RolloutPlan(rollouts)
        try rollouts.finish()
        let analyzers = try reader.section("analyzers")
        self.analyzers = try AnalyzerSettings(analyzers)
        probes = try ProbeSettings(analyzers.section("probes"))
        try analyzers.finish()
    }
}
