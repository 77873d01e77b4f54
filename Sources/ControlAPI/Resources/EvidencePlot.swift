import ControlLoop
import Core
import Foundation
import Policy
import Rollouts
import StreamProcessing

/// A rollout's evidence over time as a picture: for each guardrail how far its e-value is on its way to the limit, on the
/// logarithmic scale, with the steps and the end.
struct EvidencePlot {
    private static let size = (width: 780.0, height: 380.0)
    private static let plot = (left: 56.0, right: 570.0, top: 44.0, bottom: 330.0)
    /// Shares of the way to the limit that are drawn; what is lower lies on the lower edge.
    private static let range = -0.25...1.1
    /// Only guardrails that came so far have a line and a name of their own.
    private static let notable = 0.2
    private static let colours = ["#d1495b", "#2e86ab", "#c98a00", "#3c8d53", "#7b5ea7", "#b3541e", "#00798c"]

    let rollout: Rollout
    let points: [EvidenceHistory.Point]

    init(_ rollout: Rollout, _ history: EvidenceHistory) {
        self.rollout = rollout
        points = history.points
    }

    var svg: String {
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.size.width)) \(Int(Self.size.height))" \
            role="img" aria-label="\(title)">
            <style>
            text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-size: 14px; font-weight: 600 }
            .axis { stroke: #999; fill: none } .step { stroke: #bbb; stroke-dasharray: 3 4 } .limit { stroke: #b00020 }
            .line { fill: none; stroke-width: 2 } .other { fill: none; stroke: #bbb } .soft { fill: #777 }
            @media (prefers-color-scheme: dark) { text { fill: #ddd } .soft { fill: #999 } .step { stroke: #555 } }
            </style>
            <text class="title" x="\(Self.plot.left)" y="22">\(title)</text>

            """
        guard let first = points.first, let last = points.last else {
            return svg + "<text x=\"\(Self.plot.left)\" y=\"80\">No stored evidence.</text>\n</svg>\n"
        }
        let span = first.at...max(last.at, first.at + 1)
        svg += axes(span) + steps(span)
        let guardrails = last.findings.map(\.guardrail)
        let reached = guardrails.map { guardrail in (guardrail, points.map { share($0, guardrail) }.max() ?? 0) }
        for (guardrail, most) in reached where most < Self.notable {
            svg += "<path class=\"other\" d=\"\(path(guardrail, span))\"/>\n"
        }
        let notable = reached.filter { $0.1 >= Self.notable }.map(\.0)
        for (index, guardrail) in notable.enumerated() {
            let colour = Self.colours[index % Self.colours.count]
            svg += "<path class=\"line\" stroke=\"\(colour)\" d=\"\(path(guardrail, span))\"/>\n"
        }
        return svg + names(notable) + "</svg>\n"
    }

    private var title: String {
        "\(rollout.route), policy \(rollout.candidate) against \(rollout.stable): evidence that it is worse"
    }

    /// Limit, half way and none, with the times below.
    private func axes(_ span: ClosedRange<Int64>) -> String {
        let (left, right, bottom) = (Self.plot.left, Self.plot.right, Self.plot.bottom)
        var svg = "<path class=\"axis\" d=\"M\(left) \(Self.plot.top)V\(bottom)H\(right)\"/>\n"
        for (share, name) in [(1.0, "limit"), (0.5, "½"), (0, "none")] {
            let y = number(y(share))
            svg += "<text x=\"\(left - 8)\" y=\"\(y)\" dy=\"4\" text-anchor=\"end\">\(name)</text>\n"
            let line = share == 1 ? "limit" : "step"
            svg += "<path class=\"\(line)\" d=\"M\(left) \(y)H\(right)\"/>\n"
        }
        for (at, anchor) in [(span.lowerBound, "start"), (span.upperBound, "end")] {
            let x = number(x(at, span))
            svg += "<text x=\"\(x)\" y=\"\(bottom + 20)\" text-anchor=\"\(anchor)\">\(Self.clock(at))</text>\n"
        }
        let requests = points.last?.candidateRequests ?? 0
        return svg
            + "<text class=\"soft\" x=\"\(left)\" y=\"\(bottom + 40)\">\(requests) requests of the candidate; "
            + "\(Self.escaped(rollout.phase.explanation))</text>\n"
    }

    private func steps(_ span: ClosedRange<Int64>) -> String {
        var svg = ""
        for entry in rollout.timeline where ["step", "watch"].contains(entry.event) {
            guard let weight = Double(entry.detail) else { continue }
            let x = number(x(min(max(entry.at, span.lowerBound), span.upperBound), span))
            svg += "<path class=\"step\" d=\"M\(x) \(Self.plot.top)V\(Self.plot.bottom)\"/>\n"
            svg += "<text class=\"soft\" x=\"\(x)\" y=\"\(Self.plot.top - 4)\">\(number(weight * 100)) %</text>\n"
        }
        return svg
    }

    private func names(_ guardrails: [Guardrail]) -> String {
        var svg = ""
        for (index, guardrail) in guardrails.enumerated() {
            let (x, y) = (Self.plot.right + 14, Self.plot.top + 10 + 34 * Double(index))
            guard let found = points.last?.findings.first(where: { $0.guardrail == guardrail }) else { continue }
            svg += "<path stroke=\"\(Self.colours[index % Self.colours.count])\" stroke-width=\"3\" "
            svg += "d=\"M\(number(x)) \(number(y - 4))h12\"/>\n"
            svg += "<text x=\"\(number(x + 18))\" y=\"\(number(y))\">\(guardrail.rawValue)</text>\n"
            svg +=
                "<text class=\"soft\" x=\"\(number(x + 18))\" y=\"\(number(y + 14))\">e = \(Self.power(found.logE)), "
            svg += "limit \(Self.power(found.logLimit))</text>\n"
        }
        return svg
    }

    private func path(_ guardrail: Guardrail, _ span: ClosedRange<Int64>) -> String {
        points.enumerated().map { index, point in
            "\(index == 0 ? "M" : "L")\(number(x(point.at, span))) \(number(y(share(point, guardrail))))"
        }.joined()
    }

    /// How far a guardrail is on its way to the limit.
    private func share(_ point: EvidenceHistory.Point, _ guardrail: Guardrail) -> Double {
        guard let found = point.findings.first(where: { $0.guardrail == guardrail }), found.logLimit > 0 else {
            return 0
        }
        return found.logE / found.logLimit
    }

    private func x(_ at: Int64, _ span: ClosedRange<Int64>) -> Double {
        let part = Double(at - span.lowerBound) / Double(span.upperBound - span.lowerBound)
        return Self.plot.left + part * (Self.plot.right - Self.plot.left)
    }

    private func y(_ share: Double) -> Double {
        let kept = min(max(share, Self.range.lowerBound), Self.range.upperBound)
        let part = (kept - Self.range.lowerBound) / (Self.range.upperBound - Self.range.lowerBound)
        return Self.plot.bottom - part * (Self.plot.bottom - Self.plot.top)
    }

    /// At most one digit after the point.
    private func number(_ value: Double) -> String {
        let rounded = (value * 10).rounded() / 10
        return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
    }

    /// People's names may hold anything.
    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }

    private static func power(_ log: Double) -> String {
        log < 7 ? String(format: "%.1f", exp(log)) : String(format: "10^%.1f", log / 2.302_585_092_994)
    }

    private static func clock(_ at: Int64) -> String {
        let seconds = at / 1000 % 86_400
        return String(format: "%02d:%02d:%02d UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Whether a rollout's stored trials give its verdict once more.
struct RolloutReplay: Encodable {
    let rollout: UUIDv7
    let matches: Bool
    let differences: [String]
    let candidateRequests: Int64

    enum CodingKeys: String, CodingKey {
        case rollout, matches, differences
        case candidateRequests = "candidate_requests"
    }

    init(_ rollout: Rollout, _ history: EvidenceHistory) {
        self.rollout = rollout.id
        candidateRequests = history.evidence.totals.candidate.requests
        var found: [String] = []
        if candidateRequests != rollout.evidence.totals.candidate.requests {
            found.append(
                "candidate requests: \(candidateRequests) are stored, \(rollout.evidence.totals.candidate.requests) were "
                    + "judged; trials are kept for `state.retention_days`")
        }
        let (then, now) = (rollout.evidence.shownHarm(under: rollout.plan.goal), history.harm)
        if then != now { found.append("harm: \(now?.detail ?? "none") now, \(then?.detail ?? "none") then") }
        for (new, old) in zip(history.evidence.findings, rollout.evidence.findings)
        where abs(new.logE - old.logE) > 1e-6 * max(1, abs(old.logE)) {
            found.append("\(new.guardrail.rawValue): log e is \(new.logE) now, \(old.logE) then")
        }
        differences = found
        matches = found.isEmpty
    }
}

extension ControlAPI {
    static let evidenceEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/rollouts/{id}/evidence", .viewer, "What each arm showed, and each guardrail's evidence."
        ) { api, call in Answer.resource(EvidenceView(try await api.rollout(call)), for: call) },
        Endpoint(
            "GET", "/api/v1/rollouts/{id}/evidence.svg", .viewer, "The evidence over time, as a picture."
        ) { api, call in
            let rollout = try await api.rollout(call)
            let plot = EvidencePlot(rollout, try await api.history(of: rollout))
            return Answer.tagged(Array(plot.svg.utf8), type: "image/svg+xml; charset=utf-8", for: call)
        },
        Endpoint(
            "GET", "/api/v1/rollouts/{id}/replay", .viewer, "Judges the stored trials once more, and compares."
        ) { api, call in
            let rollout = try await api.rollout(call)
            return Answer.json(RolloutReplay(rollout, try await api.history(of: rollout)))
        },
    ]

    /// From the stored trials, a part at a time.
    private func history(of rollout: Rollout) async throws -> EvidenceHistory {
        var history = EvidenceHistory(of: rollout)
        var cursor: [Int: Int64] = [:]
        while true {
            let panes = try await store.evidence(of: rollout.id, after: cursor)
            guard !panes.isEmpty else { return history }
            history.fold(panes)
            for pane in panes { cursor[pane.partition] = max(pane.number, cursor[pane.partition] ?? -1) }
        }
    }
}
