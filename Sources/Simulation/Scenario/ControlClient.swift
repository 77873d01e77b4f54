package import Core
import Foundation
import NIOCore
import NIOHTTP1
package import Policy
package import Rollouts

/// What a scenario asks of the control plane.
package protocol ScenarioControl: Sendable {
    func setPrice(_ price: TokenPrice, of modelKey: String) async throws
    /// Keeps `policy` as a new version of its route and starts a canary of it.
    func startRollout(of policy: RoutingPolicy, goal: RolloutPlan.Goal, reason: String) async throws
}

/// A small client of the control API, for plain HTTP on loopback.
package struct ControlClient: ScenarioControl {
    private let url: PlainURL
    private let token: String

    /// - Parameter token: an operator token with the role operator or above.
    /// - Throws: `simulation.url`.
    package init(url: String, token: String) throws {
        self.url = try PlainURL(url)
        self.token = token
    }

    package func setPrice(_ price: TokenPrice, of modelKey: String) async throws {
        _ = try await call(.PUT, "/api/v1/prices", ["prices": [modelKey: price]])
    }

    package func startRollout(of policy: RoutingPolicy, goal: RolloutPlan.Goal, reason: String) async throws {
        struct Created: Decodable { var version: Int }
        struct Proposal: Encodable {
            var reason: String
            var targets: [Target]
            var fallbacks: [String]
        }
        struct Start: Encodable {
            var route: RouteName
            var policy: Int
            var goal: RolloutPlan.Goal
            var reason: String
        }
        let route = policy.route.description.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let proposal = Proposal(reason: reason, targets: policy.targets, fallbacks: policy.fallbacks)
        let reply = try await call(.POST, "/api/v1/routes/\(route)/policies", proposal)
        let version = try JSONDecoder().decode(Created.self, from: reply).version
        _ = try await call(
            .POST, "/api/v1/rollouts", Start(route: policy.route, policy: version, goal: goal, reason: reason))
    }

    /// - Throws: `simulation.control` with the status and the start of the answer unless it is a success.
    private func call(_ method: HTTPMethod, _ path: String, _ body: some Encodable) async throws -> Data {
        let bytes = ByteBuffer(bytes: try JSONEncoder().encode(body))
        let headers: HTTPHeaders = [
            "authorization": "Bearer \(token)", "content-type": "application/json",
        ]
        let reply = try await HTTPExchange.send(method, url, path, headers: headers, body: bytes)
        guard (200..<300).contains(reply.status) else {
            throw TrimtabError(
                "simulation.control",
                "\(method) \(path) was answered with \(reply.status): \(reply.text.prefix(500))",
                remedy: "Check the address, the token's role and the log of the control API.")
        }
        return Data(reply.text.utf8)
    }
}
