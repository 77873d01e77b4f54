import ControlLoop
import Core
import Hummingbird
import Policy

extension ControlAPI {
    static let accessEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/keys", .operator, "Lists clients' keys, without their secrets.", query: ["limit", "cursor"]
        ) {
            api, call in
            let page = try call.page(try await api.store.keys(), key: \.name)
            return Answer.json(Page(items: page.items.map { KeyView($0) }, nextCursor: page.nextCursor))
        },
        Endpoint("POST", "/api/v1/keys", .admin, "Makes a client's key; its secret is shown once.", creates: true) {
            api, call in
            let body = try call.decode(KeyBody.self)
            try checkName(body.name)
            let secret = KeyHasher.generate(.virtualKey)
            let key = VirtualKey(
                name: body.name, project: body.project, digest: api.hasher.digest(secret), createdAt: api.hooks.now())
            try await api.store.create(key, by: call.actor)
            return Answer.json(KeyView(key, secret: secret), status: 201)
        },
        Endpoint("DELETE", "/api/v1/keys/{name}", .admin, "Revokes a client's key.") { api, call in
            try await api.store.revokeKey(call.parameters["name"] ?? "", by: call.actor, now: api.hooks.now())
            return Answer.empty
        },
        Endpoint(
            "GET", "/api/v1/tokens", .admin, "Lists operators' tokens, without their secrets.",
            query: ["limit", "cursor"]
        ) {
            api, call in
            let page = try call.page(try await api.store.tokens(), key: \.name)
            return Answer.json(Page(items: page.items.map { TokenView($0) }, nextCursor: page.nextCursor))
        },
        Endpoint(
            "POST", "/api/v1/tokens", .admin, "Makes an operator's token; its secret is shown once.", creates: true
        ) {
            api, call in
            let body = try call.decode(TokenBody.self)
            try checkName(body.name)
            let secret = KeyHasher.generate(.operatorToken)
            let token = OperatorToken(
                name: body.name, role: body.role, digest: api.hasher.digest(secret), createdAt: api.hooks.now())
            try await api.store.create(token, by: call.actor)
            api.authenticator.forget()
            return Answer.json(TokenView(token, secret: secret), status: 201)
        },
        Endpoint("DELETE", "/api/v1/tokens/{name}", .admin, "Revokes an operator's token.") { api, call in
            let name = call.parameters["name"] ?? ""
            guard name != call.actor else {
                throw Problem(
                    status: 409, code: "auth.own_token",
                    detail: "This request is made with the token '\(name)' itself.",
                    remedy: "Revoke it with another admin's token, so that nobody is locked out.")
            }
            try await api.store.revokeToken(name, by: call.actor, now: api.hooks.now())
            api.authenticator.forget()
            return Answer.empty
        },
    ]

    private static func checkName(_ name: String) throws {
        guard name.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9._@-]{0,63}/) != nil else {
            throw Violation(
                "/name", "'\(name)' is not a name: use A-Z a-z 0-9 . _ @ -, 1 to 64, a letter or digit first.")
        }
    }
}

private struct KeyBody: RequestBody {
    let name: String
    let project: String?
    static let shape = Shape.object(["name": .value, "project": .value])
}

private struct TokenBody: RequestBody {
    let name: String
    let role: OperatorToken.Role
    static let shape = Shape.object(["name": .value, "role": .value])
}

private struct KeyView: Encodable {
    let name: String
    let project: String?
    let createdAt: Int64
    let revokedAt: Int64?
    let secret: String?

    init(_ key: VirtualKey, secret: String? = nil) {
        (name, project, createdAt, revokedAt) = (key.name, key.project, key.createdAt, key.revokedAt)
        self.secret = secret
    }

    enum CodingKeys: String, CodingKey {
        case name, project, secret
        case createdAt = "created_at"
        case revokedAt = "revoked_at"
    }
}

private struct TokenView: Encodable {
    let name: String
    let role: OperatorToken.Role
    let createdAt: Int64
    let revokedAt: Int64?
    let secret: String?

    init(_ token: OperatorToken, secret: String? = nil) {
        (name, role, createdAt, revokedAt) = (token.name, token.role, token.createdAt, token.revokedAt)
        self.secret = secret
    }

    enum CodingKeys: String, CodingKey {
        case name, role, secret
        case createdAt = "created_at"
        case revokedAt = "revoked_at"
    }
}
