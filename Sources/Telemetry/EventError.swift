/// Why bytes are no event: which rule is broken, and by which field.
package struct EventError: Error, Sendable, Equatable, CustomStringConvertible {
    package let reason: Reason
    /// For a person: the field's name and what was expected of it.
    package let detail: String

    package enum Reason: String, Sendable, CaseIterable {
        case malformedJSON = "malformed_json"
        case missingField = "missing_field"
        case badValue = "bad_value"
        case repeatedField = "repeated_field"
        case unsupportedVersion = "unsupported_version"
    }

    init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }

    package var description: String { "\(reason.rawValue): \(detail)" }
}
