import Core

/// One thing wrong with a document, and where (an RFC 6901 pointer).
package struct Violation: Codable, Sendable, Equatable, Error, CustomStringConvertible {
    package let pointer: String
    package let detail: String
    package init(_ pointer: String, _ detail: String) {
        self.pointer = pointer
        self.detail = detail
    }
    package var description: String { "\(pointer): \(detail)" }
}

extension Route {
    package func violations() -> [Violation] {
        var found: [Violation] = []
        func range(_ pointer: String, _ value: Double?, _ allowed: ClosedRange<Double>) {
            guard let value, !allowed.contains(value) else { return }
            found.append(.init(pointer, "\(value) is outside \(allowed.lowerBound)...\(allowed.upperBound)."))
        }
        range("/bad_below", badBelow, 0...1)
        // Feedback is counted in bins of a hundredth.
        if (0...1).contains(badBelow), abs(badBelow * 100 - (badBelow * 100).rounded()) > 1e-9 {
            found.append(.init("/bad_below", "\(badBelow) is not a whole number of hundredths."))
        }
        range("/holdout", holdout, 0...0.5)
        range("/exploration/share", exploration.share, 0...0.5)
        range("/objective/quality/floor", objective.quality.floor, 0...1)
        range("/objective/quality/tolerance", objective.quality.tolerance, 0...1)
        range("/objective/latency/p95_ms", objective.latency.p95Ms, 1...3_600_000)
        range("/objective/latency/ttft_p95_ms", objective.latency.ttftP95Ms, 1...3_600_000)
        range("/objective/cost/budget_day_usd", objective.cost.budgetDayUSD, 0...1e9)
        range("/guardrails/alpha", guardrails.alpha, 1e-6...0.2)
        for guardrail in Guardrail.allCases {
            range("/guardrails/\(guardrail.rawValue)", guardrails[guardrail], 0...1)
        }
        if guardrails.weights.values.allSatisfy({ $0 == 0 }) {
            found.append(.init("/guardrails", "All guardrails are off. Give at least one a weight above 0."))
        }
        if objective.quality.floor != nil, objective.quality.tolerance != nil {
            found.append(.init("/objective/quality", "Give either 'floor' or 'tolerance', not both."))
        }
        return found
    }
}

extension RoutingPolicy {
    /// - Parameters:
    ///   - known: whether the configuration has this provider.
    ///   - models: what a provider lists; nothing allows any model.
    package func violations(
        provider known: (String) -> Bool, models: (_ provider: String) -> [String] = { _ in [] }
    ) -> [Violation] {
        var found: [Violation] = []
        if targets.isEmpty { found.append(.init("/targets", "A policy needs at least one target.")) }
        if targets.count > 32 {
            found.append(.init("/targets", "A policy has at most 32 targets, not \(targets.count)."))
        }
        var seen: Set<String> = []
        for (index, target) in targets.enumerated() {
            if target.id.isEmpty { found.append(.init("/targets/\(index)/id", "A target's id is not empty.")) }
            if !seen.insert(target.id).inserted {
                found.append(
                    .init("/targets/\(index)/id", "'\(target.id)' is used twice. Give every target its own id."))
            }
            if target.model.isEmpty || target.model.utf8.count > 256 {
                found.append(.init("/targets/\(index)/model", "A model's name has 1 to 256 bytes."))
            }
            if !known(target.provider) {
                found.append(
                    .init(
                        "/targets/\(index)/provider",
                        "No provider '\(target.provider)' is configured. Add it under 'providers', or use one that is.")
                )
            }
            let listed = models(target.provider)
            if !listed.isEmpty, !listed.contains(target.model) {
                found.append(
                    .init(
                        "/targets/\(index)/model",
                        "The provider '\(target.provider)' lists no model '\(target.model)'. "
                            + "It lists \(listed.prefix(20).joined(separator: ", ")).")
                )
            }
        }
        if case .weighted(let weights) = selector {
            for (id, weight) in weights.sorted(by: { $0.key < $1.key }) {
                if !seen.contains(id) {
                    found.append(.init("/selector/weights/\(id)", "No target has the id '\(id)'."))
                }
                if !(weight.isFinite && weight >= 0) {
                    found.append(.init("/selector/weights/\(id)", "A weight is 0 or more, not \(weight)."))
                }
            }
            if !(weights.values.reduce(0, +) > 0) {
                found.append(
                    .init(
                        "/selector/weights", "The weights add up to nothing. Give at least one target a weight above 0."
                    ))
            }
        }
        for (index, id) in fallbacks.enumerated() where !seen.contains(id) {
            found.append(.init("/fallbacks/\(index)", "No target has the id '\(id)'."))
        }
        for (name, value) in [
            ("connect_ms", timeouts.connectMs), ("first_byte_ms", timeouts.firstByteMs), ("idle_ms", timeouts.idleMs),
            ("total_ms", timeouts.totalMs),
        ] where !(1...3_600_000).contains(value) {
            found.append(.init("/timeouts/\(name)", "\(value) is outside 1...3600000 milliseconds."))
        }
        return found
    }
}
