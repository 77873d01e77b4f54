import BlockingExecutors
import CPostgres

/// One connection, on a thread of its own: every call to libpq blocks that thread and nothing else.
///
/// A cancelled task cancels its statement at the server. A broken connection stays broken; a pool makes new ones.
@safe package actor PostgresConnection {
    private nonisolated let executor: ThreadExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    /// `nil` after `close()`. Only used on the actor's thread.
    private var handle: OpaquePointer?
    private var canceller: StatementCanceller?
    private var prepared: [String: String] = [:]

    /// Statements beyond these are planned each time.
    private static let preparedLimit = 256

    private init(executor: ThreadExecutor) { self.executor = executor }

    isolated deinit { if let handle = unsafe handle { unsafe PQfinish(handle) } }

    /// - Throws: `PostgresError` of kind `connection` when the server cannot be reached; of kind `server` when it refuses for
    ///   a reason that waiting does not mend: the database or the role.
    package static func connect(_ configuration: PostgresConfiguration) async throws -> PostgresConnection {
        let connection = PostgresConnection(executor: ThreadExecutor(name: "postgres"))
        try await connection.open(configuration)
        return connection
    }

    private func open(_ configuration: PostgresConfiguration) throws {
        let settings = [
            ("dbname", configuration.url), ("application_name", configuration.applicationName),
            ("connect_timeout", String(configuration.connectTimeoutSeconds)), ("client_encoding", "UTF8"),
            ("keepalives_idle", "15"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "20000"),
        ]
        let opened = unsafe withCStrings(settings.map(\.0)) { keywords in
            unsafe withCStrings(settings.map(\.1)) { values in unsafe PQconnectdbParams(keywords, values, 1) }
        }
        guard let opened = unsafe opened else { throw PostgresError(.connection, "There is no memory to connect.") }
        unsafe handle = opened
        guard unsafe PQstatus(opened) == CONNECTION_OK else {
            let error = PostgresError(connecting: unsafe message(of: opened))
            close()
            throw error
        }
        // libpq would print notices to the standard error stream.
        _ = unsafe PQsetNoticeProcessor(opened, { _, _ in }, nil)
        canceller = unsafe StatementCanceller(opened)
        _ = try run(
            """
            SELECT set_config('statement_timeout', $1, false), set_config('TimeZone', 'UTC', false),
                set_config('idle_in_transaction_session_timeout', $2, false), set_config('bytea_output', 'hex', false)
            """,
            [String(configuration.statementTimeoutMs), String(configuration.idleTransactionTimeoutMs)], prepare: false)
    }

    /// Ends the connection; every later call throws.
    package func close() {
        canceller = nil
        if let handle = unsafe handle { unsafe PQfinish(handle) }
        unsafe handle = nil
        executor.stop()
    }

    /// Whether the connection was whole when last used.
    package var isOpen: Bool {
        guard let handle = unsafe handle else { return false }
        return unsafe PQstatus(handle) == CONNECTION_OK
    }

    /// Whether a transaction is open, failed or not.
    package var isInTransaction: Bool {
        guard let handle = unsafe handle else { return false }
        return unsafe PQtransactionStatus(handle) != PQTRANS_IDLE
    }

    /// Whether a statement of the open transaction failed, so that the server would answer COMMIT with a rollback.
    var isTransactionFailed: Bool {
        guard let handle = unsafe handle else { return true }
        return unsafe PQtransactionStatus(handle) == PQTRANS_INERROR
    }

    // MARK: Statements

    /// Runs one parameterised statement (`$1`, `$2` …), prepared at its first use.
    ///
    /// - Throws: `PostgresError`; `CancellationError` when the task was cancelled.
    @discardableResult
    package func query(_ sql: String, _ parameters: [any PostgresEncodable] = []) async throws -> PostgresResult {
        try await cancellable { try $0.run(sql, parameters, prepare: true) }
    }

    /// Runs a script of statements without parameters, as one implicit transaction unless it says otherwise.
    package func script(_ sql: String) async throws {
        try await cancellable { connection in
            _ = try unsafe connection.finish(PQexec(try connection.live(), sql))
        }
    }

    /// Sends rows to a `COPY … FROM STDIN`; returns how many the server took.
    @discardableResult
    package func copy(_ sql: String, _ rows: CopyRows) async throws -> Int {
        try await cancellable { try $0.runCopy(sql, rows) }
    }

    /// Runs a statement whatever became of the task: the end of a transaction must not be skipped.
    func control(_ sql: String) throws { _ = try run(sql, [], prepare: false) }

    private func cancellable<Value: Sendable>(
        _ body: (isolated PostgresConnection) throws -> Value
    ) async throws -> Value {
        guard let canceller else { throw PostgresError(.connection, "The connection is closed.") }
        let statement = canceller.number()
        return try await withTaskCancellationHandler {
            canceller.begin(statement)
            defer { canceller.end() }
            try Task.checkCancellation()
            do {
                return try body(self)
            } catch let error as PostgresError where error.isCancelled && Task.isCancelled {
                throw CancellationError()
            }
        } onCancel: {
            canceller.cancel(statement)
        }
    }

    private func run(_ sql: String, _ parameters: [any PostgresEncodable], prepare: Bool) throws -> PostgresResult {
        let handle = unsafe try live()
        let values = parameters.map(\.postgresValue)
        let name = prepare ? try preparedName(sql) : nil
        let result = unsafe withParameters(values) { pointers, lengths, formats in
            let count = Int32(values.count)
            if let name { return unsafe PQexecPrepared(handle, name, count, pointers, lengths, formats, 0) }
            return unsafe PQexecParams(handle, sql, count, nil, pointers, lengths, formats, 0)
        }
        return try unsafe finish(result)
    }

    private func preparedName(_ sql: String) throws -> String? {
        if let name = prepared[sql] { return name }
        guard prepared.count < Self.preparedLimit else { return nil }
        let name = "s\(prepared.count)"
        _ = try unsafe finish(PQprepare(try live(), name, sql, 0, nil))
        prepared[sql] = name
        return name
    }

    private func runCopy(_ sql: String, _ rows: CopyRows) throws -> Int {
        let handle = unsafe try live()
        _ = try unsafe finish(PQexec(handle, sql))
        let chunk = 1 << 20
        var sent = true
        unsafe rows.bytes.withUnsafeBytes { bytes in
            for start in stride(from: 0, to: bytes.count, by: chunk) where sent {
                let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + chunk, bytes.count)])
                sent = unsafe PQputCopyData(handle, part.baseAddress, Int32(part.count)) == 1
            }
        }
        sent = unsafe sent && PQputCopyEnd(handle, nil) == 1
        let outcome = Result { try unsafe finish(PQgetResult(handle)) }
        while let rest = unsafe PQgetResult(handle) { unsafe PQclear(rest) }
        guard sent else { throw PostgresError(.connection, unsafe message(of: handle)) }
        return try outcome.get().affected
    }

    // MARK: Notifications

    package func listen(_ channel: String) async throws { try await script("LISTEN \"\(channel)\"") }

    /// Waits at most `milliseconds` for notifications on the channels listened to; empty when none came.
    /// Blocks this connection meanwhile, so it wants a connection of its own.
    package func notifications(waitingMs milliseconds: Int) throws -> [PostgresNotification] {
        let handle = unsafe try live()
        var found = try unsafe drain(handle)
        if found.isEmpty, unsafe waitUntilReadable(PQsocket(handle), milliseconds: milliseconds) {
            found = try unsafe drain(handle)
        }
        return found
    }

    private func drain(_ handle: OpaquePointer) throws -> [PostgresNotification] {
        guard unsafe PQconsumeInput(handle) == 1 else { throw lost(unsafe message(of: handle)) }
        var found: [PostgresNotification] = []
        while let next = unsafe PQnotifies(handle) {
            unsafe found.append(
                PostgresNotification(
                    channel: String(cString: next.pointee.relname), payload: String(cString: next.pointee.extra)))
            unsafe PQfreemem(next)
        }
        return found
    }

    // MARK: Outcomes

    private func live() throws -> OpaquePointer {
        guard let handle = unsafe handle else { throw PostgresError(.connection, "The connection is closed.") }
        return unsafe handle
    }

    private func finish(_ raw: OpaquePointer?) throws -> PostgresResult {
        guard let raw = unsafe raw else { throw lost(unsafe message(of: try live())) }
        defer { unsafe PQclear(raw) }
        switch unsafe PQresultStatus(raw) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY, PGRES_COPY_IN:
            return unsafe PostgresResult(copying: raw)
        default:
            let error = unsafe PostgresError(result: raw)
            if unsafe PQstatus(try live()) != CONNECTION_OK { throw lost(error.message) }
            throw error
        }
    }

    private func lost(_ message: String) -> PostgresError {
        prepared = [:]
        return PostgresError(.connection, message.isEmpty ? "The connection was lost." : message)
    }
}

/// What `NOTIFY` sent.
package struct PostgresNotification: Sendable, Equatable {
    package let channel: String
    package let payload: String

    package init(channel: String, payload: String) {
        self.channel = channel
        self.payload = payload
    }
}
