import Foundation
import Policy
import Rollouts
import Telemetry

/// A request body: what it decodes to and which fields it may have.
protocol RequestBody: Decodable {
    static var shape: Shape { get }
}

/// The fields a document may have. Decoders ignore what they do not ask for; people's typos must not pass unseen.
indirect enum Shape: Sendable {
    /// Anything: a plain value, or a field that is read elsewhere or for the record only.
    case value
    case list(Shape)
    /// Any keys, one shape of values.
    case map(Shape)
    case object([String: Shape])

    func violations(in value: Any, at pointer: String = "") -> [Violation] {
        switch (self, value) {
        case (.list(let element), let values as [Any]):
            values.enumerated().flatMap { element.violations(in: $1, at: "\(pointer)/\($0)") }
        case (.map(let element), let fields as [String: Any]):
            fields.sorted { $0.key < $1.key }.flatMap {
                element.violations(in: $1, at: pointer + "/" + Self.escaped($0))
            }
        case (.object(let known), let fields as [String: Any]):
            fields.sorted { $0.key < $1.key }.flatMap { key, value -> [Violation] in
                let place = pointer + "/" + Self.escaped(key)
                if let shape = known[key] { return shape.violations(in: value, at: place) }
                let names = known.keys.sorted().joined(separator: ", ")
                return [Violation(place, "'\(key)' is not a field here. Known: \(names).")]
            }
        default: []  // A value of the wrong kind is named by the decoder.
        }
    }

    /// RFC 6901.
    static func escaped(_ key: String) -> String {
        key.replacingOccurrences(of: "~", with: "~0").replacingOccurrences(of: "/", with: "~1")
    }
}

extension Call {
    /// - Throws: `Problem` that names the position or the fields at fault.
    func decode<Body: RequestBody>(_ type: Body.Type) throws -> Body {
        if let content = header("Content-Type"), !content.hasPrefix("application/json") {
            throw Problem(
                status: 415, code: "request.content_type", detail: "The body is '\(content)'.",
                remedy: "Send 'Content-Type: application/json'.")
        }
        let data = Data(body)
        let tree: Any
        do {
            tree = try JSONSerialization.jsonObject(with: data)
        } catch {
            throw Problem.malformed(Self.position(of: error as NSError, in: body))
        }
        guard tree is [String: Any] else { throw Problem.malformed("Expected an object.") }
        let unknown = Body.shape.violations(in: tree)
        guard unknown.isEmpty else { throw Problem.invalid(unknown) }
        do {
            return try JSONDecoder().decode(Body.self, from: data)
        } catch let error as DecodingError {
            throw Problem.invalid([Self.violation(error)])
        }
    }

    /// Foundation says `… around character <offset>.`; people look for a line and a column.
    private static func position(of error: NSError, in body: [UInt8]) -> String {
        let said = error.userInfo["NSDebugDescription"] as? String ?? "Not JSON."
        guard let match = said.firstMatch(of: /(.*) around character (\d+)\./), let offset = Int(match.2) else {
            return said
        }
        let before = body.prefix(offset)
        let line = before.count { $0 == 0x0A } + 1
        let column = offset - (before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
        return "\(match.1) at line \(line), column \(column)."
    }

    private static func violation(_ error: DecodingError) -> Violation {
        func pointer(_ path: [any CodingKey]) -> String {
            path.map { "/" + ($0.intValue.map(String.init) ?? Shape.escaped($0.stringValue)) }.joined()
        }
        return switch error {
        case .keyNotFound(let key, let context):
            Violation(pointer(context.codingPath + [key]), "'\(key.stringValue)' is missing.")
        case .valueNotFound(let type, let context):
            Violation(pointer(context.codingPath), "Expected \(name(type)), found null.")
        case .typeMismatch(let type, let context):
            Violation(pointer(context.codingPath), "Expected \(name(type)).")
        case .dataCorrupted(let context):
            Violation(pointer(context.codingPath), closedList(context.debugDescription) ?? context.debugDescription)
        @unknown default: Violation("", "The body does not fit.")
        }
    }

    /// Foundation names the type of a closed list and the value; people look for the values it has.
    private static func closedList(_ said: String) -> String? {
        guard let match = said.firstMatch(of: /Cannot initialize (\w+) from invalid String value (.*)/) else {
            return nil
        }
        let known: [String: [String]] = [
            "Goal": RolloutPlan.Goal.allCases.map(\.rawValue), "Kind": RolloutPlan.Kind.allCases.map(\.rawValue),
            "Guardrail": Guardrail.allCases.map(\.rawValue), "Role": OperatorToken.Role.allCases.map(\.rawValue),
            "Source": Feedback.Source.allCases.map(\.rawValue), "Autonomy": Route.Autonomy.allCases.map(\.rawValue),
            "StickyUnit": Route.StickyUnit.allCases.map(\.rawValue),
        ]
        guard let values = known[String(match.1)] else { return nil }
        return "'\(match.2)' is not one of \(values.joined(separator: ", "))."
    }

    private static func name(_ type: Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Int.Type, is Int64.Type: "a whole number"
        case is Double.Type: "a number"
        case is Bool.Type: "true or false"
        case is any Collection.Type where "\(type)".hasPrefix("Dictionary"): "an object"
        case is any Collection.Type: "a list"
        default: "an object"
        }
    }
}
