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
    var tried = 0
    /// Minutes until a fault was found, of those that were at all within ten.
    var minutes: [RouteTraffic.Fault: Int] = [:]

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
        guard traffic.expected(index..<index + 10) != nil,
            (traffic.expected(index..<index + Self.inTime) ?? 0) >= Self.leastRequests,
            !analysis.book.open.contains(where: { $0.severity > .info })
        else { return }
        tried += 1
        let context = RouteContext(route: "simulated")
        for fault in RouteTraffic.Fault.allCases {
            var random = generator, copy = analysis
            for minute in 0..<10 {
                _ = copy.observe(traffic.minute(index + minute, fault, &random), context, using: &random)
                let isShown = copy.book.open.contains { $0.severity > .info && fault.isShown(by: $0.code) }
                guard isShown else { continue }
                if minute < Self.inTime { found[fault, default: 0] += 1 }
                minutes[fault, default: 0] += minute + 1
                break
            }
        }
    }

    mutating func add(_ other: RouteStudy) {
        opened.merge(other.opened, uniquingKeysWith: +)
        critical += other.critical
        warnings += other.warnings
        found.merge(other.found, uniquingKeysWith: +)
        tried += other.tried
        minutes.merge(other.minutes, uniquingKeysWith: +)
    }

    /// The fault found least often in time, 0...1.
    var leastRecall: Double {
        RouteTraffic.Fault.allCases.map { Double(found[$0] ?? 0) / Double(max(1, tried)) }.min() ?? 0
    }

    /// `outage 100 %, …` of what was found in time.
    var recall: String {
        RouteTraffic.Fault.allCases.map { fault in
            let share = 100 * Double(found[fault] ?? 0) / Double(max(1, tried))
            return "\(fault.rawValue) \((share * 10).rounded() / 10) %"
        }.joined(separator: ", ")
    }
}
