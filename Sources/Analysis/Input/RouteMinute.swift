package import Statistics
package import StreamProcessing
import Telemetry

/// What one route's traffic was in one minute, or in one window where those are longer.
package struct RouteMinute: Sendable, Equatable {
    package var window: Window
    /// Sorted by model key. Empty for a minute without requests.
    package var models: [ModelMinute] = []
    /// Feedback on an earlier minute, by the time it is counted; see `AnalyzerSettings.feedbackDelayMs`.
    package var feedback: [ModelFeedback] = []
    /// Results of the other windows that the analyzers read, which became final since the minute before.
    package var results: [MergedWindow] = []
    /// Answers to fixed prompts that came in the minute before, by model key: one entry, often an empty one, for each model
    /// that the route's policies name, with requests in this minute or without.
    package var probes: [String: [ProbeResult]] = [:]
    /// Records of this minute are known to be missing: what it lacks says nothing about the traffic.
    package var isGap = false

    package init(_ window: Window) { self.window = window }

    /// Sums up windows of the definition `requests`.
    package init(_ window: Window, _ windows: [MergedWindow], isGap: Bool = false) {
        self.init(window)
        self.isGap = isGap
        var byModel: [String: ModelMinute] = [:]
        for one in windows {
            let name = one.key.modelKey
            if one.key.arm == .shadow {
                byModel[name, default: ModelMinute(name)].shadow.merge(one.aggregate)
            } else {
                byModel[name, default: ModelMinute(name)].users.merge(one.aggregate)
            }
        }
        models = byModel.values.sorted { $0.modelKey < $1.modelKey }
    }

    /// Milliseconds.
    package var length: Int64 { window.end - window.start }

    /// All models together, without shadows.
    package var total: WindowAggregate {
        var total = WindowAggregate()
        for model in models { total.merge(model.users) }
        return total
    }
}

package struct ModelMinute: Sendable, Equatable {
    /// `provider/model` of the target that answered or was tried last; empty when none was reached.
    package var modelKey: String
    /// Over all policies and all arms that serve users.
    package var users = WindowAggregate()
    /// Copies that nobody waits for: they cost, and hurt nobody.
    package var shadow = WindowAggregate()

    package init(_ modelKey: String) { self.modelKey = modelKey }
}

package struct ModelFeedback: Sendable, Equatable {
    package var modelKey: String
    /// The policy version that served the requests.
    package var policy: Int
    /// By feedback name, 0...1, higher is better.
    package var values: [String: Moments]
    /// Answers that feedback could have been given on.
    package var answers: Int64

    package init(modelKey: String, policy: Int, values: [String: Moments], answers: Int64) {
        self.modelKey = modelKey
        self.policy = policy
        self.values = values
        self.answers = answers
    }
}
