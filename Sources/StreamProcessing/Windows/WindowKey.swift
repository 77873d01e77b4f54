package import Telemetry

/// What a window's result is of: its definition, and a value for each dimension that the definition names.
package struct WindowKey: Sendable {
    /// Shared by all copies, because every request, row and window has one.
    private final class Parts: Sendable {
        /// Made once, because keys are compared and looked up far more often than they are made; first, to lie beside what
        /// else is compared.
        let digest: Int
        let window: String
        let route: String
        let modelKey: String
        let arm: Arm
        let policy: Int
        let others: [String]

        init(window: String, route: String, modelKey: String, arm: Arm, policy: Int, others: [String]) {
            self.window = window
            self.route = route
            self.modelKey = modelKey
            self.arm = arm
            self.policy = policy
            self.others = others
            var hasher = Hasher()
            hasher.combine(window)
            hasher.combine(route)
            hasher.combine(modelKey)
            hasher.combine(arm)
            hasher.combine(policy)
            hasher.combine(others)
            digest = hasher.finalize()
        }
    }
    private let parts: Parts

    /// The definition's name.
    package var window: String { parts.window }
    package var route: String { parts.route }
    /// `provider/model` of the target that answered or was tried last; empty when none was reached.
    package var modelKey: String { parts.modelKey }
    package var arm: Arm { parts.arm }
    /// The policy version that served it; 0 when none did.
    package var policy: Int { parts.policy }
    /// The values of the definition's other dimensions, in its order; empty text where a request has none.
    package var others: [String] { parts.others }

    package init(
        window: String = WindowDefinition.requests, route: String, modelKey: String, arm: Arm, policy: Int,
        others: [String] = []
    ) {
        parts = Parts(window: window, route: route, modelKey: modelKey, arm: arm, policy: policy, others: others)
    }

    /// The values by dimension, as people read them.
    package func values(_ definition: WindowDefinition) -> [(dimension: WindowDimension, value: String)] {
        var rest = others[...]
        return definition.key.map { dimension in
            switch dimension {
            case .route: (dimension, route)
            case .model: (dimension, modelKey)
            case .arm: (dimension, arm.rawValue)
            case .policy: (dimension, String(policy))
            default: (dimension, rest.popFirst() ?? "")
            }
        }
    }
}

extension WindowKey: Hashable {
    package func hash(into hasher: inout Hasher) { hasher.combine(parts.digest) }

    package static func == (a: Self, b: Self) -> Bool {
        let (a, b) = (a.parts, b.parts)
        return a === b
            || a.digest == b.digest && a.policy == b.policy && a.arm == b.arm && a.route == b.route
                && a.modelKey == b.modelKey && a.window == b.window && a.others == b.others
    }
}

extension WindowKey: Comparable {
    package static func < (a: Self, b: Self) -> Bool {
        if a.window != b.window { return a.window < b.window }
        if a.route != b.route { return a.route < b.route }
        if a.modelKey != b.modelKey { return a.modelKey < b.modelKey }
        if a.arm != b.arm { return a.arm.rawValue < b.arm.rawValue }
        if a.policy != b.policy { return a.policy < b.policy }
        return a.others.lexicographicallyPrecedes(b.others)
    }
}

extension WindowKey: Codable {
    enum CodingKeys: String, CodingKey {
        case route, arm, policy
        case modelKey = "model_key"
    }

    /// Documents hold keys of the window `requests` only.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            route: try container.decode(String.self, forKey: .route),
            modelKey: try container.decode(String.self, forKey: .modelKey),
            arm: try container.decode(Arm.self, forKey: .arm), policy: try container.decode(Int.self, forKey: .policy))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(route, forKey: .route)
        try container.encode(modelKey, forKey: .modelKey)
        try container.encode(arm, forKey: .arm)
        try container.encode(policy, forKey: .policy)
    }
}

/// A half-open span of event time, `[start, end)`, milliseconds since the epoch.
package struct Window: Hashable, Codable, Sendable, Comparable {
    package var start: Int64
    package var end: Int64
    package init(start: Int64, end: Int64) {
        self.start = start
        self.end = end
    }
    /// The firing order: by end, then start.
    package static func < (a: Self, b: Self) -> Bool { (a.end, a.start) < (b.end, b.start) }
}

/// What names a window of one key; ordered as windows fire: by end, start, key.
package struct WindowID: Hashable, Sendable, Comparable {
    package var window: Window
    package var key: WindowKey

    package init(window: Window, key: WindowKey) {
        self.window = window
        self.key = key
    }

    package static func < (a: Self, b: Self) -> Bool { (a.window, a.key) < (b.window, b.key) }
}
