import Foundation

/// The PostgreSQL server programs of this machine, and how to run them.
struct PostgresBinaries: Sendable {
    /// The folder with `initdb` and `postgres`.
    let folder: String
    /// Put before every command: PostgreSQL refuses to run as root, so root runs it as the user `postgres`.
    let prefix: [String]

    /// The newest release under `/usr/lib/postgresql`, else the one on the `PATH`.
    ///
    /// - Parameter major: the release that an existing data folder needs.
    /// - Throws: `PostgresCluster.Failure` with the command that installs what is missing.
    static func find(major: Int?) throws(PostgresCluster.Failure) -> PostgresBinaries {
        let debian = "/usr/lib/postgresql"
        let releases = ((try? FileManager.default.contentsOfDirectory(atPath: debian)) ?? []).compactMap { Int($0) }
        let packaged = releases.filter { major == nil || $0 == major }.sorted(by: >).map { "\(debian)/\($0)/bin" }
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let folder = (packaged + path).first { folder in
            ["initdb", "postgres"].allSatisfy { FileManager.default.isExecutableFile(atPath: "\(folder)/\($0)") }
        }
        guard let folder else {
            let wanted = major.map { "postgresql-\($0)" } ?? "postgresql"
            throw PostgresCluster.Failure(
                summary: "The programs of the PostgreSQL server \(major.map { "\($0) " } ?? "")are not installed.",
                remedy: "Install them with `apt-get install \(wanted)`, or give the URL of a running server.")
        }
        return PostgresBinaries(folder: folder, prefix: try prefixForRoot())
    }

    private static func prefixForRoot() throws(PostgresCluster.Failure) -> [String] {
        guard geteuid() == 0 else { return [] }
        let programs = ["/usr/bin/setpriv", "/bin/setpriv"]
        guard unsafe getpwnam("postgres") != nil,
            let program = programs.first(where: FileManager.default.isExecutableFile(atPath:))
        else {
            throw PostgresCluster.Failure(
                summary: "PostgreSQL does not run as root, and there is no user `postgres` to run it as.",
                remedy: "Run as another user, or `apt-get install postgresql util-linux`.")
        }
        return [program, "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
    }

    /// Makes `folder` with access for the server's user only.
    func makePrivateFolder(_ folder: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        if !prefix.isEmpty {
            try FileManager.default.setAttributes([.ownerAccountName: "postgres"], ofItemAtPath: folder)
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: folder)
    }

    func process(_ command: [String]) -> Process {
        let process = Process()
        let whole = prefix + command
        process.executableURL = URL(fileURLWithPath: whole[0])
        process.arguments = Array(whole.dropFirst())
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
        environment["LC_ALL"] = "C"
        process.environment = environment
        return process
    }

    /// Runs a program to its end; returns its exit status and all that it wrote. Blocks.
    func run(_ command: [String]) throws -> (status: Int32, output: String) {
        let process = process(command)
        let pipe = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
