import ControlAPI
import Core
import Foundation
import Policy
import Testing

/// The console in a real browser, against a real server.
@Suite(.enabled(if: Browser.isInstalled, "chromium is not installed"), .serialized) struct Console {
    /// Signs in by link, since a headless browser types nothing, and asks for a still picture, since it waits for quiet.
    private func visit(_ server: TestServer, as role: OperatorToken.Role?, _ arguments: [String]) async throws -> String
    {
        let profile = FileManager.default.temporaryDirectory.appending(path: "trimtab-console-\(UUID())")
        defer { try? FileManager.default.removeItem(at: profile) }
        var address = server.base + "/"
        if let role { address += "#live=off&token=\(server.tokens[role] ?? "")" }
        return try await Browser.run(
            arguments + ["--user-data-dir=\(profile.path)", "--enable-logging=stderr", address])
    }

    @Test func showsWhatThereIs() async throws {
        try await TestServer.run { server in
            let said = try await visit(server, as: .operator, ["--virtual-time-budget=6000", "--dump-dom"])
            #expect(said.contains("data-ready=\"true\""), "\(said.suffix(3_000))")
            for text in [
                "<b>sim/strong-1</b> serves support-chat", "v2 gets 25 % of the traffic", "v1 → v2", "progressing",
                "Bad answers", "1.8 of 920", "1.65 (0.50–3.37)", "Move to sim/cheap-1",
                "would cost 92 % less than sim/strong-1 on this traffic.", "strong-1 (now)", "$3.1", "$0.26",
            ] { #expect(said.contains(text), "\(text) is missing") }
            for text in ["Invalid Date", "undefined", "NaN"] {
                #expect(!said.contains(">\(text)<"), "\(text) is shown")
            }
            #expect(!said.contains(":CONSOLE"), "\(said.split(separator: "\n").filter { $0.contains(":CONSOLE") })")
            if let folder = ProcessInfo.processInfo.environment["TRIMTAB_SCREENSHOTS"] {
                for (name, extra) in [("light", []), ("dark", ["--blink-settings=preferredColorScheme=0"])] {
                    let options = ["--virtual-time-budget=6000", "--window-size=1360,1100", "--hide-scrollbars"]
                    _ = try await visit(
                        server, as: .operator, options + extra + ["--screenshot=\(folder)/console-\(name).png"])
                }
            }
        }
    }

    @Test func asksForATokenWithoutOne() async throws {
        try await TestServer.run { server in
            let said = try await visit(server, as: nil, ["--virtual-time-budget=4000", "--dump-dom"])
            #expect(said.contains("<form id=\"login\" aria-labelledby=\"login-title\">"))
            #expect(!said.contains("support-chat"))
        }
    }

    @Test func saysWhatToDoWhenThereIsNothing() async throws {
        try await TestServer.run(filled: false) { server in
            let said = try await visit(server, as: .viewer, ["--virtual-time-budget=4000", "--dump-dom"])
            #expect(said.contains("trimtab routes apply"))
        }
    }

    @Test func asksNobodyElse() async throws {
        try await TestServer.run { server in
            for path in ["/", "/app.js", "/views.js", "/charts.js", "/style.css"] {
                let text = try await server.send("GET", path, as: nil).text
                let outside = text.matches(of: /(?:https?:)?\/\/[a-z0-9.-]+\.[a-z]+/).map { String($0.output) }
                #expect(outside.filter { !$0.hasSuffix("www.w3.org") }.isEmpty, "\(path): \(outside)")
            }
        }
    }
}

enum Browser {
    static let path = "/usr/bin/chromium"
    static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: path) }

    /// What it printed, page and log; waits without holding a thread of the pool.
    static func run(_ arguments: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"] + arguments
        let folder = FileManager.default.temporaryDirectory
        let output = folder.appending(path: "trimtab-browser-\(UUID())")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        for _ in 0..<600 where process.isRunning { try await Task.sleep(for: .milliseconds(50)) }
        if process.isRunning { process.terminate() }
        try handle.close()
        return try String(contentsOf: output, encoding: .utf8)
    }
}
