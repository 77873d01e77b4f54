/// What a gateway last said of itself.
package struct GatewayStatus: Codable, Sendable, Equatable {
    package var id: String
    /// The epoch of the routing table it serves.
    package var epoch: Int64
    /// Since when it serves that.
    package var epochAt: Int64
    package var seenAt: Int64
    /// When the oldest record that it has and the event log has not was written; `nil` if the log has them all.
    package var unshippedSince: Int64?

    package init(id: String, epoch: Int64, epochAt: Int64? = nil, seenAt: Int64, unshippedSince: Int64? = nil) {
        self.id = id
        self.epoch = epoch
        self.epochAt = epochAt ?? seenAt
        self.seenAt = seenAt
        self.unshippedSince = unshippedSince
    }

    enum CodingKeys: String, CodingKey {
        case id, epoch
        case epochAt = "epoch_at"
        case seenAt = "seen_at"
        case unshippedSince = "unshipped_since"
    }
}
