extension PostgresPool {
    /// How often a transaction that lost against another one, or whose connection broke, is tried in all.
    private static var attempts: Int { 4 }

    /// Runs `body` in a transaction: all of it or nothing. `body` is run again after a conflict (SQLSTATE 40001, 40P01)
    /// or a connection that broke before COMMIT was sent, so it must have no effects outside of the database.
    ///
    /// - Throws: `PostgresError` `commitUnknown` when the connection broke while COMMIT was on its way: only the caller
    ///   can find out whether it was done.
    @discardableResult
    package nonisolated func withTransaction<Value: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        var attempt = 1
        while true {
            do {
                return try await withConnection { try await $0.transaction(body) }
            } catch let error as PostgresError
                where attempt < Self.attempts && (error.isConflict || error.isConnectionLost)
                && error.kind != .commitUnknown
            {
                attempt += 1
            }
        }
    }
}

extension PostgresConnection {
    /// Runs `body` between BEGIN and COMMIT, once.
    @discardableResult
    package func transaction<Value: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try control("BEGIN")
        let value: Value
        do {
            value = try await body(self)
            try Task.checkCancellation()
            if isTransactionFailed {
                throw PostgresError(.server("25P02"), "A statement failed, so the transaction cannot be committed.")
            }
        } catch {
            // A connection that broke has no transaction any more; the error to tell of is the first one.
            try? control("ROLLBACK")
            throw error
        }
        do {
            try control("COMMIT")
        } catch let error as PostgresError where error.isConnectionLost {
            throw PostgresError(.commitUnknown, error.message)
        }
        return value
    }
}
