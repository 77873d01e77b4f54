package import Core

/// `gateway.local_log`: where the gateway keeps its records until they are read or shipped.
package struct LocalLogSettings: Sendable, Equatable {
    /// The database file; `-wal`, `-shm` and `.lock` lie beside it.
    package var path: String
    /// Names the producer together with the run; unique among all gateways.
    package var gatewayID: String
    /// 1...4096; fixed when the file is made. With Kafka, the topic's own count.
    package var partitions: Int
    /// Bytes of records kept; past it the oldest go.
    package var maxBytes: Int64 = 1 << 30
    /// How long what the stream has stored stays for replays, milliseconds; what it has not stays until `maxBytes`.
    package var retentionMs: Int64 = 7 * 86_400_000
    /// 1...30: how long a record may wait in memory, milliseconds. With the write itself this stays far below the
    /// 100 ms after which a record survives a kill.
    package var flushMs = 20
    /// Records that may wait in memory; past it new ones are dropped and counted.
    package var queueLimit = 32_768
    /// Bound on the file in pages of 16 KiB, for tests of a full disk; `nil` leaves SQLite's own.
    package var pageLimit: Int?

    package static let embeddedPartitions = 4
    package static let kafkaPartitions = 12

    package init(path: String, gatewayID: String, partitions: Int = LocalLogSettings.embeddedPartitions) {
        self.path = path
        self.gatewayID = gatewayID
        self.partitions = partitions
    }

    /// - Throws: `TrimtabError` that names the first key out of its range.
    package func validate() throws(TrimtabError) {
        func check(_ key: String, _ value: some CustomStringConvertible, _ valid: Bool, _ allowed: String)
            throws(TrimtabError)
        {
            guard !valid else { return }
            throw TrimtabError(
                "config.out_of_range", "gateway.local_log.\(key) is \(value).", remedy: "Set it to \(allowed).")
        }
        let slash = gatewayID.contains("/")
        try check("path", "'\(path)'", !path.isEmpty, "the path of a file")
        try check("gateway_id", "'\(gatewayID)'", !gatewayID.isEmpty && !slash, "a name without '/'")
        try check("partitions", partitions, (1...4096).contains(partitions), "1 to 4096")
        try check("max_bytes", maxBytes, maxBytes >= 1 << 16, "65536 or more")
        try check("retention_hours", Double(retentionMs) / 3_600_000, retentionMs > 0, "more than 0")
        try check("flush_ms", flushMs, (1...30).contains(flushMs), "1 to 30 ms")
        try check("queue_limit", queueLimit, queueLimit > 0, "1 or more")
    }
}
