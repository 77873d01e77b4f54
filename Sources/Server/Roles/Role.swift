import Core
import Foundation

/// What one process does; `trimtab serve` does all, `--roles` splits them.
package enum Role: String, CaseIterable, Sendable {
    case gateway, stream, control

    /// - Throws: `TrimtabError` `usage.roles`.
    package static func parse(_ text: String) throws -> Set<Role> {
        let names = text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        let roles = try names.map { name in
            guard let role = Role(rawValue: name) else {
                throw TrimtabError(
                    "usage.roles", "'\(name)' is not a role.",
                    remedy: "Use \(allCases.map(\.rawValue).joined(separator: ", ")), separated by commas.")
            }
            return role
        }
        return roles.isEmpty ? Set(allCases) : Set(roles)
    }
}
