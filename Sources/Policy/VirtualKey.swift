import Crypto
package import Foundation

/// A client's key: the gateway keeps its digest only.
package struct VirtualKey: Codable, Sendable, Equatable {
    /// Unique, shown in records and audit; 1 to 64 bytes.
    package var name: String
    package var project: String?
    /// Hex, from `KeyHasher`.
    package var digest: String
    package var createdAt: Int64
    package var revokedAt: Int64?

    package init(name: String, project: String? = nil, digest: String, createdAt: Int64) {
        self.name = name
        self.project = project
        self.digest = digest
        self.createdAt = createdAt
    }

    enum CodingKeys: String, CodingKey {
        case name, project, digest
        case createdAt = "created_at"
        case revokedAt = "revoked_at"
    }
}

/// An operator's token for the control API.
package struct OperatorToken: Codable, Sendable, Equatable {
    package var name: String
    package var role: Role
    package var digest: String
    package var createdAt: Int64
    package var revokedAt: Int64?

    /// Each role may do all that the ones before it may.
    package enum Role: String, Codable, Sendable, CaseIterable, Comparable {
        case viewer, `operator`, admin
        package static func < (a: Self, b: Self) -> Bool {
            (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
        }
    }

    package init(name: String, role: Role, digest: String, createdAt: Int64) {
        self.name = name
        self.role = role
        self.digest = digest
        self.createdAt = createdAt
    }

    enum CodingKeys: String, CodingKey {
        case name, role, digest
        case createdAt = "created_at"
        case revokedAt = "revoked_at"
    }
}

/// Makes secrets and their keyed digests (HMAC-SHA-256): a stolen table of digests is of no use without the key.
package struct KeyHasher: Sendable {
    private let key: SymmetricKey

    /// - Parameter secret: at least 32 random bytes, the same for every role of one installation.
    package init(secret: some ContiguousBytes) { key = SymmetricKey(data: secret) }

    /// 64 hex digits.
    package func digest(_ secret: String) -> String {
        HMAC<SHA256>.authenticationCode(for: Data(secret.utf8), using: key).map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
    }

    package enum Kind: String, Sendable {
        case virtualKey = "tt-"
        case operatorToken = "tto-"
    }

    /// A new secret: the prefix, then 32 random bytes in base64url.
    package static func generate(_ kind: Kind) -> String {
        let bytes = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
        let text = bytes.base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
        return kind.rawValue + text
    }
}
