import PostgresClient
import TestSupport
import Testing

@Suite(.enabled(if: TestPostgres.missing == nil), .timeLimit(.minutes(2)))
struct PoolTests {
    private func pool(_ change: (inout PostgresPool.Limits) -> Void = { _ in }) async throws -> PostgresPool {
        var limits = PostgresPool.Limits()
        change(&limits)
        return PostgresPool(PostgresConfiguration(url: try await TestPostgres.database()), limits: limits)
    }

    @Test func neverMoreConnectionsThanAllowed() async throws {
        let pool = try await pool { $0.connections = 3 }
        let gauge = Gauge()
        let served = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<60 {
                group.addTask {
                    try await pool.withConnection { connection in
                        await gauge.add(1)
                        let row = try await connection.query("SELECT $1::int AS n", [number]).first
                        await gauge.add(-1)
                        return try row?["n"] ?? -1
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(served.sorted() == Array(0..<60))
        #expect(await gauge.most <= 3)
        await pool.close()
    }

    @Test func aFullLineRefusesAtOnceAndALongWaitEnds() async throws {
        let pool = try await pool {
            $0.connections = 1
            $0.waiters = 1
        }
        try await pool.withConnection { _ in
            let late = await #expect(throws: PostgresError.self) {
                try await pool.withConnection(wait: .milliseconds(20)) { _ in }
            }
            #expect(late?.kind == .poolExhausted)
            let waiting = Task { try await pool.withConnection { _ in } }
            let inLine = try await eventually { await pool.waiting == 1 }
            #expect(inLine)
            let refused = await #expect(throws: PostgresError.self) { try await pool.withConnection { _ in } }
            #expect(refused?.message.contains("line is full") == true)
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
        }
        let count = try await pool.withConnection { try await $0.query("SELECT 1 AS one").count }
        #expect(count == 1)
        await pool.close()
        await #expect(throws: PostgresError.self) { try await pool.withConnection { _ in } }
    }

    @Test func transactionsAreAllOrNothing() async throws {
        struct Stop: Error {}
        let pool = try await pool()
        try await pool.withConnection { try await $0.script("CREATE TABLE t (n int)") }
        await #expect(throws: Stop.self) {
            try await pool.withTransaction { connection in
                try await connection.query("INSERT INTO t VALUES (1)")
                throw Stop()
            }
        }
        let swallowed = await #expect(throws: PostgresError.self) {
            try await pool.withTransaction { connection in
                try await connection.query("INSERT INTO t VALUES (2)")
                _ = try? await connection.query("SELECT 1/0")
            }
        }
        #expect(swallowed?.sqlState == "25P02", "a failed statement must not look like a commit")
        #expect(try await pool.withConnection { try await $0.query("SELECT * FROM t").count } == 0)
        try await pool.withTransaction { try await $0.query("INSERT INTO t VALUES (3)") }
        #expect(try await pool.withConnection { try await $0.query("SELECT * FROM t").count } == 1)
        await pool.close()
    }

    @Test func conflictsAreTriedAgain() async throws {
        let pool = try await pool()
        try await pool.withConnection { try await $0.script("CREATE TABLE t (n int); INSERT INTO t VALUES (0)") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    try await pool.withTransaction { connection in
                        try await connection.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                        let row = try await connection.query("SELECT n FROM t").first
                        let n: Int = try row?["n"] ?? 0
                        try await connection.query("UPDATE t SET n = $1", [n + 1])
                    }
                }
            }
            try await group.waitForAll()
        }
        let row = try await pool.withConnection { try await $0.query("SELECT n FROM t").first }
        #expect(try row?["n"] == 2)
        await pool.close()
    }

    @Test func aBrokenConnectionIsReplacedAndItsTransactionTriedAgain() async throws {
        let pool = try await pool { $0.connections = 2 }
        try await pool.withConnection { try await $0.script("CREATE TABLE t (n int)") }
        let tries = Gauge()
        try await pool.withTransaction { connection in
            try await connection.query("INSERT INTO t VALUES (1)")
            await tries.add(1)
            if await tries.most == 1 {
                let row = try await connection.query("SELECT pg_backend_pid() AS pid").first
                let pid: Int = try row?["pid"] ?? 0
                try await pool.withConnection { try await $0.query("SELECT pg_terminate_backend($1)", [pid]) }
            }
            try await connection.query("INSERT INTO t VALUES (2)")
        }
        #expect(await tries.most == 2)
        #expect(try await pool.withConnection { try await $0.query("SELECT * FROM t").count } == 2)
        await pool.close()
    }
}

private actor Gauge {
    private var now = 0
    private(set) var most = 0

    func add(_ change: Int) {
        now += change
        most = max(most, now)
    }
}
