import Analysis
import Core
import Foundation
import StreamProcessing

/// What the whole analysis says of minutes of one route: healthy ones, and copies of it in trouble.
struct RouteStudy {
    /// Minutes after the beginning of a fault in which it is to be found.
    private static let inTime = 3
    /// Expected in that time, nine tenths of five a second.
    private static let leastRequests = 810.0

    var opened: [String: Int] = [:]
    var critical = 0
    var warnings = 0
    /// Found in time, and tried.
    var found: [RouteTraffic.Fault: Int] = [:]
    var tried: [RouteTraffic.Fault: Int] = [:]

    /// - Parameters:
    ///   - from: minute of the first; the faults are tried every `every` minutes after it.
    mutating func run(_ traffic: RouteTraffic, minutes: Int, faultsFrom from: Int, every: Int, seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var analysis = RouteAnalysis()
        let context = RouteContext(route: "simulated")
        for index in 0..<minutes {
            if index >= from, (index - from) % every == 0 { tryFaults(traffic, index, analysis, random.split()) }
            let minute = traffic.minute(index, nil, &random)
            for case .opened(let finding) in analysis.observe(minute, context, using: &random)
            where finding.severity > .info && finding.code != "anomaly.telemetry_gap" {
                opened[finding.code, default: 0] += 1
                if finding.severity == .critical { critical += 1 } else { warnings += 1 }
            }
        }
    }

    private mutating func tryFaults(
        _ traffic: RouteTraffic, _ index: Int, _ analysis: RouteAnalysis, _ generator: SplitMix64
    ) {
        // A fault without telemetry or requests is none to be found, and one that stands is no new one.
        guard
            (traffic.expected(index..<index + Self.inTime) ?? 0) >= Self.leastRequests,
            !analysis.book.open.contains(where: { $0.severity > .info })
        else { return }
        let context = RouteContext(route: "simulated")
        for fault in RouteTraffic.Fault.allCases {
            // Where minutes are empty every hour, traffic that is gone looks like that.
            if fault == .trafficGone, traffic.isOnAndOff { continue }
            tried[fault, default: 0] += 1
            var random = generator, copy = analysis
            for minute in index..<index + Self.inTime {
                _ = copy.observe(traffic.minute(minute, fault, &random), context, using: &random)
            }
            let isShown = copy.book.open.contains { $0.severity > .info && fault.isShown(by: $0.code) }
            if isShown { found[fault, default: 0] += 1 }
        }
    }

    mutating func add(_ other: RouteStudy) {
        opened.merge(other.opened, uniquingKeysWith: +)
        critical += other.critical
        warnings += other.warnings
        found.merge(other.found, uniquingKeysWith: +)
        tried.merge(other.tried, uniquingKeysWith: +)
    }

    /// The fault found least often in time, 0...1.
    var leastRecall: Double {
        RouteTraffic.Fault.allCases.filter { tried[$0] != nil }.map(share).min() ?? 0
    }

    private func share(_ fault: RouteTraffic.Fault) -> Double {
        Double(found[fault] ?? 0) / Double(max(1, tried[fault] ?? 0))
    }

    /// `outage 100 %, …` of what was found in time.
    var recall: String {
        RouteTraffic.Fault.allCases.map { fault in
            tried[fault] == nil
                ? "\(fault.rawValue) not tried" : "\(fault.rawValue) \((share(fault) * 1_000).rounded() / 10) %"
        }.joined(separator: ", ")
    }
}
