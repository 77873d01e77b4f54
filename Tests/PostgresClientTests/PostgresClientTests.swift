import PostgresClient
import TestSupport
import Testing

@Suite(.enabled(if: TestPostgres.missing == nil))
struct ConnectionTests {
    let configuration: PostgresConfiguration
    let connection: PostgresConnection

    init() async throws {
        configuration = PostgresConfiguration(url: try await TestPostgres.database())
        connection = try await .connect(configuration)
    }

    @Test func valuesComeBackAsTheyWent() async throws {
        let text = "tab\t quote' \"double\" back\\slash { , } 😀 \n end"
        let bytes: [UInt8] = Array(0...255)
        let result = try await connection.query(
            "SELECT $1::text AS t, $2::bigint AS i, $3::float8 AS d, $4::bytea AS b, $5::bool AS f, $6::text AS n",
            [text, Int64.min, 0.1 + 0.2, bytes, true, String?.none])
        let row = try #require(result.first)
        #expect(try row["t"] == text)
        #expect(try row["i"] == Int64.min)
        #expect(try row["d"] == 0.1 + 0.2)
        #expect(try row["b"] == bytes)
        #expect(try row["f"] == true)
        let missing: String? = try row["n"]
        #expect(missing == nil)
        for column in ["t", "n", "no_such_column"] {
            #expect(throws: PostgresError.self) { try row[column] as Int }
        }
    }

    @Test func arraysBecomeRows() async throws {
        let texts: [String?] = ["a,b", "{\"x\": \"\\\\\"}", nil, "", "NULL"]
        let blobs: [[UInt8]] = [[], [0], [1, 2], [255], [92]]
        let result = try await connection.query(
            "SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[]) AS r(t, b, i)",
            [PostgresArray(texts), PostgresArray(blobs), PostgresArray([Int64(1), 2, 3, 4, 5])])
        #expect(try result.rows.map { try $0["t"] as String? } == texts)
        #expect(try result.rows.map { try $0["b"] as [UInt8] } == blobs)
        #expect(try result.rows.map { try $0["i"] as Int } == [1, 2, 3, 4, 5])
    }

    @Test func aZeroCharacterDoesNotCutText() async throws {
        let row = try #require(try await connection.query("SELECT $1::text AS t", ["a\0b"]).first)
        #expect(try row["t"] == "a\u{fffd}b")
    }

    @Test func errorsCarryTheirState() async throws {
        try await connection.script("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))")
        try await connection.query("INSERT INTO t VALUES (1, 1)")
        let duplicate = await failure { try await connection.query("INSERT INTO t VALUES (1, 1)") }
        #expect(duplicate?.isUniqueViolation == true)
        #expect(duplicate?.constraint == "t_pkey")
        let syntax = await failure { try await connection.query("SELEKT 1") }
        #expect(syntax?.sqlState == "42601")
        #expect(try await connection.query("SELECT n FROM t").count == 1, "an error must not spoil the connection")
    }

    @Test func copyTakesAwkwardFields() async throws {
        try await connection.script("CREATE TABLE t (a bigint, b text, c bytea)")
        var rows = CopyRows()
        let texts: [String?] = ["x\ty", "line\nline\r", "\\N", nil, "", "\\."]
        for (index, text) in texts.enumerated() { rows.append([index, text, [UInt8(index), 0, 255]]) }
        #expect(try await connection.copy("COPY t FROM STDIN", rows) == texts.count)
        let result = try await connection.query("SELECT * FROM t ORDER BY a")
        #expect(try result.rows.map { try $0["b"] as String? } == texts)
        #expect(try result.rows.map { try $0["c"] as [UInt8] }.first == [0, 0, 255])
    }

    @Test func aRefusedCopyLeavesTheConnectionUsable() async throws {
        try await connection.script("CREATE TABLE t (a int)")
        var rows = CopyRows()
        rows.append(["no number"])
        let error = await failure { try await connection.copy("COPY t FROM STDIN", rows) }
        #expect(error?.sqlState == "22P02")
        #expect(try await connection.query("SELECT 1 AS one").count == 1)
    }

    @Test func notificationsArriveAfterCommit() async throws {
        let sender = try await PostgresConnection.connect(configuration)
        try await connection.listen("news")
        #expect(try await connection.notifications(waitingMs: 0).isEmpty)
        try await sender.transaction { try await $0.query("SELECT pg_notify('news', 'hello')") }
        let found = try await eventually { [connection] in
            try await connection.notifications(waitingMs: 100)
                == [PostgresNotification(channel: "news", payload: "hello")]
        }
        #expect(found)
    }

    @Test(.timeLimit(.minutes(1)))
    func aCancelledTaskCancelsItsStatement() async throws {
        let slow = Task { [connection] in try await connection.query("SELECT pg_sleep(600)") }
        let watcher = try await PostgresConnection.connect(
            PostgresConfiguration(url: TestPostgres.cluster.url(database: "postgres")))
        let running = try await eventually {
            try await watcher.query(
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%' AND state = 'active'"
            ).count > 0
        }
        #expect(running)
        slow.cancel()
        await #expect(throws: CancellationError.self) { _ = try await slow.value }
        #expect(try await connection.query("SELECT 1 AS one").count == 1)
    }

    @Test(.timeLimit(.minutes(1)))
    func theServerEndsAStatementThatTakesTooLong() async throws {
        var configuration = PostgresConfiguration(url: try await TestPostgres.database())
        configuration.statementTimeoutMs = 50
        let connection = try await PostgresConnection.connect(configuration)
        let error = await failure { try await connection.query("SELECT pg_sleep(600)") }
        #expect(error?.isCancelled == true)
    }

    /// Neither is mended by waiting, so neither is a lost connection.
    @Test func aRefusalIsNotALostConnection() async throws {
        let known = try await TestPostgres.database()
        let database = try await TestPostgres.cluster.url(database: "never-made")
        for (url, state) in [(database, "3D000"), (known.replacing("user=trimtab", with: "user=nobody"), "28000")] {
            let error = await failure { try await PostgresConnection.connect(PostgresConfiguration(url: url)) }
            #expect(error?.sqlState == state && error?.isRefused == true && error?.isConnectionLost == false, "\(url)")
        }
    }

    @Test(arguments: [
        ("connection to server at \"h\", port 1 failed: FATAL:  database \"x\" does not exist", "3D000"),
        (
            "connection to server at \"h\", port 1 failed: FATAL:  password authentication failed for user \"u\"",
            "28P01"
        ),
        ("connection to server at \"h\", port 1 failed: fe_sendauth: no password supplied", "28P01"),
        ("connection to server at \"h\", port 1 failed: FATAL:  sorry, too many clients already", nil),
        ("connection to server at \"h\", port 1 failed: FATAL:  the database system is starting up", nil),
        ("connection to server at \"h\", port 1 failed: Connection refused", nil),
    ])
    func refusalsAreKnownByTheirWords(message: String, state: String?) {
        #expect(PostgresError(connecting: message).sqlState == state)
    }

    @Test func anUnreachableServerIsAConnectionError() async throws {
        let error = await failure {
            try await PostgresConnection.connect(PostgresConfiguration(url: "host=/nonexistent dbname=x"))
        }
        #expect(error?.isConnectionLost == true)
    }
}

/// The error that PostgreSQL answers with, or `nil` when it takes what it is given.
private func failure(_ body: () async throws -> some Any) async -> PostgresError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? PostgresError
    }
}
