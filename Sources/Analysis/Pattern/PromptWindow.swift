import Statistics
import StreamProcessing

/// What the newest window of prompts says of a route: who asks, and how alike the prompts are. No text is known, only
/// hashes.
struct PromptWindow: Codable, Sendable, Equatable {
    /// Prompts of a window without which it says nothing.
    private static let fewest: Int64 = 200
    /// A share at which a statement ends, as a part of that at which it begins.
    private static let hysteresis = 0.8
    /// A user or key of so many times its even share is heavy.
    private static let timesEven = 3.0

    let window: Window
    let requests: Int64
    let key: Leader?
    let user: Leader?
    let prompt: Leader?
    let template: Leader?
    let prefix: Leader?
    let repeats: Interval?
    let nearRepeats: Interval?
    /// Of the input tokens, how many came from the provider's cache.
    let cachedShare: Double?

    /// The most frequent item.
    struct Leader: Codable, Sendable, Equatable {
        var item: String
        var count: Int64
        var error: Int64
        /// All that were counted, and how many different ones are listed.
        var total: Int64
        var listed: Int

        /// Its share of the requests; what it may owe to other items is not counted.
        var share: Interval {
            let sure = Proportion(events: count - error, trials: total), most = Proportion(events: count, trials: total)
            return Interval(
                estimate: sure.rate ?? 0, lower: sure.wilson().lowerBound, upper: most.wilson().upperBound)
        }

        init?(_ items: SpaceSaving?) {
            guard let items, items.total >= PromptWindow.fewest else { return nil }
            let listed = items.top(items.capacity)
            guard let first = listed.first, !first.item.isEmpty else { return nil }
            (item, count, error) = (first.item, first.count, first.error)
            (total, self.listed) = (items.total, listed.count)
        }
    }

    init(_ result: MergedWindow) {
        let of = result.aggregate
        window = result.window
        requests = of.requests
        prompt = Leader(of.summary(.prompt))
        template = Leader(of.summary(.template))
        prefix = Leader(of.summary(.prefix))
        key = Leader(of.summary(.key))
        user = Leader(of.summary(.user))
        repeats = Self.repeats(of.distinct(.prompt), of: of.summary(.prompt))
        nearRepeats = Self.repeats(of.distinct(.template), of: of.summary(.template))
        let input = of.inputTokens.sum
        cachedShare = input > 0 ? of[.cachedTokens].moments.sum / input : nil
    }

    private static func repeats(_ distinct: HyperLogLog?, of all: SpaceSaving?) -> Interval? {
        guard let distinct, let all, all.total >= fewest else { return nil }
        let n = Double(all.total), share = min(1, distinct.estimate / n)
        let half = normalQuantile(0.975) * WindowAggregate.distinctError * share
        return Interval(
            estimate: 1 - share, lower: max(0, 1 - share - half), upper: min(1, 1 - share + half))
    }

    /// Statements by code: those that stood are held to a lower bar, so that one at the edge does not come and go.
    func statements(standing: Set<String>, _ settings: AnalyzerSettings) -> [Observation] {
        func bar(_ code: String, _ threshold: Threshold) -> Double {
            settings[threshold] * (standing.contains(code) ? Self.hysteresis : 1)
        }
        var seen: [Observation] = []
        let heavy = bar("pattern.heavy_hitter", .heavyHitterShare)
        for (kind, leader) in [(Subject.Kind.key, key), (.user, user)] {
            guard let leader, leader.share.lower >= heavy,
                leader.share.lower * Double(leader.listed) >= Self.timesEven
            else { continue }
            seen.append(told("pattern.heavy_hitter", Subject(kind, leader.item), leader))
        }
        if let repeats, repeats.lower >= bar("pattern.repeats", .repeatShare) { seen.append(exact(repeats)) }
        if let nearRepeats, nearRepeats.lower >= bar("pattern.near_repeats", .nearRepeatShare) {
            seen.append(near(nearRepeats))
        }
        if let prefix, prefix.share.lower >= bar("pattern.shared_prefix", .prefixShare) {
            seen.append(told("pattern.shared_prefix", Subject(.prefix, prefix.item), prefix))
        }
        return seen
    }

    private func told(_ code: String, _ subject: Subject, _ leader: Leader) -> Observation {
        let share = leader.share
        let words =
            subject.kind == .prefix
            ? "\(share.estimate.percent) of the prompts begin with the same text (\(leader.item))."
            : "The \(subject.text) sends \(share.estimate.percent) of the requests."
        var evidence = [
            "requests": Double(leader.total), "count_lowest": Double(leader.count - leader.error),
            "count_highest": Double(leader.count), "listed": Double(leader.listed),
        ]
        if subject.kind == .prefix { evidence["cached_share"] = cachedShare }
        return Observation(
            .pattern, code, subject, words, severity: .info, confidence: 0.99, magnitude: share, window: window,
            evidence: evidence, objective: .cost,
            action: subject.kind == .prefix
                ? "Have the provider cache it, and send prompts that share it to the same target."
                : "A limit for it protects the others.")
    }

    private func exact(_ repeats: Interval) -> Observation {
        var evidence = ["prompts": Double(prompt?.total ?? requests), "share_repeated": repeats.estimate]
        if let prompt { evidence["most_frequent_share"] = prompt.share.estimate }
        return Observation(
            .pattern, "pattern.repeats", .route,
            "\(repeats.estimate.percent) of the prompts repeat another of the same ten minutes exactly.",
            severity: .info, confidence: 0.99, magnitude: repeats, window: window, evidence: evidence, objective: .cost,
            action: "A cache of answers would spare them.")
    }

    private func near(_ repeats: Interval) -> Observation {
        var evidence = ["prompts": Double(template?.total ?? requests), "share_repeated": repeats.estimate]
        if let template {
            evidence["most_frequent_share"] = template.share.estimate
            evidence["templates_at_most"] = (1 - repeats.lower) * Double(template.total)
        }
        return Observation(
            .pattern, "pattern.near_repeats", .route,
            "\(repeats.estimate.percent) of the prompts come from the same template as another of the same ten minutes.",
            severity: .info, confidence: 0.99, magnitude: repeats, window: window, evidence: evidence, objective: .cost,
            action: "Put what they share at the beginning of the prompt, where providers cache it.")
    }
}
