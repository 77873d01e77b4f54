import Synchronization

/// Holds the process's counters, gauges and histograms, and asks collectors for the rest when it is scraped.
///
/// Parts with a hot path count in their own way and register a collector; the others call `add`, `set` and `observe`.
package final class MetricRegistry: Sendable {
    package typealias Labels = [Metric.Label: String]
    /// Called at each scrape, off the event loops; must not block.
    package typealias Collector = @Sendable () -> [MetricSample]

    private struct State {
        var families: [Metric: MetricFamily] = [:]
        var collectors: [Collector] = []
    }
    private let state = Mutex(State())

    package init() {}

    /// Raises a counter.
    package func add(_ metric: Metric, _ amount: Double = 1, _ labels: Labels = [:]) {
        fold(MetricSample(metric, amount, labels), replacing: false)
    }

    /// Sets a gauge.
    package func set(_ metric: Metric, _ value: Double, _ labels: Labels = [:]) {
        fold(MetricSample(metric, value, labels), replacing: true)
    }

    /// Counts one value into a histogram, in the metric's unit.
    package func observe(_ metric: Metric, _ value: Double, _ labels: Labels = [:]) {
        var histogram = MetricHistogram(bounds: metric.definition.bounds)
        histogram.observe(value)
        fold(MetricSample(metric, histogram, labels), replacing: false)
    }

    package func collect(_ collector: @escaping Collector) {
        state.withLock { $0.collectors.append(collector) }
    }

    private func fold(_ sample: MetricSample, replacing: Bool) {
        state.withLock { $0.families[sample.metric, default: MetricFamily()].fold(sample, replacing: replacing) }
    }

    /// Everything there is to know now, in the Prometheus text format, version 0.0.4.
    package func text() -> String {
        let (kept, collectors) = state.withLock { ($0.families, $0.collectors) }
        var families = kept
        for collector in collectors {
            for sample in collector() {
                families[sample.metric, default: MetricFamily()].fold(sample, replacing: false)
            }
        }
        var text = ""
        for metric in Metric.allCases {
            if let family = families[metric] { family.write(metric, to: &text) }
        }
        return text
    }
}

/// One value of one metric at one moment.
package struct MetricSample: Sendable {
    package let metric: Metric
    package let labels: MetricRegistry.Labels
    let value: Value

    enum Value: Sendable {
        case number(Double)
        case histogram(MetricHistogram)
    }

    package init(_ metric: Metric, _ value: Double, _ labels: MetricRegistry.Labels = [:]) {
        self.metric = metric
        self.labels = labels
        self.value = .number(value)
    }

    package init(_ metric: Metric, _ histogram: MetricHistogram, _ labels: MetricRegistry.Labels = [:]) {
        self.metric = metric
        self.labels = labels
        self.value = .histogram(histogram)
    }
}

/// Counts of values by bucket; the last count is of values above every bound.
package struct MetricHistogram: Sendable, Equatable {
    package let bounds: [Double]
    package private(set) var counts: [UInt64]
    package private(set) var sum: Double

    package init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
        sum = 0
    }

    /// - Parameter counts: one for each bound, and one for the values above them all; others are ignored.
    package init(bounds: [Double], counts: [UInt64], sum: Double) {
        self.init(bounds: bounds)
        for (index, count) in counts.prefix(self.counts.count).enumerated() { self.counts[index] = count }
        self.sum = sum
    }

    package mutating func observe(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }

    mutating func merge(_ other: MetricHistogram) {
        guard other.bounds == bounds else { return }
        for index in counts.indices { counts[index] &+= other.counts[index] }
        sum += other.sum
    }
}
