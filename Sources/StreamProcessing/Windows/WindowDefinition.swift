package import Telemetry

/// One declared kind of window: what its results are grouped by, which windows there are, and what is added up.
package struct WindowDefinition: Sendable, Equatable {
    /// Names its results: `[a-z][a-z0-9_]{0,63}`.
    package var name: String
    /// In the order of the key's values; at most `mostDimensions`.
    package var key: [WindowDimension]
    package var assigner: WindowAssigner
    /// How long after its window fired an event still counts, milliseconds.
    package var latenessMs: Int64
    package var early: EarlyFiring?
    /// Whether a pane holds only what is new since the one before, instead of everything so far.
    package var discarding: Bool
    package var aggregates: AggregateSelection

    package static let mostDimensions = 6
    /// The most definitions of one stream.
    package static let mostDefinitions = 32

    package init(
        name: String, key: [WindowDimension], assigner: WindowAssigner, latenessMs: Int64 = 600_000,
        early: EarlyFiring? = nil, discarding: Bool = false, aggregates: AggregateSelection = .standard
    ) {
        self.name = name
        self.key = key
        self.assigner = assigner
        self.latenessMs = latenessMs
        self.early = early
        self.discarding = discarding
        self.aggregates = aggregates
    }

    /// The name of the window that analyzers and decisions read.
    package static let requests = "requests"

    /// The window that analyzers and decisions read: tumbling, by route, model, arm and policy.
    package static func requests(sizeMs: Int64, latenessMs: Int64) -> WindowDefinition {
        WindowDefinition(
            name: requests, key: [.route, .model, .arm, .policy], assigner: .tumbling(size: sizeMs),
            latenessMs: latenessMs)
    }

    /// What is wrong with the definition, in words that follow its name; `nil` where it makes sense.
    package var problem: String? {
        if name.utf8.count > 64 || name.wholeMatch(of: /[a-z][a-z0-9_]*/) == nil {
            return "the name must be 1 to 64 of a-z 0-9 _, with a letter first."
        }
        if key.count > Self.mostDimensions { return "the key has more than \(Self.mostDimensions) dimensions." }
        if Set(key).count < key.count { return "the key names a dimension twice." }
        if latenessMs < 0 { return "the lateness must be at least 0." }
        if let problem = assigner.problem { return problem }
        if let problem = early?.problem { return problem }
        if let problem = aggregates.problem { return problem }
        if case .session = assigner {
            // A result that only holds what is new could not be taken back when its session grows.
            if discarding { return "session windows cannot be discarding." }
            // Feedback can come days later, when only the request's own row is left.
            if aggregates.feedback { return "feedback cannot be attributed to session windows." }
        }
        guard aggregates.feedback else { return nil }
        if let unkept = key.first(where: { !$0.isKeptWithRequests }) {
            return "feedback cannot be attributed by \(unkept.rawValue), which is not kept of a request."
        }
        return nil
    }
}

/// What results can be grouped by.
package enum WindowDimension: String, Sendable, CaseIterable {
    case route
    /// `provider/model` of the target that answered or was tried last.
    case model
    case provider, credential
    /// The name of the client's virtual key.
    case key
    case project, arm
    /// The policy's version.
    case policy
    /// The prompt's variant.
    case variant
    /// What kind of prompt it was: the gateway's own guess, else the tag `domain`.
    case domain
    case session
    /// How long the prompt is: a `PromptSize`.
    case size

    /// Whether the table of requests knows it, so that late feedback finds its window.
    var isKeptWithRequests: Bool {
        switch self {
        case .route, .model, .arm, .policy, .key, .variant: true
        case .provider, .credential, .project, .domain, .session, .size: false
        }
    }

    /// Whether `WindowKey` has a field of its own for it.
    var isTyped: Bool {
        switch self {
        case .route, .model, .arm, .policy: true
        default: false
        }
    }
}

/// When a window shows what it has before it is complete.
package enum EarlyFiring: Sendable, Equatable {
    /// After so many new events.
    case count(Int64)
    /// So many milliseconds of clock time after the first new event.
    case clock(Int64)

    var problem: String? {
        switch self {
        case .count(let events) where events < 1: "early_count must be at least 1."
        case .clock(let ms) where ms < 1: "early_s must be at least a millisecond."
        default: nil
        }
    }
}

// MARK: Keys

extension WindowDefinition {
    /// The windows that feedback on a request counts in.
    func windows(of request: FeedbackTarget) -> [WindowID] {
        guard let grid = assigner.grid else { return [] }
        let typed = request.key.keeping(key)
        var others: [String] = []
        for dimension in key where !dimension.isTyped {
            switch dimension {
            case .key: others.append(request.virtualKey)
            case .variant: others.append(request.assignment?.variant ?? "")
            default: return []
            }
        }
        let key = WindowKey(
            window: name, route: typed.route, modelKey: typed.modelKey, arm: typed.arm, policy: typed.policy,
            others: others)
        return grid.windows(of: request.at).reversed().map { WindowID(window: $0, key: key) }
    }

    package func key(of record: borrowing RequestRecord) -> WindowKey {
        var others: [String] = []
        for dimension in key {
            switch dimension {
            case .route, .model, .arm, .policy: break
            case .provider: others.append(record.provider ?? "")
            case .credential: others.append(record.credential ?? "")
            case .key: others.append(record.key ?? "")
            case .project: others.append(record.project ?? "")
            case .variant: others.append(record.variant ?? "")
            case .domain: others.append(record.domain ?? "")
            case .session: others.append(record.session ?? "")
            case .size: others.append(PromptSize(of: record)?.rawValue ?? "")
            }
        }
        return WindowKey(
            window: name, route: key.contains(.route) ? record.route : "",
            modelKey: key.contains(.model) ? record.modelKey : "", arm: key.contains(.arm) ? record.arm : .stable,
            policy: key.contains(.policy) ? record.policy ?? 0 : 0, others: others)
    }
}

extension WindowKey {
    /// With those of the typed dimensions that a definition names; what stands for the others says nothing.
    fileprivate func keeping(
        _ dimensions: [WindowDimension]
    ) -> (route: String, modelKey: String, arm: Arm, policy: Int) {
        (
            dimensions.contains(.route) ? route : "", dimensions.contains(.model) ? modelKey : "",
            dimensions.contains(.arm) ? arm : .stable, dimensions.contains(.policy) ? policy : 0
        )
    }
}
