import ArgumentParser
import Core
import Foundation

enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case table, json }

/// Where the control API is, who asks, and how the answer is shown.
struct ClientOptions: ParsableArguments {
    @Option(help: "Address of the control API. Default: TRIMTAB_URL, else http://127.0.0.1:8081.")
    var url: String?

    @Option(name: .shortAndLong, help: "How to show the answer: table or json.")
    var output: OutputFormat = .table

    /// - Throws: `Failure` with each field that the API objects to.
    func send(_ method: String, _ path: String, body: JSON? = nil) async throws -> JSON {
        let environment = ProcessInfo.processInfo.environment
        let address = url ?? environment["TRIMTAB_URL"] ?? "http://127.0.0.1:8081"
        guard let parts = URLComponents(string: address), let host = parts.host, !host.isEmpty,
            let scheme = parts.scheme, ["http", "https"].contains(scheme)
        else {
            throw Failure(
                status: .usage, text: "'\(address)' is not an address. Write it like http://127.0.0.1:8081.")
        }
        let client = HTTPClient(
            host: host, port: parts.port ?? (scheme == "https" ? 443 : 80), tls: scheme == "https")
        let token = try Self.token(environment)
        var headers = [("Authorization", "Bearer \(token.secret)"), ("Accept", "application/json")]
        if body != nil { headers.append(("Content-Type", "application/json")) }
        let bytes = try body.map { Array(try JSONEncoder().encode($0)) } ?? []
        let prefix = parts.percentEncodedPath.hasSuffix("/") ? "" : parts.percentEncodedPath
        let answer = try await client.send(method, prefix + "/api/v1/" + path, headers: headers, body: bytes)
        let value = answer.body.isEmpty ? JSON.null : try? JSONDecoder().decode(JSON.self, from: Data(answer.body))
        guard (200..<300).contains(answer.status) else {
            throw Self.failure(answer.status, value ?? .null, tokenFrom: token.origin)
        }
        guard let value else {
            throw Failure(status: .unavailable, text: "\(address) does not answer as Trimtab's control API does.")
        }
        return value
    }

    /// The token of the environment, else the one that the first start left in the data folder.
    private static func token(_ environment: [String: String]) throws -> (secret: String, origin: String) {
        if let token = environment["TRIMTAB_TOKEN"], !token.isEmpty { return (token, "TRIMTAB_TOKEN") }
        let file = DataFolder.path(environment: environment, isRoot: geteuid() == 0) + "/" + DataFolder.tokenFile
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw Failure(
                status: .configuration,
                text: "No operator token: TRIMTAB_TOKEN is not set and \(file) cannot be read. "
                    + "Set TRIMTAB_TOKEN, or TRIMTAB_DATA_DIR to the data folder of the service.")
        }
        return (text.trimmingCharacters(in: .whitespacesAndNewlines), file)
    }

    private static func failure(_ status: Int, _ problem: JSON, tokenFrom origin: String) -> Failure {
        var lines = [problem["detail"].text.isEmpty ? "The control API answered \(status)." : problem["detail"].text]
        for error in problem["errors"].list { lines.append("  \(error["pointer"].text): \(error["detail"].text)") }
        if status == 401 { lines.append("The token came from \(origin).") }
        if !problem["remedy"].text.isEmpty { lines.append(problem["remedy"].text) }
        let exit: ExitStatus = status == 503 ? .unavailable : status >= 500 ? .software : .usage
        return Failure(status: exit, text: lines.joined(separator: "\n"))
    }

    /// Prints a list or an answer, in the form that was asked for.
    func show(_ value: JSON, as view: (JSON) -> String) {
        switch output {
        case .json: print(value.pretty)
        case .table: print(view(value))
        }
    }
}

/// A path segment, percent-encoded so that names with `/` stay one segment.
func segment(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(.init(charactersIn: "-._~"))) ?? text
}
