package import Core
package import Policy

/// Keys, tokens, prices and what the gateways report.
package protocol AdminStore: Sendable {
    func keys() async throws -> [VirtualKey]
    /// - Throws: `TrimtabError` `store.exists` when the name is taken.
    func create(_ key: VirtualKey, by actor: String) async throws
    /// - Throws: `TrimtabError` `store.not_found`. Revoking twice is no error.
    func revokeKey(_ name: String, by actor: String, now: Int64) async throws

    func tokens() async throws -> [OperatorToken]
    /// The token with this digest, unless it is revoked.
    func token(digest: String) async throws -> OperatorToken?
    func create(_ token: OperatorToken, by actor: String) async throws
    func revokeToken(_ name: String, by actor: String, now: Int64) async throws

    /// Sets prices by model key (`nil` makes one unknown), as a new revision of the price book.
    func setPrices(_ prices: [String: TokenPrice?], by actor: String, now: Int64) async throws -> PriceBook

    /// Tells of every change, from now on; at most `Change.bufferLimit` are kept for a slow reader, the oldest go first.
    func changes() async throws -> AsyncStream<Change>
    /// `nil` when the store answers, else why it does not; for readiness.
    func ping() async -> String?
}

/// That something changed; readers fetch what it is.
package struct Change: Codable, Sendable, Equatable {
    package var kind: Kind
    package var route: RouteName?
    package var id: String

    package static let bufferLimit = 256

    package init(kind: Kind, route: RouteName?, id: String) {
        self.kind = kind
        self.route = route
        self.id = id
    }

    package enum Kind: String, Codable, Sendable, CaseIterable {
        case route, policy, pointer, rollout, decision, finding, key, token, price, windows
    }
}
