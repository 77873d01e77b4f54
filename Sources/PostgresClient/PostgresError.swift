/// What PostgreSQL, or the way to it, has to say against a request.
package struct PostgresError: Error, Sendable, Equatable, CustomStringConvertible {
    package var kind: Kind
    package var message: String
    package var detail: String?
    /// The constraint, table or column that the server names, if any.
    package var constraint: String?

    package init(_ kind: Kind, _ message: String, detail: String? = nil, constraint: String? = nil) {
        self.kind = kind
        self.message = message
        self.detail = detail
        self.constraint = constraint
    }

    /// libpq tells of a connection that was not made in words only. What no retry mends is known by the server's own.
    package init(connecting message: String) {
        let missing = message.contains("\" does not exist")
        let state: String? =
            if missing, message.contains("FATAL:  database \"") {
                "3D000"
            } else if missing, message.contains("FATAL:  role \"") {
                "28000"
            } else if message.contains("authentication failed") || message.contains("no password supplied") {
                "28P01"
            } else if message.contains("no pg_hba.conf entry") {
                "28000"
            } else {
                nil
            }
        self.init(state.map(Kind.server) ?? .connection, message)
    }

    package enum Kind: Sendable, Equatable {
        /// The server refused; a five-character SQLSTATE.
        case server(String)
        /// There is no connection, or it broke; nothing was committed by the statement unless `commitUnknown` says so.
        case connection
        /// The connection broke between sending COMMIT and hearing of it.
        case commitUnknown
        /// Every connection of the pool is in use and so many callers wait already, or one waited too long.
        case poolExhausted
        /// A value is not of the type that was asked for.
        case decoding
    }

    package var sqlState: String? {
        if case .server(let state) = kind { state } else { nil }
    }

    package var isUniqueViolation: Bool { sqlState == "23505" }
    /// The statement was cancelled, by its task or by the statement timeout.
    package var isCancelled: Bool { sqlState == "57014" }
    /// The transaction lost against another one and may be tried again.
    package var isConflict: Bool { sqlState == "40001" || sqlState == "40P01" }
    /// The server does not let this role in, or has no such database.
    package var isRefused: Bool { sqlState.map { $0.hasPrefix("28") || $0 == "3D000" } ?? false }
    /// The connection is of no more use.
    package var isConnectionLost: Bool {
        switch kind {
        case .connection, .commitUnknown: true
        case .server(let state): state.hasPrefix("08") || ["57P01", "57P02", "57P03"].contains(state)
        case .poolExhausted, .decoding: false
        }
    }

    package var description: String {
        let state = sqlState.map { " (SQLSTATE \($0))" } ?? ""
        return "PostgreSQL: \(message)\(state)" + (detail.map { " \($0)" } ?? "")
    }
}
