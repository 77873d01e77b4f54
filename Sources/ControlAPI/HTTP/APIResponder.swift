import Core
import Foundation
package import Hummingbird
import Logging
import NIOCore
import Policy

/// Takes a request through routing, authentication, body and handler, and turns every failure into a problem.
package struct APIResponder: HTTPResponder {
    package typealias Context = BasicRequestContext

    let api: ControlAPI

    package func respond(to request: Request, context: Context) async throws -> Response {
        let start = ContinuousClock.now
        var response: Response
        do {
            response = try await answer(request)
        } catch {
            let problem = Problem(error)
            if problem.status == 500 {
                context.logger.error(
                    "Request failed", metadata: ["http.path": "\(request.uri.path)", "error": "\(error)"])
            }
            response = problem.response(instance: request.uri.path)
        }
        SecurityHeaders.add(to: &response)
        let elapsed = start.duration(to: .now) / .seconds(1)
        api.hooks.record(request.method.rawValue, response.status.code, elapsed)
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func answer(_ request: Request) async throws -> Response {
        let (endpoint, parameters) = try find(request)
        let query = try Self.query(request, endpoint)
        var identity: Identity?
        if let role = endpoint.role {
            let known = try await api.authenticator.identify(request)
            guard known.role >= role else { throw Problem.forbidden(known, needs: role) }
            if known.byCookie, endpoint.method != "GET" { try SameOrigin.require(request) }
            identity = known
        }
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: api.settings.bodyLimit)
        } catch is NIOTooManyBytesError {
            throw Problem.tooLarge(limit: api.settings.bodyLimit)
        }
        let call = Call(
            request: request, parameters: parameters, query: query, identity: identity,
            body: Array(buffer.readableBytesView))
        guard endpoint.creates, let key = call.header("Idempotency-Key") else {
            return try await endpoint.handle(api, call)
        }
        return try await api.idempotency.run(key: key, call: call) { try await endpoint.handle(api, call) }
    }

    private func find(_ request: Request) throws -> (Endpoint, [String: String]) {
        let segments = request.uri.path.split(separator: "/")
        let method = request.method == .head ? "GET" : request.method.rawValue
        var allowed: [String] = []
        for endpoint in api.settings.systemOnly ? ControlAPI.systemEndpoints : ControlAPI.endpoints {
            guard let parameters = endpoint.match(segments) else { continue }
            if endpoint.method == method { return (endpoint, parameters) }
            if !allowed.contains(endpoint.method) { allowed.append(endpoint.method) }
        }
        throw allowed.isEmpty ? Problem.noSuchPath(request.uri.path) : Problem.notAllowed(method, allowed: allowed)
    }

    private static func query(_ request: Request, _ endpoint: Endpoint) throws -> [String: String] {
        var values: [String: String] = [:]
        for (key, value) in request.uri.queryParameters {
            let name = String(key)
            guard endpoint.query.contains(name) else {
                throw Problem.invalid([.init("?\(name)", Self.unknownParameter(name, endpoint.query))])
            }
            guard values.updateValue(String(value), forKey: name) == nil else {
                throw Problem.invalid([.init("?\(name)", "'\(name)' is given twice.")])
            }
        }
        return values
    }

    private static func unknownParameter(_ name: String, _ known: [String]) -> String {
        known.isEmpty
            ? "'\(name)' is not known here; this resource takes no parameters."
            : "'\(name)' is not known here. Known: \(known.joined(separator: ", "))."
    }
}
