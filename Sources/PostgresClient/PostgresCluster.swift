import BlockingExecutors
import CPostgres
import Foundation

/// A private PostgreSQL server made from the system's programs, reachable through a socket in a private folder only.
///
/// The server ends with this process, however that ends, and its data stay. A folder whose server or owner was killed
/// can be started again.
@safe package actor PostgresCluster {
    private nonisolated let executor = ThreadExecutor(name: "postgres-admin")
    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    package nonisolated let settings: Settings
    private var binaries: PostgresBinaries?
    private var server: Process?
    /// The server lives while this is open; the kernel closes it when we die.
    private var lifeline: Pipe?

    package struct Settings: Sendable {
        /// Holds the data and the server's log. Root's own folder is closed to the server's user.
        package var folder: String
        /// For the socket; short, since a socket's path has at most 107 bytes.
        package var socketFolder: String
        /// `false` loses data when the machine (not the process) fails; for tests.
        package var fsync = true
        package var maxConnections = 64
        /// Removes `folder` and `socketFolder` when the server ends.
        package var throwAway = false
        package var startTimeoutSeconds = 60.0

        package init(folder: String, socketFolder: String) {
            self.folder = folder
            self.socketFolder = socketFolder
        }
    }

    /// Why there is no server, and what to do.
    package struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
        package let summary: String
        package let remedy: String
        package var description: String { "\(summary) \(remedy)" }
    }

    package init(_ settings: Settings) { self.settings = settings }

    /// For `PostgresConfiguration`: libpq's `key=value` form.
    package nonisolated func url(database: String = "trimtab") -> String {
        let folder = settings.socketFolder.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
        return "host='\(folder)' port=5432 user=trimtab dbname='\(database)'"
    }

    private nonisolated var data: String { "\(settings.folder)/data" }
    private nonisolated var log: String { "\(settings.folder)/server.log" }

    /// Makes the cluster if there is none, starts its server, waits until it answers, and makes the database `trimtab`.
    package func start() async throws {
        guard server == nil else { return }
        try checkSocketPath()
        let version = try? String(contentsOfFile: "\(data)/PG_VERSION", encoding: .utf8)
        let binaries = try PostgresBinaries.find(
            major: version.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) })
        self.binaries = binaries
        try binaries.makePrivateFolder(settings.folder)
        try binaries.makePrivateFolder(settings.socketFolder)
        guard try binaries.run(["/usr/bin/test", "-w", settings.folder]).status == 0 else {
            throw Failure(
                summary: "The PostgreSQL server's user cannot get into '\(settings.folder)'.",
                remedy: "Choose a folder that the user `postgres` can reach, for example under /var/lib or /tmp.")
        }
        if version == nil { try initialise(binaries) }
        try endLeftovers(binaries)
        try launch(binaries)
        try await createDatabase("trimtab")
    }

    /// Ends the server and waits for it. It can be started again, unless it was to be thrown away.
    package func stop() {
        try? lifeline?.fileHandleForWriting.close()
        lifeline = nil
        server?.waitUntilExit()
        server = nil
    }

    /// Makes a database; one that exists is left alone.
    package func createDatabase(_ name: String) async throws {
        let connection = try await PostgresConnection.connect(
            PostgresConfiguration(url: url(database: "postgres"), applicationName: "trimtab-admin"))
        do {
            try await connection.script("CREATE DATABASE \"\(name.replacing("\"", with: "\"\""))\"")
        } catch let error as PostgresError where error.sqlState == "42P04" {
            // duplicate_database
        }
        await connection.close()
    }

    // MARK: Steps

    private func checkSocketPath() throws(Failure) {
        let path = "\(settings.socketFolder)/.s.PGSQL.5432"
        guard path.utf8.count <= 107 else {
            throw Failure(
                summary: "The socket's path '\(path)' is longer than the 107 bytes that a socket may have.",
                remedy: "Choose a shorter folder for the socket.")
        }
    }

    /// Makes the data folder beside its place and moves it there when it is whole.
    private func initialise(_ binaries: PostgresBinaries) throws {
        let fresh = "\(settings.folder)/data.new"
        try? FileManager.default.removeItem(atPath: fresh)
        var command = ["\(binaries.folder)/initdb", "-D", fresh, "-U", "trimtab", "-E", "UTF8", "--no-locale"]
        // Whoever can get into the socket's folder may come in: only the server's user and root.
        command += ["--auth=trust"]
        if !settings.fsync { command.append("--no-sync") }
        let (status, output) = try binaries.run(command)
        guard status == 0 else {
            throw Failure(
                summary: "initdb failed: \(Self.lastLine(output))",
                remedy: "Make room in '\(settings.folder)', or choose another folder.")
        }
        try FileManager.default.moveItem(atPath: fresh, toPath: data)
    }

    /// Ends a server that an earlier owner left running, or forgets one that is gone.
    private func endLeftovers(_ binaries: PostgresBinaries) throws {
        let file = "\(data)/postmaster.pid"
        guard let text = try? String(contentsOfFile: file, encoding: .utf8),
            let pid = text.split(whereSeparator: \.isNewline).first.flatMap({ Int32($0) })
        else { return }
        // A server works in its data folder; another process that got the number since does not.
        let workFolder = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
        let resolved = URL(fileURLWithPath: data).resolvingSymlinksInPath().path
        if workFolder == resolved {
            _ = try binaries.run(["\(binaries.folder)/pg_ctl", "stop", "-D", data, "-m", "fast", "-w"])
        }
        try? FileManager.default.removeItem(atPath: file)
    }

    private func launch(_ binaries: PostgresBinaries) throws {
        let deadline = Date().addingTimeInterval(settings.startTimeoutSeconds)
        while true {
            try spawn(binaries)
            while server?.isRunning == true {
                if unsafe PQping(url(database: "postgres")) == PQPING_OK { return }
                if Date() > deadline { break }
                Thread.sleep(forTimeInterval: 0.02)
            }
            stop()
            // Children of a killed server hold its shared memory for a moment: then the next attempt succeeds.
            guard Date() < deadline, lastLogLines().contains("shared memory block") else { break }
            Thread.sleep(forTimeInterval: 0.2)
        }
        throw Failure(
            summary: "The PostgreSQL server did not start: \(Self.lastLine(lastLogLines()))",
            remedy: "Read '\(log)'.")
    }

    /// Starts the server below a shell that waits for the lifeline to close, then ends the server.
    private func spawn(_ binaries: PostgresBinaries) throws {
        let script = """
            trap '' INT TERM HUP
            "$@" > "$LOG" 2>&1 &
            server=$!
            # The server ends by itself when told to; this shell must then end as well.
            (while kill -0 $server 2>/dev/null; do sleep 1; done; kill -9 $$ 2>/dev/null) &
            watch=$!
            cat > /dev/null
            kill -INT $server 2>/dev/null
            wait $server
            kill -9 $watch 2>/dev/null
            [ -z "$THROW_AWAY" ] || rm -rf "$FOLDER" "$SOCKETS"
            """
        let options = [
            "listen_addresses=", "unix_socket_directories=\(settings.socketFolder)", "port=5432",
            "fsync=\(settings.fsync ? "on" : "off")",
            "max_connections=\(settings.maxConnections)", "shared_buffers=64MB", "log_timezone=UTC",
            "unix_socket_permissions=0700",
        ]
        let command =
            ["/bin/sh", "-c", script, "sh", "\(binaries.folder)/postgres", "-D", data]
            + options.flatMap { ["-c", $0] }
        let process = binaries.process(command)
        process.environment?["LOG"] = log
        process.environment?["FOLDER"] = settings.folder
        process.environment?["SOCKETS"] = settings.socketFolder
        process.environment?["THROW_AWAY"] = settings.throwAway ? "1" : ""
        let pipe = Pipe()
        // No other child of ours may hold the lifeline open.
        _ = fcntl(pipe.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
        process.standardInput = pipe
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        server = process
        lifeline = pipe
    }

    private func lastLogLines() -> String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return String(text.suffix(2_000))
    }

    private static func lastLine(_ text: String) -> String {
        let lines = text.split(whereSeparator: \.isNewline)
        return String((lines.last { $0.contains("FATAL") || $0.contains("error") } ?? lines.last) ?? "it said nothing.")
    }
}
