/// The series of one metric, by label values in the order of its definition.
struct MetricFamily: Sendable {
    private var numbers: [[String]: Double] = [:]
    private var histograms: [[String]: MetricHistogram] = [:]
    /// Values seen, by label, up to the label's limit.
    private var seen: [Metric.Label: Set<String>] = [:]

    /// Past so many series the further ones are counted under `other` in every label.
    static let seriesLimit = 1_000
    static let other = "other"

    mutating func fold(_ sample: MetricSample, replacing: Bool) {
        let values = bounded(sample)
        switch sample.value {
        case .number(let number):
            if replacing { numbers[values] = number } else { numbers[values, default: 0] += number }
        case .histogram(let histogram):
            histograms[values, default: MetricHistogram(bounds: histogram.bounds)].merge(histogram)
        }
    }

    private mutating func bounded(_ sample: MetricSample) -> [String] {
        let labels = sample.metric.definition.labels
        let values = labels.map { label -> String in
            let value = sample.labels[label] ?? ""
            if seen[label, default: []].contains(value) { return value }
            guard seen[label, default: []].count < label.valueLimit else { return Self.other }
            seen[label, default: []].insert(value)
            return value
        }
        let known = numbers[values] != nil || histograms[values] != nil
        if known || numbers.count + histograms.count < Self.seriesLimit { return values }
        return labels.map { _ in Self.other }
    }

    func write(_ metric: Metric, to text: inout String) {
        let definition = metric.definition
        text += "# HELP \(metric.rawValue) \(definition.help)\n# TYPE \(metric.rawValue) \(definition.kind.rawValue)\n"
        for (values, number) in numbers.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            text += metric.rawValue + Self.labels(definition.labels, values) + " \(Self.format(number))\n"
        }
        for (values, histogram) in histograms.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            Self.write(histogram, metric, definition.labels, values, to: &text)
        }
    }

    private static func write(
        _ histogram: MetricHistogram, _ metric: Metric, _ labels: [Metric.Label], _ values: [String],
        to text: inout String
    ) {
        var total: UInt64 = 0
        for (index, count) in histogram.counts.enumerated() {
            total &+= count
            let bound = index < histogram.bounds.count ? format(histogram.bounds[index]) : "+Inf"
            text += "\(metric.rawValue)_bucket\(self.labels(labels, values, bound: bound)) \(total)\n"
        }
        let plain = self.labels(labels, values)
        text += "\(metric.rawValue)_sum\(plain) \(format(histogram.sum))\n\(metric.rawValue)_count\(plain) \(total)\n"
    }

    private static func labels(_ labels: [Metric.Label], _ values: [String], bound: String? = nil) -> String {
        var pairs = zip(labels, values).map { "\($0.rawValue)=\"\(escaped($1))\"" }
        if let bound { pairs.append("le=\"\(bound)\"") }
        return pairs.isEmpty ? "" : "{" + pairs.joined(separator: ",") + "}"
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }

    private static func format(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return String(value)
    }
}
