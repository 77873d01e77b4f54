import Core
import Foundation
import GRDB

/// The local log's file: one row per batch and partition.
///
/// WAL with `synchronous=NORMAL`: a commit is a write to the page cache, which outlives a killed process, and nothing
/// waits for the disk except at checkpoints. A power cut may cost the last commits but never the file, which OFF could
/// cost, and with it the run number that keeps sequence numbers from being used twice.
struct LocalLogStore: Sendable {
    /// What a gateway needs to know to write on.
    struct Opened: Sendable {
        var run: Int64
        var nextOffsets: [Int64]
        var bytes: Int64
    }

    struct Row: Sendable {
        var partition: Int
        var baseOffset: Int64
        var count: Int
        var payload: [UInt8]
        var firstSeq: Int64
        /// When it was written, milliseconds since the epoch.
        var at: Int64
        /// The largest `at` of its records.
        var largestAt: Int64
    }

    /// A row that was deleted: it had to make room, or was old enough.
    struct Evicted: Sendable {
        var partition: Int
        var nextOffset: Int64
        var count: Int
        var bytes: Int64
    }

    /// What leads from one format to the next; a file's `user_version` counts those it has been through.
    private static let migrations = [
        """
        CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE partitions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
        CREATE TABLE batches (
            id INTEGER PRIMARY KEY, partition INTEGER NOT NULL, base_offset INTEGER NOT NULL, count INTEGER NOT NULL,
            bytes INTEGER NOT NULL, producer TEXT NOT NULL, first_seq INTEGER NOT NULL, at INTEGER NOT NULL,
            payload BLOB NOT NULL, UNIQUE (partition, base_offset));
        """,
        // NULL in rows of the first format: `at`, when they were written, is no earlier than their records.
        "ALTER TABLE batches ADD COLUMN largest_at INTEGER;",
    ]
    static var version: Int { migrations.count }
    /// Rows deleted for their age in one go, so that the writer is not held up.
    private static let expiryLimit = 10_000

    /// Four times SQLite's own, since a batch's blob is tens of kilobytes and every page is a write of its own.
    private static let pageSize = 16_384

    private let queue: DatabaseQueue

