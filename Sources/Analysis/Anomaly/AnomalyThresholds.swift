import Foundation

extension Threshold {
    static let anomalyConfidence = Threshold(
        .anomaly, "confidence", 0.99, 0.9...0.999_999,
        "Probability that an anomaly that is told is one, over all series together.")
    static let leastChange = Threshold(
        .anomaly, "least_change", 0.25, 0.05...10,
        "Least change of latency, time to first token, cost, tokens or speed that is told, as a share of what was before."
    )
    static let criticalChange = Threshold(
        .anomaly, "critical_change", 1.8, 1.1...100,
        "Factor by which latency, time to first token or cost has risen, or speed has fallen, when it is critical.")
    static let leastErrors = Threshold(
        .anomaly, "least_errors", 0.01, 0.000_1...1, "Least change of the share of failed requests that is told.")
    static let criticalErrors = Threshold(
        .anomaly, "critical_errors", 0.1, 0.001...1, "Share of failed requests from which on a rise is critical.")
    static let rateChange = Threshold(
        .anomaly, "rate_change", 2, 1.1...100,
        "Factor by which the requests of a minute have become more or fewer when it is told.")
}

/// How much evidence is enough, when many series are looked at every minute.
struct AlarmLimit {
    /// Minutes over which a false alarm is to be as rare as said: an hour. That is a bound, and far from what happens.
    private static let horizon = 60.0
    /// Natural logarithm of the evidence that is enough for one series by itself.
    let single: Double
    let confidence: Double
    /// Watched over all routes.
    let series: Int

    init(confidence: Double, series: Int) {
        self.confidence = confidence
        self.series = max(1, series)
        single = log(Self.horizon / (1 - confidence)) + log(Double(max(1, series)))
    }

    /// With several anomalies at a time each needs less: of all series that are told, the share that is wrong is what is
    /// bounded (e-BH: Wang and Ramdas, "False discovery rate control with e-values", 2022). Only the series given count
    /// as told, which is never too few.
    func joint(_ evidence: [Double]) -> Double {
        var told = 0
        for (index, one) in evidence.sorted(by: >).enumerated() where one >= single - log(Double(index + 1)) {
            told = index + 1
        }
        return single - log(Double(max(1, told)))
    }

    /// Probability that what has so much evidence is no false alarm.
    func confidence(_ evidence: Double) -> Double {
        1 - (1 - confidence) * exp(min(0, single - evidence))
    }
}
