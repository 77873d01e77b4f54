import Crypto
package import Core
import Foundation

/// Where a request can go: one model at one provider, with the credentials to use there.
package struct Target: Codable, Sendable, Equatable, Hashable {
    /// Unique within a policy; `provider/model` unless named otherwise.
    package var id: String
    package var provider: String
    package var model: String
    /// Name of a credential pool in the configuration; `nil` takes the provider's own.
    package var credentials: String?

    package init(id: String? = nil, provider: String, model: String, credentials: String? = nil) {
        self.id = id ?? "\(provider)/\(model)"
        self.provider = provider
        self.model = model
        self.credentials = credentials
    }

    /// Reads `provider/model`; `nil` if either part is missing.
    package init?(parsing modelKey: String) {
        let parts = modelKey.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        self.init(provider: String(parts[0]), model: String(parts[1]))
    }

    /// What estimates, prices and `allowed` globs are keyed by.
    package var modelKey: String { "\(provider)/\(model)" }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            id: try c.decodeIfPresent(String.self, forKey: .id),
            provider: try c.decode(String.self, forKey: .provider), model: try c.decode(String.self, forKey: .model),
            credentials: try c.decodeIfPresent(String.self, forKey: .credentials))
    }
    enum CodingKeys: String, CodingKey { case id, provider, model, credentials }
}

/// The immutable, versioned document that says how one route is served.
package struct RoutingPolicy: Codable, Sendable, Equatable {
    package var route: RouteName
    /// 1 and up, given by the store.
    package var version: Int
    package var parent: Int?
    package var createdAt: Int64
    /// A decision's id, or a person's token name.
    package var createdBy: String
    package var reason: String
    package var targets: [Target]
    package var selector: Selector
    /// Target ids tried once each, in order, before the first byte of an answer.
    package var fallbacks: [String]
    package var timeouts: Timeouts

    package init(
        route: RouteName, version: Int, parent: Int? = nil, createdAt: Int64, createdBy: String, reason: String,
        targets: [Target], selector: Selector? = nil, fallbacks: [String] = [], timeouts: Timeouts = .init()
    ) {
        self.route = route
        self.version = version
        self.parent = parent
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.reason = reason
        self.targets = targets
        self.selector = selector ?? .priority
        self.fallbacks = fallbacks
        self.timeouts = timeouts
    }

    /// How one of the targets is chosen.
    package enum Selector: Codable, Sendable, Equatable {
        /// Always the first target.
        case priority
        /// At random, by weight for each target id; weights are normalised.
        case weighted([String: Double])

        enum CodingKeys: String, CodingKey { case kind, weights }

        package init(from decoder: any Decoder) throws {
            let c = try decoder.container(keyedBy: CodingKeys.self)
            let kind = try c.decode(String.self, forKey: .kind)
            switch kind {
            case "priority": self = .priority
            case "weighted": self = .weighted(try c.decode([String: Double].self, forKey: .weights))
            default:
                throw DecodingError.dataCorruptedError(
                    forKey: .kind, in: c,
                    debugDescription: "Selector kind '\(kind)' is not known. Use 'priority' or 'weighted'.")
            }
        }

        package func encode(to encoder: any Encoder) throws {
            var c = encoder.container(keyedBy: CodingKeys.self)
            switch self {
            case .priority: try c.encode("priority", forKey: .kind)
            case .weighted(let weights):
                try c.encode("weighted", forKey: .kind)
                try c.encode(weights, forKey: .weights)
            }
        }
    }

    /// All in milliseconds, 1 and up.
    package struct Timeouts: Codable, Sendable, Equatable {
        package var connectMs = 5_000
        package var firstByteMs = 60_000
        package var idleMs = 60_000
        package var totalMs = 600_000
        package init() {}

        enum CodingKeys: String, CodingKey {
            case connectMs = "connect_ms"
            case firstByteMs = "first_byte_ms"
            case idleMs = "idle_ms"
            case totalMs = "total_ms"
        }
        package init(from decoder: any Decoder) throws {
            let c = try decoder.container(keyedBy: CodingKeys.self)
            connectMs = try c.decodeIfPresent(Int.self, forKey: .connectMs) ?? connectMs
            firstByteMs = try c.decodeIfPresent(Int.self, forKey: .firstByteMs) ?? firstByteMs
            idleMs = try c.decodeIfPresent(Int.self, forKey: .idleMs) ?? idleMs
            totalMs = try c.decodeIfPresent(Int.self, forKey: .totalMs) ?? totalMs
        }
    }

    enum CodingKeys: String, CodingKey {
        case route, version, parent, reason, targets, selector, fallbacks, timeouts
        case createdAt = "created_at"
        case createdBy = "created_by"
    }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            route: try c.decode(RouteName.self, forKey: .route),
            version: try c.decodeIfPresent(Int.self, forKey: .version) ?? 0,
            parent: try c.decodeIfPresent(Int.self, forKey: .parent),
            createdAt: try c.decodeIfPresent(Int64.self, forKey: .createdAt) ?? 0,
            createdBy: try c.decodeIfPresent(String.self, forKey: .createdBy) ?? "",
            reason: try c.decodeIfPresent(String.self, forKey: .reason) ?? "",
            targets: try c.decode([Target].self, forKey: .targets),
            selector: try c.decodeIfPresent(Selector.self, forKey: .selector),
            fallbacks: try c.decodeIfPresent([String].self, forKey: .fallbacks) ?? [],
            timeouts: try c.decodeIfPresent(Timeouts.self, forKey: .timeouts) ?? .init())
    }

    package func target(_ id: String) -> Target? { targets.first { $0.id == id } }

    /// The first twelve hex digits of the SHA-256 of what the policy does: its targets, selector, fallbacks and timeouts.
    /// Every gateway shows it, so that two that serve the same version can be seen to serve the same thing.
    package var contentHash: String {
        var content = self
        (content.version, content.parent, content.createdAt, content.createdBy, content.reason) = (0, nil, 0, "", "")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A value of these types always encodes: no cycle, no non-finite number passes validation.
        let bytes = (try? encoder.encode(content)) ?? Data()
        return SHA256.hash(data: bytes).prefix(6).map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
    }
}