    init(path: String, pageLimit: Int? = nil) throws {
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.busyMode = .timeout(5)
        configuration.label = "trimtab.local_log"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA page_size = \(Self.pageSize)")
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
            if let pageLimit { try database.execute(sql: "PRAGMA max_page_count = \(pageLimit)") }
        }
        // Records name keys and users. SQLite gives the files beside it the same permissions.
        let descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor >= 0 { Foundation.close(descriptor) }
        queue = try DatabaseQueue(path: path, configuration: configuration)
    }

    /// A connection of its own that only reads; a reader never holds up the writer in WAL mode.
    static func reading(path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        configuration.label = "trimtab.local_log.reader"
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Brings the file into the present format, checks the partition count and takes the next run number.
    ///
    /// - Parameter firstRun: The run number of a new file. The clock's seconds, so that a gateway whose file was
    ///   deleted does not number its records a second time under the same name.
    func open(partitions: Int, firstRun: Int64) throws -> Opened {
        try queue.write { database in
            let version = try Self.version(of: database)
            guard version <= Self.version else { throw LocalLogFault.version(version) }
            for migration in Self.migrations[version...] { try database.execute(sql: migration) }
            try database.execute(sql: "PRAGMA user_version = \(Self.version)")
            if version == 0 {
                try database.execute(
                    sql: "INSERT INTO meta VALUES ('partitions', ?), ('run', ?)", arguments: [partitions, firstRun - 1])
                for partition in 0..<partitions {
                    try database.execute(sql: "INSERT INTO partitions VALUES (?, 0)", arguments: [partition])
                }
            }
            let stored = try Int.fetchOne(database, sql: "SELECT value FROM meta WHERE key = 'partitions'") ?? 0
            guard stored == partitions else { throw LocalLogFault.partitions(stored: stored, wanted: partitions) }
            try database.execute(sql: "UPDATE meta SET value = value + 1 WHERE key = 'run'")
            return Opened(
                run: try Int64.fetchOne(database, sql: "SELECT value FROM meta WHERE key = 'run'") ?? firstRun,
                nextOffsets: try Self.endOffsets(database),
                bytes: try Int64.fetchOne(database, sql: "SELECT SUM(bytes) FROM batches") ?? 0)
        }
    }

    /// Writes the rows in one transaction and makes room for them: all or nothing.
    func write(_ rows: [Row], producer: String, bytes: Int64, maxBytes: Int64) throws -> [Evicted] {
        try queue.write { database in
            let insert = try database.cachedStatement(
                sql: """
                    INSERT INTO batches (partition, base_offset, count, bytes, producer, first_seq, at, largest_at, payload)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            let advance = try database.cachedStatement(
                sql: "UPDATE partitions SET next_offset = ? WHERE partition = ?")
            var total = bytes
            for row in rows {
                try insert.execute(arguments: [
                    row.partition, row.baseOffset, row.count, row.payload.count, producer, row.firstSeq, row.at,
                    row.largestAt,
                    Data(row.payload),
                ])
                try advance.execute(arguments: [row.baseOffset + Int64(row.count), row.partition])
                total += Int64(row.payload.count)
            }
            return try total > maxBytes ? Self.evict(total - maxBytes, from: database) : []
        }
    }

    private static func evict(_ excess: Int64, from database: Database) throws -> [Evicted] {
        var evicted: [Evicted] = []
        var freed: Int64 = 0
        var last: Int64 = 0
        let oldest = try SQLRow.fetchCursor(
            database, sql: "SELECT id, partition, base_offset, count, bytes FROM batches ORDER BY id")
        while freed < excess, let row = try oldest.next() {
            let (base, count): (Int64, Int) = (row[2], row[3])
            let gone = Evicted(partition: row[1], nextOffset: base + Int64(count), count: count, bytes: row[4])
            evicted.append(gone)
            freed += gone.bytes
            last = row[0]
        }
        try database.execute(sql: "DELETE FROM batches WHERE id <= ?", arguments: [last])
        return evicted
    }

    /// Deletes the oldest rows that were written before `cutoff` and lie wholly before `doneBefore`, by partition.
    func expire(writtenBefore cutoff: Int64, doneBefore: [Int64]) throws -> [Evicted] {
        try queue.write { database in
            var expired: [Evicted] = []
            var ids: [Int64] = []
            let oldest = try SQLRow.fetchCursor(
                database, sql: "SELECT id, partition, base_offset, count, bytes, at FROM batches ORDER BY id")
            while ids.count < Self.expiryLimit, let row = try oldest.next(), row[5] < cutoff {
                let (base, count): (Int64, Int) = (row[2], row[3])
                let old = Evicted(partition: row[1], nextOffset: base + Int64(count), count: count, bytes: row[4])
                guard old.nextOffset <= doneBefore[old.partition] else { continue }
                expired.append(old)
                ids.append(row[0])
            }
            let delete = try database.cachedStatement(sql: "DELETE FROM batches WHERE id = ?")
            for id in ids { try delete.execute(arguments: [id]) }
            return expired
        }
    }

    /// Deletes what lies wholly before these offsets.
    ///
    /// - Returns: The bytes freed.
    func trim(_ before: [Int: Int64]) throws -> Int64 {
        try queue.write { database in
            var freed: Int64 = 0
            for (partition, offset) in before {
                let arguments: StatementArguments = [partition, offset]
                let condition = "FROM batches WHERE partition = ? AND base_offset + count <= ?"
                freed +=
                    try Int64.fetchOne(database, sql: "SELECT SUM(bytes) " + condition, arguments: arguments) ?? 0
                try database.execute(sql: "DELETE " + condition, arguments: arguments)
            }
            return freed
        }
    }

    static func version(of database: Database) throws -> Int {
        try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    }

    /// The offset after the newest record, by partition.
    static func endOffsets(_ database: Database) throws -> [Int64] {
        try Int64.fetchAll(database, sql: "SELECT next_offset FROM partitions ORDER BY partition")
    }

    /// The start of the first row that has a record of `time` or later.
    static func offset(_ database: Database, partition: Int, atOrAfter time: Int64) throws -> Int64? {
        try Int64.fetchOne(
            database,
            sql: """
                SELECT base_offset FROM batches WHERE partition = ? AND IFNULL(largest_at, at) >= ?
                ORDER BY base_offset LIMIT 1
                """, arguments: [partition, time])
    }

    /// When the oldest row that has a record at `offset` or after it was written.
    static func written(_ database: Database, partition: Int, from offset: Int64) throws -> Int64? {
        try Int64.fetchOne(
            database,
            sql: """
                SELECT at FROM batches WHERE partition = ? AND base_offset + count > ? ORDER BY base_offset LIMIT 1
                """, arguments: [partition, offset])
    }

    /// Reads records of one partition from `offset` on, as many as a batch may hold.
    static func read(_ database: Database, partition: Int, from offset: Int64) throws -> EventBatch {
        var batch = EventBatch(partition: partition)
        let rows = try SQLRow.fetchCursor(
            database,
            sql: """
                SELECT base_offset, payload FROM batches WHERE partition = ?1 AND base_offset >= IFNULL(
                    (SELECT MAX(base_offset) FROM batches WHERE partition = ?1 AND base_offset <= ?2), 0)
                ORDER BY base_offset
                """, arguments: [partition, offset])
        while !batch.isFull, let row = try rows.next() {
            let whole = try row.withUnsafeData(atIndex: 1) { data in
                guard let data else { return true }
                return data.withUnsafeBytes { bytes in
                    LocalLogFrame.append(bytes, baseOffset: row[0], from: offset, to: &batch)
                }
            }
            guard whole else { throw LocalLogFault.damaged(partition: partition, offset: row[0]) }
        }
        batch.pad()
        return batch
    }
}

private typealias SQLRow = GRDB.Row
