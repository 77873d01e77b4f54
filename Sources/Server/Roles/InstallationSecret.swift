import Core
import Crypto
package import Foundation

/// The secret that keys and tokens are hashed with: from the configuration, else a file that is made at first start.
/// All roles of one installation need the same one.
package enum InstallationSecret {
    package static let fileName = "secret.key"
    /// Shorter ones could be guessed.
    package static let minimumBytes = 32

    /// - Throws: `TrimtabError` `server.data_folder` when the folder cannot be made or read.
    package static func load(configured: String?, folder: String) throws -> Data {
        if let configured { return Data(configured.utf8) }
        let path = "\(folder)/\(fileName)"
        if let data = FileManager.default.contents(atPath: path), data.count >= minimumBytes { return data }
        let fresh = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
        try PrivateFile.write(fresh, to: path)
        return fresh
    }
}

/// Files that only their owner may read, written whole or not at all.
package enum PrivateFile {
    package static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        } catch {
            throw TrimtabError(
                "server.data_folder", "The folder \(path) cannot be made: \(error.localizedDescription).",
                remedy: "Set data_dir to a folder this user may write.")
        }
    }

    package static func write(_ data: Data, to path: String) throws {
        let temporary = "\(path).\(ProcessInfo.processInfo.processIdentifier).new"
        guard FileManager.default.createFile(atPath: temporary, contents: data, attributes: [.posixPermissions: 0o600]),
            rename(temporary, path) == 0
        else {
            try? FileManager.default.removeItem(atPath: temporary)
            throw TrimtabError(
                "server.data_folder", "The file \(path) cannot be written.",
                remedy: "Set data_dir to a folder this user may write.")
        }
    }
}
