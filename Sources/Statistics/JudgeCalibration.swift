/// How far a judge between two sides can be believed: how often it names the side that is known to be better.
///
/// What such a judge says of unknown cases is drawn towards one half by its errors, so a share it has measured is corrected
/// (Rogan and Gladen, 1978), with an interval that carries the doubt about the share and that about the judge (Lang and
/// Reiczigel, 2014).
package struct JudgeCalibration: Sendable, Equatable {
    /// Of cases where the candidate's side is better: those where the judge says so.
    package let sensitivity: Proportion
    /// Of cases where the other side is better: those where the judge says so.
    package let specificity: Proportion

    package init(sensitivity: Proportion, specificity: Proportion) {
        self.sensitivity = sensitivity
        self.specificity = specificity
    }

    /// A judge that cannot tell the sides apart but by what they say errs as often for one as for the other.
    package init(accuracy: Proportion) { self.init(sensitivity: accuracy, specificity: accuracy) }

    /// The share of cases in which the candidate's side is better.
    package struct Corrected: Sendable, Equatable {
        /// 0...1.
        package let share: Double
        /// Within 0...1.
        package let interval: ClosedRange<Double>
    }

    /// - Parameter measured: cases in which the judge preferred the candidate's side, of those it has decided.
    /// - Returns: `nil` without cases or without a calibration, and for a judge no better than chance (sensitivity and
    ///   specificity of 1 or less together), whose words say nothing.
    package func corrected(_ measured: Proportion, confidence: Double = 0.95) -> Corrected? {
        guard let share = measured.rate, let hits = sensitivity.rate, let refusals = specificity.rate,
            hits + refusals > 1
        else { return nil }
        let estimate = min(1, max(0, (share + refusals - 1) / (hits + refusals - 1)))
        guard let interval = interval(measured, z: normalQuantile((1 + confidence) / 2)) else { return nil }
        return Corrected(
            share: estimate,
            interval: min(estimate, interval.lowerBound)...max(estimate, interval.upperBound))
    }

    /// Each proportion is drawn a little towards one half first, so that none of 0 or 1 seems to be sure.
    private func interval(_ measured: Proportion, z: Double) -> ClosedRange<Double>? {
        func drawn(_ seen: Proportion, by more: Double) -> (rate: Double, variance: Double) {
            let trials = Double(seen.trials) + more
            let rate = (Double(seen.events) + more / 2) / trials
            return (rate, rate * (1 - rate) / trials)
        }
        let said = drawn(measured, by: z * z)
        let hits = drawn(sensitivity, by: 2), refusals = drawn(specificity, by: 2)
        let telling = hits.rate + refusals.rate - 1
        // So few checks that they fit a judge that says nothing.
        guard telling > 0 else { return 0...1 }
        let share = (said.rate + refusals.rate - 1) / telling
        let variance =
            said.variance + share * share * hits.variance + (1 - share) * (1 - share) * refusals.variance
        let shift = 2 * z * z * (share * hits.variance - (1 - share) * refusals.variance)
        let half = z * variance.squareRoot() / telling
        func clipped(_ value: Double) -> Double { min(1, max(0, value)) }
        return clipped(share + shift - half)...clipped(share + shift + half)
    }
}
