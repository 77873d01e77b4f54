package import PostgresClient

/// Keeps records that could not be counted: what a collector could not read, and what the stream refused.
package struct DeadLetterStore: Sendable {
    package struct Row: Sendable {
        var topic: String
        var partition: Int
        var offset: Int64
        var at: Int64
        var reason: String
        var detail: String
        var raw: [UInt8]

        /// - Parameter at: milliseconds since the epoch.
        package init(
            topic: String, partition: Int, offset: Int64, at: Int64, reason: String, detail: String, raw: [UInt8]
        ) {
            (self.topic, self.partition, self.offset, self.at) = (topic, partition, offset, at)
            (self.reason, self.detail, self.raw) = (reason, detail, raw)
        }
    }

    private let pool: PostgresPool

    package init(_ pool: PostgresPool) { self.pool = pool }

    /// Keeps each once, however often it comes.
    package func insert(_ rows: [Row]) async throws {
        try await pool.withConnection { try await Self.insert(rows, $0) }
    }

    /// As part of the caller's transaction.
    static func insert(_ rows: [Row], _ connection: PostgresConnection) async throws {
        guard !rows.isEmpty else { return }
        _ = try await connection.query(
            """
            INSERT INTO dead_letters (topic, partition, "offset", at, reason, detail, raw)
            SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])
            ON CONFLICT DO NOTHING
            """,
            [
                PostgresArray(rows.map(\.topic)), PostgresArray(rows.map(\.partition)),
                PostgresArray(rows.map(\.offset)), PostgresArray(rows.map(\.at)), PostgresArray(rows.map(\.reason)),
                PostgresArray(rows.map(\.detail)), PostgresArray(rows.map(\.raw)),
            ])
    }
}
