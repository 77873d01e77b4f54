import Statistics

/// Candidate minus control, stratified by step: pooling over steps would mistake the day's drift for an effect.
package struct Difference: Sendable, Equatable {
    package var estimate: Double
    package var standardError: Double

    /// One-sided 95 % bounds.
    package var lower: Double { estimate - 1.645 * standardError }
    package var upper: Double { estimate + 1.645 * standardError }
    package var probabilityBelowZero: Double {
        standardError > 0 ? normalCDF(-estimate / standardError) : (estimate < 0 ? 1 : 0)
    }

    /// The inverse-variance weighted mean of per-step differences; `nil` without one.
    static func combine(_ parts: [Difference]) -> Difference? {
        let usable = parts.filter { $0.standardError > 0 }
        let total = usable.reduce(0) { $0 + 1 / ($1.standardError * $1.standardError) }
        guard total > 0 else { return parts.last }
        let mean = usable.reduce(0) { $0 + $1.estimate / ($1.standardError * $1.standardError) } / total
        return Difference(estimate: mean, standardError: (1 / total).squareRoot())
    }
}

extension RolloutEvidence {
    /// Answers each arm of a step needs before its mean counts: below, its variance is hardly known.
    private static let minimumPerArm: Int64 = 20

    private func stratified(_ moments: (ArmEvidence) -> Moments) -> Difference? {
        Difference.combine(
            steps.compactMap { step in
                let (control, candidate) = (moments(step.control), moments(step.candidate))
                guard control.n >= Self.minimumPerArm, candidate.n >= Self.minimumPerArm,
                    let a = control.mean, let b = candidate.mean,
                    let sa = control.standardError, let sb = candidate.standardError
                else { return nil }
                return Difference(estimate: b - a, standardError: (sa * sa + sb * sb).squareRoot())
            })
    }

    /// Points of mean quality, 0...1; `nil` without enough answers in both arms.
    package var qualityDifference: Difference? { stratified(\.quality) }
    /// Nano-dollars a request; `nil` without enough known costs in both arms.
    package var costDifference: Difference? { stratified(\.cost) }

    /// Points of failure rate, with a pseudo-count in each arm so that no failures yet is not certainty.
    package var failureDifference: Difference {
        let parts = steps.compactMap { step -> Difference? in
            guard step.control.requests > 0, step.candidate.requests > 0 else { return nil }
            func rate(_ arm: ArmEvidence) -> (Double, Double) {
                let n = Double(arm.requests) + 2
                let p = (Double(arm.failures) + 1) / n
                return (p, p * (1 - p) / n)
            }
            let (control, candidate) = (rate(step.control), rate(step.candidate))
            let raw =
                Double(step.candidate.failures) / Double(step.candidate.requests)
                - Double(step.control.failures) / Double(step.control.requests)
            return Difference(estimate: raw, standardError: (control.1 + candidate.1).squareRoot())
        }
        return Difference.combine(parts) ?? Difference(estimate: 0, standardError: 1)
    }
}
