import Hummingbird
import NIOCore
import Policy

extension ControlAPI {
    static let consoleEndpoints: [Endpoint] = [
        file("/", PackageResources.index_html, "text/html; charset=utf-8", "The console."),
        file("/style.css", PackageResources.style_css, "text/css; charset=utf-8", "The console's style."),
        file("/app.js", PackageResources.app_js, "text/javascript; charset=utf-8", "The console's script."),
        file("/views.js", PackageResources.views_js, "text/javascript; charset=utf-8", "The console's parts."),
        file("/charts.js", PackageResources.charts_js, "text/javascript; charset=utf-8", "The console's charts."),
        Endpoint("POST", "/login", nil, "Turns an operator token into the console's cookie.") { api, call in
            try await api.login(call)
        },
        Endpoint("POST", "/logout", nil, "Forgets the console's cookie.") { api, call in
            try SameOrigin.require(call.request)
            return api.withCookie(Answer.empty, "", maxAge: 0)
        },
        Endpoint("GET", "/api/v1/session", .viewer, "Whose token this is, and what it may do.") { api, call in
            let role = call.identity?.role ?? .viewer
            return Answer.json(Session(name: call.actor, role: role, version: api.settings.version))
        },
    ]

    private static func file(_ path: String, _ bytes: [UInt8], _ type: String, _ summary: String) -> Endpoint {
        Endpoint("GET", path, nil, summary) { _, call in Answer.tagged(bytes, type: type, for: call) }
    }

    private struct Session: Encodable {
        let name: String
        let role: OperatorToken.Role
        let version: String
    }

    private struct Login: RequestBody {
        let token: String
        static let shape = Shape.object(["token": .value])
    }

    private func login(_ call: Call) async throws -> Response {
        try SameOrigin.require(call.request)
        let secret = try call.decode(Login.self).token
        guard let token = try await authenticator.token(secret: secret) else {
            throw Problem.unauthorized("The token is not known or was revoked.")
        }
        let session = Session(name: token.name, role: token.role, version: settings.version)
        // Seven days; the token itself says when access ends.
        return withCookie(Answer.json(session), secret, maxAge: 7 * 24 * 3600)
    }

    private func withCookie(_ response: Response, _ value: String, maxAge: Int) -> Response {
        var response = response
        response.setCookie(
            Cookie(
                name: Authenticator.cookieName, value: value, maxAge: maxAge, path: "/", secure: settings.secureCookie,
                httpOnly: true, sameSite: .strict))
        return response
    }
}
