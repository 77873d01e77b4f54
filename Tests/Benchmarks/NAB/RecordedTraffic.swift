import Analysis
import Foundation

/// Recorded arrivals and latencies from the test data, put together: each arrival series with each provider's calls.
enum RecordedTraffic {
    /// Empty where the data is not there.
    static func all() throws -> [(name: String, traffic: RouteTraffic)] {
        guard let folder = NABCorpus.dataFolder else { return [] }
        let providers = try calls(folder + "/latency/llmperf_2023-12.csv")
        var found: [(name: String, traffic: RouteTraffic)] = []
        for (name, course, dispersion) in try arrivals(folder + "/workload") {
            for (provider, times) in providers.sorted(by: { $0.key < $1.key }) {
                found.append(
                    ("\(name), \(provider)", RouteTraffic(times: times, course: course, dispersion: dispersion)))
            }
        }
        return found
    }

    /// Latencies by provider and model, of calls that were answered.
    static func calls(_ path: String) throws -> [String: [(latency: Double, ttft: Double)]] {
        var byProvider: [String: [(latency: Double, ttft: Double)]] = [:]
        for row in try rows(path) where row.count >= 9 && row[8].isEmpty {
            guard let ttft = Double(row[3]), let latency = Double(row[4]), latency > 0 else { continue }
            byProvider["\(row[0]) \(row[1])", default: []].append((1_000 * latency, 1_000 * ttft))
        }
        return byProvider.filter { $0.value.count >= 100 }
    }

    /// Expected requests for each minute, scaled to five a second, and their dispersion. A ServeGen window of ten minutes
    /// with less than a hundredth of the median is a gap of its telemetry, as the data's description says.
    private static func arrivals(_ folder: String) throws -> [(String, [Double?], Double)] {
        var found: [(String, [Double?], Double)] = []
        for name in ["azure2023_code", "azure2023_conv"] {
            var counts = [Double](repeating: 0, count: 40)
            for row in try rows("\(folder)/\(name).csv") {
                guard let at = row.first.flatMap(Double.init), at < 2_400 else { continue }
                counts[Int(at / 60)] += 1
            }
            let scale = RouteTraffic.perMinute * Double(counts.count) / counts.reduce(0, +)
            // The counts are the course; what they swing by themselves is in them.
            found.append((name, counts.map { $0 * scale }, 1))
        }
        for name in ["m-large", "m-mid", "m-small"] {
            let one = try service(name, in: folder)
            found.append(("servegen_" + name, one.course, one.dispersion))
        }
        return found
    }

    /// One service's nine days.
    static func service(_ name: String, in folder: String) throws -> (course: [Double?], dispersion: Double) {
        let windows = try rows("\(folder)/servegen_\(name)_rate10m.csv").compactMap { row in
            row.count >= 5 ? Double(row[1]).map { ($0, Double(row[4]) ?? 1) } : nil
        }
        let rates = windows.map(\.0), median = rates.sorted()[rates.count / 2]
        let known = rates.filter { $0 > 0.01 * median }
        let scale = RouteTraffic.perMinute * Double(known.count) / known.reduce(0, +)
        let spread = windows.map(\.1).reduce(0, +) / Double(windows.count)
        let course = rates.indices.flatMap { index in
            (0..<10).map { minute -> Double? in
                let next = rates[min(index + 1, rates.count - 1)]
                guard rates[index] > 0.01 * median else { return nil }
                guard next > 0.01 * median else { return scale * rates[index] }
                return scale * (rates[index] + (next - rates[index]) * Double(minute) / 10)
            }
        }
        // One route has a small part of the service's requests, drawn at random: of what they vary more than Poisson
        // counts the same part is left.
        let part = 5 * Double(known.count) / known.reduce(0, +)
        return (course, max(1, 1 + part * (spread * spread - 1)))
    }

    static func rows(_ path: String) throws -> [[String]] {
        try String(contentsOf: URL(filePath: path), encoding: .utf8).split(whereSeparator: \.isNewline).dropFirst()
            .map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
    }
}
