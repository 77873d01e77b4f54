import Core
import Foundation
import Yams

/// Where settings come from, strongest first: flags, environment (`TRIMTAB_…`), secret files, YAML, defaults.
package struct SettingsSource: Sendable {
    /// `--set key=value`, by dotted key.
    var flags: [String: String]
    var environment: [String: String]
    /// Content of the files of the secrets folder, by file name, which is a dotted key.
    var secretFiles: [String: String]
    /// The document as text; parsed for each reader, since a node is not sendable.
    var yaml: String
    var file: String

    /// Variables with our prefix that are not settings.
    static let reserved: Set<String> = [
        "TRIMTAB_URL", "TRIMTAB_TOKEN", "TRIMTAB_CONFIG", "TRIMTAB_SECRETS_DIR", "TRIMTAB_TEST_DATA",
        "TRIMTAB_TEST_KAFKA",
    ]

    /// Reads the layers.
    ///
    /// - Throws: `TrimtabError` `config.…` when a file cannot be read or is not YAML, or a flag is not `key=value`.
    package init(file path: String?, flags: [String], environment: [String: String], secretsFolder: String?) throws {
        self.flags = try Self.parse(flags)
        self.environment = environment.filter { $0.key.hasPrefix("TRIMTAB_") && !Self.reserved.contains($0.key) }
        secretFiles = try Self.readSecrets(secretsFolder ?? environment["TRIMTAB_SECRETS_DIR"])
        file = path ?? "(no file)"
        yaml = try path.map { try Self.read($0) } ?? ""
    }

    /// For tests and for the reference: YAML text, no other layer.
    package init(yaml: String, file: String = "config.yaml", flags: [String] = [], environment: [String: String] = [:])
        throws
    {
        self.flags = try Self.parse(flags)
        self.environment = environment
        secretFiles = [:]
        self.file = file
        self.yaml = yaml
    }

    private static func parse(_ flags: [String]) throws -> [String: String] {
        try flags.reduce(into: [:]) { result, flag in
            guard let mark = flag.firstIndex(of: "="), mark != flag.startIndex else {
                let lack = flag.hasPrefix("=") ? "key" : "value"
                throw TrimtabError("config.flag", "`--set \(flag)` has no \(lack).", remedy: "Write `--set key=value`.")
            }
            result[String(flag[..<mark])] = String(flag[flag.index(after: mark)...])
        }
    }

    private static func read(_ path: String, _ what: String = "The configuration file") throws -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw TrimtabError(
                "config.unreadable", "\(what) \(path) cannot be read.",
                remedy: "Check that it exists, is UTF-8 text and may be read by this user.")
        }
    }

    /// - Throws: `TrimtabError` `config.yaml` with the place of the fault.
    func compose() throws -> Node? {
        do {
            return try Yams.compose(yaml: yaml)
        } catch let error as YamlError {
            throw TrimtabError(
                "config.yaml", "\(file) is not valid YAML: \(error)", remedy: "Correct it at that place.")
        }
    }

    private static func readSecrets(_ folder: String?) throws -> [String: String] {
        guard let folder else { return [:] }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            throw TrimtabError(
                "config.secrets", "The secrets folder \(folder) cannot be read.", remedy: "Name a folder that exists.")
        }
        return try names.filter { !$0.hasPrefix(".") }.reduce(into: [:]) { result, name in
            let path = "\(folder)/\(name)"
            var isFolder: ObjCBool = false
            if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
                throw TrimtabError(
                    "config.secrets", "\(path) is a folder within the secrets folder.",
                    remedy: "Keep one file for each secret there, named after its key.")
            }
            result[name] = try read(path, "The secret file").trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}
