import Core

/// Hashes of what clients call their sessions and users: their own words go nowhere.
///
/// The salts are arbitrary and frozen: a change would move every session to another partition and another arm.
package enum ClientHash {
    private static let sessionSalt: UInt64 = 0x7365_7373_696f_6e01
    private static let userSalt: UInt64 = 0x7573_6572_0000_0002

    /// The lowest twelve bits are the session's bucket.
    package static func session(_ name: String) -> UInt64 { Hash64.hash(name, salt: sessionSalt) }
    package static func user(_ name: String) -> UInt64 { Hash64.hash(name, salt: userSalt) }
}
