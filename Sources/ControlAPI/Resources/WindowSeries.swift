import Analysis
import ControlLoop
import Core
import Statistics
import StreamProcessing
import Telemetry

/// Window results merged to a series of equal steps, with each step's figures by policy version and arm.
struct WindowSeries: Encodable {
    static let pointLimit: Int64 = 1_000
    /// Window results read for one series; a series over more has lost its oldest, and says so.
    static let windowLimit = 20_000

    let route: RouteName
    let from, to, stepMs: Int64
    let truncated: Bool
    let items: [Point]

    enum CodingKeys: String, CodingKey {
        case route, from, to, truncated, items
        case stepMs = "step_ms"
    }

    /// About sixty steps, none under a second: more would show noise.
    static func step(for range: Range<Int64>) -> Int64 {
        let wanted = (range.upperBound - range.lowerBound) / 60
        let nice: [Int64] = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400]
        return (nice.first { $0 * 1_000 >= wanted } ?? max(86_400, wanted / 1_000 + 1)) * 1_000
    }

    init(_ route: RouteName, _ range: Range<Int64>, step: Int64, _ windows: [MergedWindow]) {
        self.route = route
        (from, to, stepMs) = (range.lowerBound, range.upperBound, step)
        truncated = windows.count >= Self.windowLimit
        var points: [Int64: [GroupKey: Figures]] = [:]
        for window in windows {
            let start = (Double(window.window.start) / Double(step)).rounded(.down)
            let key = GroupKey(policy: window.key.policy, arm: window.key.arm, model: window.key.modelKey)
            points[Int64(start) * step, default: [:]][key, default: Figures()].add(window)
        }
        items = points.sorted { $0.key < $1.key }.map { start, groups in
            var total = Figures()
            var policies: [Int: Figures] = [:]
            for (key, figures) in groups {
                total.merge(figures)
                if key.followsPolicy { policies[key.policy, default: Figures()].merge(figures) }
            }
            return Point(
                start: start, end: start + step, total: total,
                policies: policies.sorted { $0.key < $1.key }.map { PolicyFigures(policy: $0.key, figures: $0.value) },
                groups: groups.sorted { $0.key < $1.key }.map { Group(key: $0.key, figures: $0.value) })
        }
    }

    struct GroupKey: Hashable, Comparable {
        let policy: Int
        let arm: Arm
        let model: String

        /// Whether the policy chose the target, as against chance or a tester.
        var followsPolicy: Bool {
            switch arm {
            case .stable, .candidate, .holdout: true
            case .explore, .forced, .shadow: false
            }
        }

        static func < (a: Self, b: Self) -> Bool {
            (a.policy, a.arm.rawValue, a.model) < (b.policy, b.arm.rawValue, b.model)
        }
    }

    struct Point: Encodable {
        let start, end: Int64
        let total: Figures
        /// By policy version, over the arms that follow it.
        let policies: [PolicyFigures]
        let groups: [Group]

        enum CodingKeys: String, CodingKey { case start, end, policies, groups }

        func encode(to encoder: any Encoder) throws {
            try total.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(start, forKey: .start)
            try container.encode(end, forKey: .end)
            try container.encode(policies, forKey: .policies)
            try container.encode(groups, forKey: .groups)
        }
    }

    struct PolicyFigures: Encodable {
        let policy: Int
        let figures: Figures

        enum CodingKeys: String, CodingKey { case policy }

        func encode(to encoder: any Encoder) throws {
            try figures.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(policy, forKey: .policy)
        }
    }

    struct Group: Encodable {
        let key: GroupKey
        let figures: Figures

        enum CodingKeys: String, CodingKey {
            case policy, arm
            case model = "model_key"
        }

        func encode(to encoder: any Encoder) throws {
            try figures.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(key.policy, forKey: .policy)
            try container.encode(key.arm, forKey: .arm)
            try container.encode(key.model, forKey: .model)
        }
    }

    /// What people look at; `nil` is left out and means unknown.
    struct Figures: Encodable {
        private var requests: Int64 = 0
        private var failures: Int64 = 0
        private var unknownCost: Int64 = 0
        private var cost = Moments()
        private var latency = DDSketch()
        private var ttft = DDSketch()
        private var quality = Moments()

        mutating func add(_ window: MergedWindow) {
            requests += window.aggregate.requests
            failures += window.aggregate.failures
            unknownCost += window.aggregate.unknownCost
            cost.merge(window.aggregate.cost)
            latency.merge(window.aggregate.latency)
            ttft.merge(window.aggregate.ttft)
            if let judged = window.feedback["quality"] { quality.merge(judged) }
        }

        mutating func merge(_ other: Figures) {
            requests += other.requests
            failures += other.failures
            unknownCost += other.unknownCost
            cost.merge(other.cost)
            latency.merge(other.latency)
            ttft.merge(other.ttft)
            quality.merge(other.quality)
        }

        enum CodingKeys: String, CodingKey {
            case requests, failures, quality, answers
            case unknownCost = "unknown_cost"
            case cost = "cost_nano_usd"
            case costPer1000 = "cost_per_1000_usd"
            case latencyP50 = "latency_p50_ms"
            case latencyP95 = "latency_p95_ms"
            case ttftP95 = "ttft_p95_ms"
            case qualityError = "quality_se"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(requests, forKey: .requests)
            try container.encode(failures, forKey: .failures)
            try container.encode(unknownCost, forKey: .unknownCost)
            try container.encode(Int64(cost.sum), forKey: .cost)
            try container.encodeIfPresent(cost.mean.map { $0 / 1e6 }, forKey: .costPer1000)
            try container.encodeIfPresent(latency.quantile(0.5), forKey: .latencyP50)
            try container.encodeIfPresent(latency.quantile(0.95), forKey: .latencyP95)
            try container.encodeIfPresent(ttft.quantile(0.95), forKey: .ttftP95)
            try container.encodeIfPresent(quality.mean, forKey: .quality)
            try container.encodeIfPresent(quality.standardError, forKey: .qualityError)
            try container.encode(quality.n, forKey: .answers)
        }
    }
}
