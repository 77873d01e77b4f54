package import PostgresClient

extension PostgresConfiguration {
    /// One attempt to connect, of two seconds for each server: for a command or a start that shall not wait long.
    ///
    /// - Throws: `TrimtabError` `store.unavailable` or `store.refused`.
    package func probe() async throws {
        var short = self
        short.connectTimeoutSeconds = 2
        let configuration = short
        try await storing { try await PostgresConnection.connect(configuration).close() }
    }
}
