/// A bounded set of connections. When all are in use callers wait in line; when the server is away they wait for it,
/// with growing pauses between the attempts to reach it.
package actor PostgresPool {
    package nonisolated let configuration: PostgresConfiguration
    private nonisolated let limits: Limits

    private var idle: [PostgresConnection] = []
    /// Connections that exist or are being made.
    private var open = 0
    private var waiters: [Waiter] = []
    private var lastWaiter: UInt64 = 0
    private var closed = false

    package struct Limits: Sendable {
        /// Connections, and so threads.
        package var connections = 8
        /// Callers in line; one more is refused at once.
        package var waiters = 256
        /// How long a caller waits for a connection, be it in line or for the server.
        package var wait: Duration = .seconds(10)
        /// Pause after the first failed attempt to connect; it doubles up to `longestPause`.
        package var firstPause: Duration = .milliseconds(50)
        package var longestPause: Duration = .seconds(2)
        package init() {}
    }

    private struct Waiter {
        let id: UInt64
        /// `nil` passes the right to make a connection on.
        let continuation: CheckedContinuation<PostgresConnection?, any Error>
    }

    package init(_ configuration: PostgresConfiguration, limits: Limits = .init()) {
        self.configuration = configuration
        self.limits = limits
    }

    /// Lends a connection to `body`; a transaction that `body` left open is rolled back.
    ///
    /// - Parameter wait: how long to wait for a connection, if not as long as the limits say.
    /// - Throws: `PostgresError` `poolExhausted` or `connection`, `CancellationError`, or what `body` throws.
    @discardableResult
    package nonisolated func withConnection<Value: Sendable>(
        wait: Duration? = nil, _ body: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await acquire(wait: wait ?? limits.wait)
        do {
            let value = try await body(connection)
            await release(connection)
            return value
        } catch {
            await release(connection)
            throw error
        }
    }

    /// Ends all idle connections, and the lent ones as they come back; waiting callers get an error.
    package func close() async {
        closed = true
        for waiter in waiters { waiter.continuation.resume(throwing: Self.closedError) }
        waiters = []
        let ending = idle
        idle = []
        open -= ending.count
        for connection in ending { await connection.close() }
    }

    private static let closedError = PostgresError(.connection, "The connection pool is closed.")

    /// Callers in line.
    package var waiting: Int { waiters.count }

    // MARK: Lending

    private func acquire(wait: Duration) async throws -> PostgresConnection {
        let deadline = ContinuousClock.now + wait
        while let connection = idle.popLast() {
            if await connection.isOpen { return connection }
            await connection.close()
            open -= 1
        }
        if closed { throw Self.closedError }
        if open >= limits.connections, let connection = try await waitInLine(until: deadline) { return connection }
        if closed { throw Self.closedError }
        return try await connect(until: deadline)
    }

    /// Takes up one place and fills it.
    private func connect(until deadline: ContinuousClock.Instant) async throws -> PostgresConnection {
        open += 1
        var pause = limits.firstPause
        while true {
            do {
                let connection = try await PostgresConnection.connect(configuration)
                return connection
            } catch {
                let next = ContinuousClock.now + pause
                guard (error as? PostgresError)?.isConnectionLost == true, next < deadline, !closed else {
                    giveUpPlace()
                    throw error
                }
            }
            do {
                try await Task.sleep(for: pause / Double.random(in: 1...2))
            } catch {
                giveUpPlace()
                throw error
            }
            pause = min(pause * 2, limits.longestPause)
        }
    }

    private func waitInLine(until deadline: ContinuousClock.Instant) async throws -> PostgresConnection? {
        guard waiters.count < limits.waiters else {
            throw PostgresError(
                .poolExhausted, "All \(limits.connections) connections are in use and the line is full.")
        }
        lastWaiter += 1
        let id = lastWaiter
        let timer = Task { [weak self] in
            try await Task.sleep(until: deadline, clock: .continuous)
            await self?.fail(id, PostgresError(.poolExhausted, "No connection became free in time."))
        }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
                waiters.append(Waiter(id: id, continuation: continuation))
            }
        } onCancel: {
            Task { await self.fail(id, CancellationError()) }
        }
    }

    private func fail(_ id: UInt64, _ error: any Error) {
        guard let at = waiters.firstIndex(where: { $0.id == id }) else { return }
        waiters.remove(at: at).continuation.resume(throwing: error)
    }

    private func release(_ connection: PostgresConnection) async {
        if await connection.isInTransaction { try? await connection.control("ROLLBACK") }
        guard await connection.isOpen, !closed else {
            await connection.close()
            return giveUpPlace()
        }
        if waiters.isEmpty {
            idle.append(connection)
        } else {
            waiters.removeFirst().continuation.resume(returning: connection)
        }
    }

    /// Frees the place of a connection that is no more; the first in line may make a new one.
    private func giveUpPlace() {
        open -= 1
        if !waiters.isEmpty { waiters.removeFirst().continuation.resume(returning: nil) }
    }
}
