import Policy
import Statistics
import ControlLoop
import Core
import Foundation
import Rollouts
import Simulation

/// What the demo says every few seconds, and once whenever a rollout changes.
struct StatusLines {
    let route: RouteName
    /// Milliseconds since the epoch; what rollouts went through before is the console's to tell.
    let since: Int64
    private var told: Set<String> = []
    private var total = 0

    init(route: RouteName, since: Int64) {
        self.route = route
        self.since = since
    }

    mutating func next(_ recent: ReplayStatistics, state: RouteState?, rollouts: [Rollout]) -> [String] {
        total += recent.completed + recent.failed
        var lines: [String] = []
        for rollout in rollouts.sorted(by: { $0.id < $1.id }) {
            for entry in rollout.timeline where entry.at >= since {
                guard told.insert("\(rollout.id) \(entry.at) \(entry.event)").inserted else { continue }
                lines.append(Self.sentence(entry, rollout))
            }
        }
        lines.append(status(recent, state))
        return lines
    }

    private func status(_ recent: ReplayStatistics, _ state: RouteState?) -> String {
        var parts = ["\(total) requests"]
        if let cost = recent.costPer1000 { parts.append("$\(Self.number(cost, 2)) per 1,000") }
        if let p95 = recent.p95Ms { parts.append("p95 \(Int(p95)) ms") }
        if let quality = recent.quality.mean { parts.append("quality \(Self.number(quality, 3))") }
        if let state {
            parts.append("policy \(state.pointer.stable) (\(state.stable?.targets.first?.modelKey ?? "?"))")
            if let rollout = state.rollout {
                let candidate = state.policies[rollout.candidate]?.targets.first?.modelKey ?? "?"
                parts.append(
                    "canary policy \(rollout.candidate) (\(candidate)) at \(Self.number(rollout.weight * 100, 0)) %")
            } else {
                parts.append("no rollout")
            }
        }
        if recent.failed > 0 { parts.append("\(recent.failed) failed") }
        return parts.joined(separator: " · ")
    }

    private static func sentence(_ entry: TimelineEntry, _ rollout: Rollout) -> String {
        let name = "Rollout of policy \(rollout.candidate)"
        return switch entry.event {
        case "step":
            "▸ \(name): \(number((Double(entry.detail) ?? 0) * 100, 0)) % of traffic. \(rollout.reason.prefix(160))"
        case "watch":
            "▸ \(name): \(number((Double(entry.detail) ?? 0) * 100, 0)) % of traffic, watched beside a small control."
        case "acknowledged": "▸ \(name): its end is served by \(entry.detail)."
        case "promoted": "✔ \(name): promoted to all traffic."
        case "rolled_back": "✖ \(name): rolled back, \(entry.detail)."
        default: "▸ \(name): \(entry.event) \(entry.detail)"
        }
    }

    static func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
}
