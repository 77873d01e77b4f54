import Foundation
import Hummingbird
package import Policy

/// One thing a client can do. The list of these is the whole surface: routing, roles and documentation come from it.
package struct Endpoint: Sendable {
    package let method: String
    /// Segments are literal, `{name}`, or `{name}:verb`.
    package let path: String
    /// `nil`: no token needed.
    package let role: OperatorToken.Role?
    package let summary: String
    /// Query parameters it knows; any other is an error.
    let query: [String]
    /// Whether `Idempotency-Key` is honoured.
    let creates: Bool
    let handle: @Sendable (ControlAPI, Call) async throws -> Response

    init(
        _ method: String, _ path: String, _ role: OperatorToken.Role?, _ summary: String, query: [String] = [],
        creates: Bool = false, handle: @escaping @Sendable (ControlAPI, Call) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.role = role
        self.summary = summary
        self.query = query
        self.creates = creates
        self.handle = handle
    }

    /// The captured parameters, percent-decoded, if `segments` fit this endpoint's path.
    func match(_ segments: [Substring]) -> [String: String]? {
        let pattern = path.split(separator: "/")
        guard pattern.count == segments.count else { return nil }
        var found: [String: String] = [:]
        for (part, segment) in zip(pattern, segments) {
            guard part.first == "{", let end = part.firstIndex(of: "}") else {
                if part == segment { continue }
                return nil
            }
            let suffix = part[part.index(after: end)...]
            guard segment.hasSuffix(suffix), segment.count > suffix.count else { return nil }
            guard let value = segment.dropLast(suffix.count).removingPercentEncoding else { return nil }
            found[String(part[part.index(after: part.startIndex)..<end])] = value
        }
        return found
    }
}

extension ControlAPI {
    /// In order of matching: paths with a verb come before those that would take it for part of a name.
    package static let endpoints: [Endpoint] =
        (systemEndpoints + consoleEndpoints + routeEndpoints + policyEndpoints + decisionEndpoints + rolloutEndpoints
        + evidenceEndpoints + rehearsalEndpoints + findingEndpoints + measurementEndpoints + streamEndpoints
        + deadLetterEndpoints
        + backfillEndpoints
        + accessEndpoints
        + priceEndpoints)
        .sorted { $0.path.contains("}:") && !$1.path.contains("}:") }

    /// The reference table of all endpoints, as Markdown.
    package static func documentation() -> String {
        var text = "| Method | Path | Role | What it does |\n|---|---|---|---|\n"
        for endpoint in endpoints.sorted(by: { ($0.path, $0.method) < ($1.path, $1.method) }) {
            let query = endpoint.query.isEmpty ? "" : " (`?" + endpoint.query.joined(separator: "=&") + "=`)"
            text += "| \(endpoint.method) | `\(endpoint.path)` | \(endpoint.role?.rawValue ?? "none") "
            text += "| \(endpoint.summary)\(query) |\n"
        }
        return text
    }
}

/// One request on its way through an endpoint.
struct Call: Sendable {
    let request: Request
    let parameters: [String: String]
    let query: [String: String]
    let identity: Identity?
    let body: [UInt8]

    /// Who acts, for the audit.
    var actor: String { identity?.name ?? "" }

    func header(_ name: String) -> String? { HTTPFields.Element.Name(name).flatMap { request.headers[$0] } }
}
