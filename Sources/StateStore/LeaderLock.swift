package import PostgresClient

/// Lets one process of several lead. The lock lives as long as its connection, so a leader that dies or is cut off
/// makes room by itself; the epoch fences what it may still try to write.
package actor LeaderLock {
    private let configuration: PostgresConfiguration
    private let name: String
    private let holder: String
    private let silenceMs: Int64
    private var connection: PostgresConnection?
    private var epoch: Int64?

    /// - Parameters:
    ///   - name: what is led.
    ///   - holder: this process, shown to people.
    ///   - silenceMs: a leader that PostgreSQL hears nothing of for so long leads no more. The connection of a machine that
    ///     lost its power or its network, or of a process that hangs, would otherwise keep the lock for hours.
    package init(
        _ configuration: PostgresConfiguration, name: String = "control", holder: String, silenceMs: Int64 = 30_000
    ) {
        self.configuration = configuration
        self.name = name
        self.holder = holder
        self.silenceMs = silenceMs
    }

    /// Looks whether this process leads, and tries to if no other does; to be called every second or so.
    ///
    /// - Returns: The epoch of this leadership; `nil` while another process leads.
    /// - Throws: `TrimtabError` `store.unavailable`; this process then leads no more.
    package func lead() async throws -> Int64? {
        do {
            return try await storing { try await holdOrTake() }
        } catch {
            await release()
            throw error
        }
    }

    /// Gives leadership up, if this process has it.
    package func release() async {
        let former = connection
        connection = nil
        epoch = nil
        await former?.close()
    }

    private func holdOrTake() async throws -> Int64? {
        let connection: PostgresConnection
        if let open = self.connection {
            connection = open
        } else {
            connection = try await PostgresConnection.connect(configuration)
            self.connection = connection
            try await connection.query("SELECT set_config('idle_session_timeout', $1, false)", [String(silenceMs)])
        }
        if let epoch {
            // A lock is lost only with its connection, so an answer says that it is still held.
            try await connection.query("SELECT 1 AS one")
            return epoch
        }
        let row = try await connection.query(
            "SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS taken", ["trimtab.leader." + name]
        ).first
        guard try row?["taken"] == true else { return nil }
        epoch = try await connection.query(
            """
            INSERT INTO leaders (name, epoch, holder) VALUES ($1, 1, $2)
            ON CONFLICT (name) DO UPDATE SET epoch = leaders.epoch + 1, holder = EXCLUDED.holder RETURNING epoch
            """, [name, holder]
        ).first?["epoch"]
        return epoch
    }
}
