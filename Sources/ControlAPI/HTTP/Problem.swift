import Core
import Foundation
import Hummingbird
import NIOCore
import Policy

/// An error answer in the form of RFC 9457, with the fields at fault.
struct Problem: Error {
    var status: Int
    /// Stable, dot-separated.
    var code: String
    var detail: String
    var remedy: String?
    var errors: [Violation] = []
    var headers: [(String, String)] = []

    static func invalid(_ errors: [Violation]) -> Problem {
        Problem(
            status: 422, code: "request.invalid",
            detail: errors.count == 1 ? "One field is not valid." : "\(errors.count) fields are not valid.",
            errors: errors)
    }

    static func malformed(_ detail: String, pointer: String = "") -> Problem {
        Problem(
            status: 400, code: "request.malformed", detail: "The body is not JSON.", remedy: "Send one JSON object.",
            errors: [.init(pointer, detail)])
    }

    static func notFound(_ what: String, remedy: String) -> Problem {
        Problem(status: 404, code: "request.not_found", detail: what, remedy: remedy)
    }

    static func noSuchPath(_ path: String) -> Problem {
        notFound("There is nothing at '\(path)'.", remedy: "Names with '/' in them are written with %2F.")
    }

    static func notAllowed(_ method: String, allowed: [String]) -> Problem {
        let list = allowed.joined(separator: ", ")
        return Problem(
            status: 405, code: "request.method", detail: "\(method) is not possible here.", remedy: "Use \(list).",
            headers: [("Allow", list)])
    }

    static func tooLarge(limit: Int) -> Problem {
        Problem(
            status: 413, code: "request.too_large", detail: "The body is larger than \(limit) bytes.",
            remedy: "Send less.")
    }

    static func unauthorized(_ detail: String) -> Problem {
        Problem(
            status: 401, code: "auth.required", detail: detail,
            remedy: "Send 'Authorization: Bearer <operator token>'; an admin makes one with `trimtab tokens create`.",
            headers: [("WWW-Authenticate", "Bearer realm=\"trimtab\"")])
    }

    static func forbidden(_ identity: Identity, needs role: OperatorToken.Role) -> Problem {
        Problem(
            status: 403, code: "auth.role",
            detail: "The token '\(identity.name)' has the role \(identity.role.rawValue); this needs \(role.rawValue).",
            remedy: "Use a token with that role.")
    }

    func response(instance: String) -> Response {
        let document = Document(
            type: "urn:trimtab:problem:\(code)", title: Self.title(status), status: status, detail: detail,
            instance: instance, code: code, remedy: remedy, errors: errors)
        var response = Answer.json(document, status: status)
        response.headers[.contentType] = "application/problem+json"
        for (name, value) in headers {
            if let name = HTTPFields.Element.Name(name) { response.headers[name] = value }
        }
        return response
    }

    private struct Document: Encodable {
        let type, title: String
        let status: Int
        let detail, instance, code: String
        let remedy: String?
        let errors: [Violation]
    }

    private static func title(_ status: Int) -> String {
        switch status {
        case 400: "Malformed request"
        case 401: "Not authenticated"
        case 403: "Not allowed"
        case 404: "Not found"
        case 405: "Method not possible"
        case 409: "Conflict"
        case 413: "Body too large"
        case 415: "Content type not taken"
        case 422: "Not valid"
        case 503: "Not available"
        default: "Internal error"
        }
    }
}

extension Problem {
    /// What a client is told of any error. An error of an unknown kind is our own defect, and its text stays in the log.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as Violation: self = .invalid([error])
        case let error as TrimtabError:
            self.init(
                status: Self.status(of: error.code), code: error.code, detail: error.summary, remedy: error.remedy)
        case let error as any HTTPResponseError:
            self.init(status: error.status.code, code: "request.http", detail: error.status.reasonPhrase)
        default:
            self.init(
                status: 500, code: "internal", detail: "Something failed that should not.",
                remedy: "The log says more; please report it.")
        }
    }

    /// By the last part of the code, which names the kind of failure.
    private static func status(of code: String) -> Int {
        let kind = code.split(separator: ".").last.map(String.init) ?? code
        return switch kind {
        case _ where kind.hasPrefix("no_") || kind == "not_found" || kind.hasPrefix("unknown_"): 404
        case "exists", "conflict", "not_active", "active", "busy", "ended", "in_use", "not_proposed": 409
        case "invalid": 422
        case "unavailable", "refused", "connection_lost", "timeout", "away", "unreachable", "closed", "full": 503
        default: code.hasPrefix("command.") || code.hasPrefix("rollout.") || code.hasPrefix("decision.") ? 409 : 500
        }
    }
}
