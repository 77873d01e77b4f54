import Foundation

/// Virtual environments with packages from PyPI, kept in the build folder.
enum PythonEnvironment {
    /// The interpreter of an environment; `nil` where it cannot be had.
    ///
    /// - Parameter check: what must run in it.
    static func interpreter(_ name: String, packages: [String], check: String) -> String? {
        let environment = "\(ServiceProcess.root.path)/.build/\(name)"
        let interpreter = "\(environment)/bin/python3"
        func works() -> Bool { run(interpreter, ["-c", check]) == 0 }
        if works() { return interpreter }
        _ = run("/usr/bin/env", ["python3", "-m", "venv", environment])
        _ = run("\(environment)/bin/pip", ["install", "-q"] + packages)
        return works() ? interpreter : nil
    }

    private static func run(_ program: String, _ arguments: [String]) -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return -1 }
        process.waitUntilExit()
        return process.terminationStatus
    }
}
