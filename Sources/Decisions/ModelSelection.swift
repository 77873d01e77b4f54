import Analysis
import Policy

/// The strategy `model_selection`: for every other allowed target, the change that puts it in the incumbent's place.
enum ModelSelection {
    static let name = "model_selection"

    /// The edits that make `target` the first choice of `policy`.
    ///
    /// Where the target was a fallback, the incumbent takes that place, so that the route keeps its safety net.
    static func edits(_ policy: RoutingPolicy, incumbent: Target, to target: Target) -> [PolicyEdit] {
        var edits: [PolicyEdit] = [.replaceTarget(from: incumbent.id, to: target)]
        if policy.fallbacks.contains(target.id) {
            edits.append(.addTarget(incumbent))
            edits.append(.setFallbacks(policy.fallbacks.map { $0 == target.id ? incumbent.id : $0 }))
        }
        return edits
    }

    /// One target for each model that is not the incumbent's, by model key. A target that the policy has already is
    /// taken from there, with its id and credentials.
    static func targets(_ input: DecisionInput, incumbent: Target) -> [Target] {
        var byModel: [String: Target] = [:]
        for target in input.stable.targets + input.catalog where target.modelKey != incumbent.modelKey {
            if byModel[target.modelKey] == nil { byModel[target.modelKey] = target }
        }
        let allowed = Set(input.catalog.map(\.modelKey))
        return byModel.values.filter { allowed.contains($0.modelKey) }.sorted { $0.modelKey < $1.modelKey }
    }
}
