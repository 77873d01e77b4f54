import Foundation
import Statistics
import StreamProcessing
import Telemetry

/// Which of a route's models are slower than the fastest of them on prompts of the same size.
///
/// Each hour gives one median latency for a model and size; their logarithms over the last days are compared within a
/// size, and the sizes' differences weighted by how well each is known. An hour is one value, because the answers of
/// one hour share its weather.
struct TargetComparison: Codable, Sendable, Equatable {
    /// Answers that an hour's median needs, and hours that a size needs.
    private static let fewestAnswers: Int64 = 20
    private static let fewestHours = 8.0
    /// What an hour leaves of those before it: half is gone after two days.
    private static let fading = exp2(-1.0 / 48)
    /// Standard errors that must lie between: 720 hourly looks a month at some pairs.
    private static let certainty = 4.5
    static let mostSizes = 8

    /// By model and size: logarithms of hourly medians, faded.
    private var models: [String: [String: Moment]] = [:]
    private var through: Int64?

    private struct Moment: Summable {
        var hours = 0.0
        /// Σ fade², for how many hours they are worth.
        var squaredHours = 0.0
        var sum = 0.0
        var squares = 0.0
        var answers = 0.0

        mutating func merge(_ other: Moment) {
            hours += other.hours
            squaredHours += other.squaredHours
            sum += other.sum
            squares += other.squares
            answers += other.answers
        }

        mutating func fade(by factor: Double) {
            hours *= factor
            squaredHours *= factor * factor
            sum *= factor
            squares *= factor
            answers *= factor
        }

        /// Mean and its squared standard error; `nil` of too few hours.
        var level: (mean: Double, error2: Double)? {
            guard squaredHours > 0 else { return nil }
            let worth = hours * hours / squaredHours, mean = sum / hours
            guard worth >= TargetComparison.fewestHours else { return nil }
            let variance = max(0, squares / hours - mean * mean) * worth / (worth - 1)
            return (mean, max(variance, 1e-6) / worth)
        }
    }

    /// Takes in the finished windows of `sizes`.
    mutating func observe(_ results: [MergedWindow], mostModels: Int) {
        for result in results where result.key.window == WindowDefinition.sizes {
            guard let size = result.key.others.first, !result.key.modelKey.isEmpty, result.key.arm != .shadow else {
                continue
            }
            let times = result.aggregate.latency
            guard times.count >= Self.fewestAnswers, let median = times.quantile(0.5), median > 0 else { continue }
            fade(to: result.window.end)
            let model = result.key.modelKey
            guard models[model] != nil || models.count < mostModels,
                models[model]?[size] != nil || (models[model]?.count ?? 0) < Self.mostSizes
            else { continue }
            let value = log(median)
            let hour = Moment(
                hours: 1, squaredHours: 1, sum: value, squares: value * value, answers: Double(times.count))
            models[model, default: [:]][size, default: Moment()].merge(hour)
        }
    }

    private mutating func fade(to end: Int64) {
        guard let before = through else { return through = end }
        guard end > before else { return }
        through = end
        let factor = pow(Self.fading, Double(end - before) / 3_600_000)
        for (model, sizes) in models {
            let kept = sizes.compactMapValues { moment -> Moment? in
                var moment = moment
                moment.fade(by: factor)
                return moment.hours > 0.05 ? moment : nil
            }
            models[model] = kept.isEmpty ? nil : kept
        }
    }

    func statements(_ minute: Window, _ context: PerformanceContext) -> [Observation] {
        guard models.count > 1 else { return [] }
        let names = models.keys.sorted()
        return names.compactMap { slow in
            let found = names.compactMap { $0 == slow ? nil : difference(of: slow, to: $0, context) }
            return found.max { $0.log.estimate < $1.log.estimate }.map { statement(slow, $0, minute, context) }
        }
    }

    private struct Difference {
        var other: String
        /// Logarithm of the ratio.
        var log: Interval
        var z: Double
        var bySize: [String: Double]
        var answers: Double
    }

    /// What `slow` is slower than `other` by; `nil` unless it is so, clearly, and at no size the other way round.
    private func difference(of slow: String, to other: String, _ context: PerformanceContext) -> Difference? {
        var weights = 0.0, weighted = 0.0, bySize: [String: Double] = [:], answers = 0.0
        for (size, moment) in models[slow] ?? [:] {
            guard let one = moment.level, let two = models[other]?[size]?.level else { continue }
            let weight = 1 / (one.error2 + two.error2)
            weights += weight
            weighted += weight * (one.mean - two.mean)
            bySize[size] = one.mean - two.mean
            answers += moment.answers
        }
        guard weights > 0, bySize.values.allSatisfy({ $0 > 0 }) else { return nil }
        let mean = weighted / weights, error = 1 / weights.squareRoot()
        let margin = log1p(context[.slowerTarget]), z = (mean - margin) / error
        guard z >= Self.certainty else { return nil }
        let half = normalQuantile(0.975) * error
        return Difference(
            other: other, log: Interval(estimate: mean, lower: mean - half, upper: mean + half), z: z, bySize: bySize,
            answers: answers)
    }

    private func statement(
        _ slow: String, _ found: Difference, _ minute: Window, _ context: PerformanceContext
    ) -> Observation {
        let ratio = Interval(
            estimate: exp(found.log.estimate), lower: exp(found.log.lower), upper: exp(found.log.upper))
        var evidence = ["answers": found.answers.rounded(), "sizes": Double(found.bySize.count)]
        for (size, difference) in found.bySize { evidence["ratio_at_\(size)"] = exp(difference) }
        return Observation(
            .performance, "performance.slower_target", .model(slow),
            "\(slow) takes \(ratio.estimate.fixed(1)) times as long as \(found.other) on prompts of the same size.",
            severity: .info, confidence: normalCDF(found.z), magnitude: ratio,
            window: Window(start: minute.end - 172_800_000, end: minute.end), evidence: evidence, objective: .latency,
            action: "Send more of the route's requests to \(found.other) where its quality and cost allow it.")
    }
}
