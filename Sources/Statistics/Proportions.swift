import Foundation

/// `events` of `trials`, 0 ≤ events ≤ trials.
package struct Proportion: Sendable, Equatable {
    package let events: Int64
    package let trials: Int64

    /// Events beyond 0...trials are cut, so that no later arithmetic leaves its domain.
    package init(events: Int64, trials: Int64) {
        self.trials = max(0, trials)
        self.events = min(max(0, events), self.trials)
    }

    /// `nil` without a trial.
    package var rate: Double? { trials > 0 ? Double(events) / Double(trials) : nil }

    /// The score interval (Wilson, 1927); 0...1 without a trial.
    package func wilson(confidence: Double = 0.95) -> ClosedRange<Double> {
        guard let rate else { return 0...1 }
        let z = normalQuantile((1 + confidence) / 2), n = Double(trials)
        let centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)).squareRoot()
        return (events == 0 ? 0 : max(0, centre - half))...(events == trials ? 1 : min(1, centre + half))
    }

    /// The exact interval (Clopper and Pearson, 1934); 0...1 without a trial.
    package func clopperPearson(confidence: Double = 0.95) -> ClosedRange<Double> {
        let alpha = 1 - confidence, k = Double(events), n = Double(trials)
        let lower = events == 0 ? 0 : inverseRegularizedBeta(alpha / 2, k, n - k + 1)
        let upper = events == trials ? 1 : inverseRegularizedBeta(1 - alpha / 2, k + 1, n - k)
        return lower...max(lower, upper)
    }
}

/// Comparisons of a candidate's proportion with a control's; differences are candidate minus control.
package struct TwoProportions: Sendable, Equatable {
    package let candidate: Proportion
    package let control: Proportion

    package init(candidate: Proportion, control: Proportion) {
        self.candidate = candidate
        self.control = control
    }

    /// The interval of the difference of rates (Newcombe, 1998, method 10); `nil` without a trial on either side.
    package func newcombe(confidence: Double = 0.95) -> ClosedRange<Double>? {
        guard let p1 = candidate.rate, let p2 = control.rate else { return nil }
        let one = candidate.wilson(confidence: confidence), two = control.wilson(confidence: confidence)
        func root(_ a: Double, _ b: Double) -> Double { (a * a + b * b).squareRoot() }
        return
            (p1 - p2 - root(p1 - one.lowerBound, two.upperBound - p2))...(p1 - p2
            + root(one.upperBound - p1, p2 - two.lowerBound))
    }

    /// The pooled z statistic; 0 where nothing can differ.
    package var pooledZ: Double {
        guard let p1 = candidate.rate, let p2 = control.rate else { return 0 }
        let n = Double(candidate.trials), m = Double(control.trials)
        let pooled = Double(candidate.events + control.events) / (n + m)
        let error = (pooled * (1 - pooled) * (1 / n + 1 / m)).squareRoot()
        return error > 0 ? (p1 - p2) / error : 0
    }

    /// Fisher's exact p that the candidate's rate is higher.
    package var fisherGreater: Double {
        min(1, table.lazy.filter { $0.events >= candidate.events }.reduce(0) { $0 + $1.probability })
    }

    /// Fisher's exact two-sided p: all tables at most as likely as the one seen.
    package var fisherTwoSided: Double {
        let rows = table
        let seen = rows.first { $0.events == candidate.events }?.probability ?? 0
        return min(1, rows.reduce(0) { $1.probability <= seen * (1 + 1e-7) ? $0 + $1.probability : $0 })
    }

    /// P(at least as many events in the candidate), given all events, at equal Poisson rates.
    package var conditionalBinomialGreater: Double {
        guard candidate.events > 0 else { return 1 }
        let share = Double(candidate.trials) / Double(candidate.trials + control.trials)
        return regularizedBeta(share, Double(candidate.events), Double(control.events) + 1)
    }

    /// The hypergeometric probability of each possible number of events in the candidate, given all margins.
    private var table: [(events: Int64, probability: Double)] {
        let n = candidate.trials, m = control.trials, k = candidate.events + control.events
        func logChoose(_ n: Int64, _ k: Int64) -> Double {
            logGamma(Double(n) + 1) - logGamma(Double(k) + 1) - logGamma(Double(n - k) + 1)
        }
        let all = logChoose(n + m, k)
        return (max(0, k - m)...min(n, k)).map { ($0, exp(logChoose(n, $0) + logChoose(m, k - $0) - all)) }
    }
}

extension TwoProportions {
    /// The probability that the candidate's rate is higher, each rate with its own prior of Jeffreys, Beta(1/2, 1/2).
    ///
    /// The density of the narrower one times the other's distribution, summed over equal steps of the log odds, where
    /// both are smooth and fall off on either side, so that the sum converges faster than any power of the step.
    package var probabilityCandidateIsHigher: Double {
        func shape(_ seen: Proportion) -> (a: Double, b: Double) {
            (Double(seen.events) + 0.5, Double(seen.trials - seen.events) + 0.5)
        }
        func variance(_ of: (a: Double, b: Double)) -> Double { 1 / of.a + 1 / of.b }
        let one = shape(candidate), two = shape(control)
        let integratesCandidate = variance(one) <= variance(two)
        let (narrow, wide) = integratesCandidate ? (one, two) : (two, one)
        func logDensity(_ y: Double) -> Double { -narrow.a * log1p(exp(-y)) - narrow.b * log1p(exp(y)) }
        let middle = log(narrow.a / narrow.b), step = variance(narrow).squareRoot() / 8, peak = logDensity(middle)
        var total = 0.0, higher = 0.0
        for direction in [-1.0, 1] {
            var place = direction > 0 ? 0.0 : 1
            while true {
                let y = middle + direction * place * step, density = exp(logDensity(y) - peak)
                guard density > 1e-17 else { break }
                let x = 1 / (1 + exp(-y))
                total += density
                higher +=
                    density
                    * (integratesCandidate
                        ? regularizedBeta(x, wide.a, wide.b) : regularizedBeta(1 / (1 + exp(y)), wide.b, wide.a))
                place += 1
            }
        }
        return higher / total
    }
}
