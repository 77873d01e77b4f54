/// Notifications from the server, over a connection of its own that is made again whenever it breaks.
package enum PostgresListener {
    private static let pollMs = 500
    private static let retryPause = Duration.seconds(1)

    /// Listens on `channel` from the return of this function on, until the stream is no longer read.
    ///
    /// - Parameters:
    ///   - limit: so many unread elements are kept; the oldest go first. What is sent while the connection is broken is
    ///     lost.
    ///   - transform: makes an element of a notification, or `nil` to pass over it.
    package static func stream<Element: Sendable>(
        _ configuration: PostgresConfiguration, channel: String, keeping limit: Int,
        _ transform: @escaping @Sendable (PostgresNotification) -> Element?
    ) async throws -> AsyncStream<Element> {
        let first = try await connect(configuration, channel)
        let (stream, continuation) = AsyncStream.makeStream(
            of: Element.self, bufferingPolicy: .bufferingNewest(limit))
        let task = Task {
            var connection: PostgresConnection? = first
            while !Task.isCancelled {
                do {
                    let current: PostgresConnection
                    if let connection {
                        current = connection
                    } else {
                        current = try await connect(configuration, channel)
                    }
                    connection = current
                    for notification in try await current.notifications(waitingMs: pollMs) {
                        if let element = transform(notification) { continuation.yield(element) }
                    }
                } catch {
                    await connection?.close()
                    connection = nil
                    try? await Task.sleep(for: retryPause)
                }
            }
            await connection?.close()
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    private static func connect(
        _ configuration: PostgresConfiguration, _ channel: String
    ) async throws -> PostgresConnection {
        let connection = try await PostgresConnection.connect(configuration)
        try await connection.listen(channel)
        return connection
    }
}
