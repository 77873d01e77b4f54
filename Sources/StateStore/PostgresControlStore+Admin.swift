package import ControlLoop
package import Core
package import Policy
import PostgresClient

extension PostgresControlStore {
    package func keys() async throws -> [VirtualKey] {
        try await rows("SELECT * FROM keys ORDER BY name") { try VirtualKey($0) }
    }

    package func create(_ key: VirtualKey, by actor: String) async throws {
        try await insert("key", key.name, by: actor, now: key.createdAt) { connection in
            try await connection.query(
                "INSERT INTO keys (name, project, digest, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5)",
                [key.name, key.project, key.digest, key.createdAt, key.revokedAt])
            try await connection.raiseRevision("keys")
        }
    }

    package func revokeKey(_ name: String, by actor: String, now: Int64) async throws {
        try await revoke("key", name, by: actor, now: now) { try await $0.raiseRevision("keys") }
    }

    package func tokens() async throws -> [OperatorToken] {
        try await rows("SELECT * FROM tokens ORDER BY name") { try OperatorToken($0) }
    }

    package func token(digest: String) async throws -> OperatorToken? {
        try await rows("SELECT * FROM tokens WHERE digest = $1 AND revoked_at IS NULL", [digest]) {
            try OperatorToken($0)
        }.first
    }

    package func create(_ token: OperatorToken, by actor: String) async throws {
        try await insert("token", token.name, by: actor, now: token.createdAt) { connection in
            try await connection.query(
                "INSERT INTO tokens (name, role, digest, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5)",
                [token.name, token.role.rawValue, token.digest, token.createdAt, token.revokedAt])
        }
    }

    package func revokeToken(_ name: String, by actor: String, now: Int64) async throws {
        try await revoke("token", name, by: actor, now: now) { _ in }
    }

    package func setPrices(_ prices: [String: TokenPrice?], by actor: String, now: Int64) async throws -> PriceBook {
        try await storing {
            try await pool.withTransaction { connection in
                // The revision's row orders the books.
                let revision = try await connection.raiseRevision("prices")
                var book = try await connection.priceBook()
                for (key, price) in prices { book.prices[key] = price }
                book.id = book.nextID(now: now)
                try await connection.query(
                    "INSERT INTO prices (revision, at, actor, document) VALUES ($1, $2, $3, $4)",
                    [revision, now, actor, try StoredDocument.encode(book)])
                try await connection.audit(actor, "price.set", subject: book.id, now: now)
                try await connection.notify(Change(kind: .price, route: nil, id: book.id))
                return book
            }
        }
    }

    package func gateways() async throws -> [GatewayStatus] {
        try await rows("SELECT * FROM gateways ORDER BY id") { row in
            GatewayStatus(
                id: try row["id"], epoch: try row["epoch"], epochAt: try row["epoch_at"], seenAt: try row["seen_at"],
                unshippedSince: try row["unshipped_since"])
        }
    }

    package func changes() async throws -> AsyncStream<Change> {
        try await storing {
            try await PostgresListener.stream(
                pool.configuration, channel: "trimtab_change", keeping: Change.bufferLimit
            ) { notification in
                try? StoredDocument.decode(notification.payload, as: Change.self)
            }
        }
    }

    package func ping() async -> String? {
        do {
            try await pool.withConnection(wait: .seconds(2)) { try await $0.query("SELECT 1 AS one") }
            return nil
        } catch {
            return "\(error)"
        }
    }

    // MARK: Keys and tokens alike

    private func insert(
        _ noun: String, _ name: String, by actor: String, now: Int64,
        _ body: @escaping @Sendable (PostgresConnection) async throws -> Void
    ) async throws {
        do {
            try await storing {
                try await pool.withTransaction { connection in
                    try await body(connection)
                    try await connection.audit(actor, "\(noun).create", subject: name, now: now)
                    try await connection.notify(Change(kind: noun == "key" ? .key : .token, route: nil, id: name))
                }
            }
        } catch let error as PostgresError where error.isUniqueViolation {
            throw TrimtabError(
                "store.exists", "There is a \(noun) named '\(name)' already.", remedy: "Choose another name.")
        }
    }

    private func revoke(
        _ noun: String, _ name: String, by actor: String, now: Int64,
        _ body: @escaping @Sendable (PostgresConnection) async throws -> Void
    ) async throws {
        try await storing {
            try await pool.withTransaction { connection in
                let found = try await connection.query(
                    "SELECT revoked_at FROM \(noun)s WHERE name = $1 FOR UPDATE", [name])
                guard let row = found.first else {
                    throw TrimtabError(
                        "store.not_found", "There is no \(noun) named '\(name)'.",
                        remedy: "List them with `trimtab \(noun)s`.")
                }
                let before: Int64? = try row["revoked_at"]
                guard before == nil else { return }
                try await connection.query("UPDATE \(noun)s SET revoked_at = $2 WHERE name = $1", [name, now])
                try await body(connection)
                try await connection.audit(actor, "\(noun).revoke", subject: name, now: now)
                try await connection.notify(Change(kind: noun == "key" ? .key : .token, route: nil, id: name))
            }
        }
    }
}

extension VirtualKey {
    init(_ row: PostgresRow) throws {
        self.init(
            name: try row["name"], project: try row["project"], digest: try row["digest"],
            createdAt: try row["created_at"])
        revokedAt = try row["revoked_at"]
    }
}

extension OperatorToken {
    init(_ row: PostgresRow) throws {
        self.init(
            name: try row["name"], role: try enumerated(try row["role"]), digest: try row["digest"],
            createdAt: try row["created_at"])
        revokedAt = try row["revoked_at"]
    }
}
