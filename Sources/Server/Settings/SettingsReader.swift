import Core
import Foundation
import Yams

/// Reads one typed tree out of the layers, complains about what it does not know, and notes every key it was asked
/// for: the same code that reads the settings writes their reference.
package final class SettingsReader {
    /// One line of the reference.
    package struct Entry: Equatable {
        package var key: String
        package var type: String
        package var defaultText: String
        package var allowed: String
        package var summary: String
        package var isSecret: Bool
        /// As it is in force; secrets are redacted.
        package var value: String
    }

    /// Shared by all readers of one tree.
    final class Log {
        var entries: [Entry] = []
        var used: Set<String> = []
    }

    let source: SettingsSource
    let path: String
    let node: Node?
    let log: Log
    private var known: Set<String> = []

    package convenience init(_ source: SettingsSource) throws {
        let root = try source.compose()
        self.init(source: source, path: "", node: root, log: Log())
        if let root, root.mapping == nil, root.null == nil {
            throw problem("", root, "is \(root.kind), not a mapping", remedy: "Write `key: value` lines.")
        }
    }

    private init(source: SettingsSource, path: String, node: Node?, log: Log) {
        self.source = source
        self.path = path
        self.node = node
        self.log = log
    }

    package var entries: [Entry] { log.entries }

    /// Whether this only tells the reference which keys there are.
    var isTemplate: Bool { path.contains("<") }

    private func full(_ key: String) -> String { path.isEmpty ? key : key.isEmpty ? path : "\(path).\(key)" }

    private func child(_ key: String) -> Node? {
        known.insert(key)
        return node?.mapping?[key]
    }

    /// A nested section; absent is the same as empty.
    func section(_ key: String) throws -> SettingsReader {
        let child = child(key)
        if let child, child.mapping == nil, child.null == nil {
            throw problem(key, child, "is \(child.kind), not a mapping", remedy: "Write `key: value` lines below it.")
        }
        return SettingsReader(source: source, path: full(key), node: child, log: log)
    }

    /// The named children of a mapping, in order. `template` is read for the reference when there is none.
    func map<Value>(_ key: String, template: String, _ read: (SettingsReader, String) throws -> Value) throws -> [Value]
    {
        let section = try section(key)
        let names = section.node?.mapping?.keys.compactMap(\.string) ?? []
        if names.isEmpty {
            _ = try? read(
                SettingsReader(source: source, path: "\(section.path).<\(template)>", node: nil, log: log), "name")
            return []
        }
        let isTemplate = log.entries.contains { $0.key.hasPrefix("\(section.path).<\(template)>") }
        if !isTemplate {
            let empty = try SettingsReader(
                source: SettingsSource(yaml: ""), path: "\(section.path).<\(template)>", node: nil, log: log)
            _ = try? read(empty, "name")
        }
        return try names.map { name in
            let child = try section.section(name)
            let value = try read(child, name)
            try child.finish()
            return value
        }
    }

    /// The text of a leaf in the layers above the file.
    private func stronger(_ key: String) -> (text: String, origin: String)? {
        let dotted = full(key)
        let variable = "TRIMTAB_" + dotted.uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" }
        log.used.formUnion([dotted, variable])
        if let text = source.flags[dotted] { return (text, "`--set`") }
        if let text = source.environment[variable] { return (text, variable) }
        if let text = source.secretFiles[dotted] { return (text, "secret file \(dotted)") }
        return nil
    }

    /// Where the value of a key comes from, for messages; the key of this section itself when empty.
    func origin(_ key: String = "") -> String {
        if key.isEmpty { return node.map(place) ?? source.file }
        if let stronger = stronger(key) { return stronger.origin }
        guard let child = node?.mapping?[key], child.null == nil else { return "its default" }
        return place(child)
    }

    /// The text of a leaf in the strongest layer that has it, and what that layer is called.
    func text(_ key: String) throws -> (text: String, origin: String)? {
        let child = child(key)
        if let stronger = stronger(key) { return stronger }
        guard let child, child.null == nil else { return nil }
        guard let scalar = child.scalar else {
            throw problem(key, child, "is \(child.kind), not a single value", remedy: "Write one value.")
        }
        return (scalar.string, place(child))
    }

    func note(
        _ key: String, _ type: String, _ defaultText: String, _ allowed: String, _ summary: String, secret: Bool,
        value: String
    ) {
        let entry = Entry(
            key: full(key), type: type, defaultText: defaultText, allowed: allowed, summary: summary, isSecret: secret,
            value: secret && !value.isEmpty ? "********" : value)
        if !log.entries.contains(where: { $0.key == entry.key }) { log.entries.append(entry) }
    }

    /// A list of texts: a YAML sequence, or comma-separated in the other layers.
    func list(_ key: String, default fallback: [String], _ summary: String) throws -> [String] {
        let child = child(key)
        var value = fallback
        if stronger(key) == nil, let sequence = child?.sequence {
            value = try sequence.map { item in
                guard let text = item.scalar?.string else {
                    throw problem(key, item, "holds \(item.kind)", remedy: "Write a list of single values.")
                }
                return text
            }
        } else if let (text, _) = try text(key) {
            value = text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        note(
            key, "list", fallback.joined(separator: ", "), "", summary, secret: false,
            value: value.joined(separator: ", "))
        return value
    }

    /// Free name-to-text pairs, from the file and, by `key.name`, from flags and secret files.
    func pairs(_ key: String, _ summary: String) throws -> [String: String] {
        let section = try section(key)
        note(key, "map", "", "", summary, secret: false, value: "")
        var pairs: [String: String] = [:]
        for (nameNode, value) in section.node?.mapping ?? Node.Mapping([]) {
            guard let name = nameNode.string, let text = value.scalar?.string else {
                throw problem(key, value, "holds \(value.kind)", remedy: "Write `name: value` pairs.")
            }
            pairs[name] = text
        }
        let prefix = full(key) + "."
        for layer in [source.secretFiles, source.flags] {
            for (dotted, text) in layer where dotted.hasPrefix(prefix) && dotted.count > prefix.count {
                pairs[String(dotted.dropFirst(prefix.count))] = text
                log.used.insert(dotted)
            }
        }
        for (name, text) in pairs.sorted(by: { $0.key < $1.key }) {
            let isSecret = ["password", "secret", "key"].contains { name.lowercased().contains($0) }
            section.note(name, "text", "", "", summary, secret: isSecret, value: text)
        }
        return pairs
    }

    /// Complains about the first key that nobody asked for.
    package func finish() throws {
        for (key, value) in node?.mapping ?? Node.Mapping([]) {
            guard let name = key.string, !known.contains(name) else { continue }
            let near = known.min { $0.editDistance(to: name) < $1.editDistance(to: name) }
            let hint = near.flatMap { $0.editDistance(to: name) <= 3 ? "Did you mean `\($0)`?" : nil }
            throw TrimtabError(
                "config.unknown_key", "\(full(name)) at \(place(key.mark == nil ? value : key)) is not a setting.",
                remedy: hint ?? "Remove it; `docs/configuration.md` lists every key.")
        }
        guard path.isEmpty else { return }
        if let flag = source.flags.keys.sorted().first(where: { !log.used.contains($0) }) {
            throw TrimtabError(
                "config.unknown_key", "`--set \(flag)` is not a setting.",
                remedy: "`docs/configuration.md` lists every key.")
        }
        if let name = source.environment.keys.sorted().first(where: { !log.used.contains($0) }) {
            throw TrimtabError(
                "config.unknown_key", "The variable \(name) is not a setting.", remedy: "Unset it, or correct its name."
            )
        }
        if let name = source.secretFiles.keys.sorted().first(where: { !log.used.contains($0) }) {
            throw TrimtabError(
                "config.unknown_key", "The secret file \(name) is not a setting.",
                remedy: "Remove it, or name it after a key.")
        }
    }

    private func place(_ node: Node) -> String { node.mark.map { "\(source.file):\($0.line)" } ?? source.file }

    func problem(_ key: String, _ node: Node?, _ what: String, remedy: String) -> TrimtabError {
        let name = full(key).isEmpty ? "The configuration" : full(key)
        return TrimtabError(
            "config.malformed", "\(name) at \(node.map(place) ?? source.file) \(what).", remedy: remedy)
    }

    /// A value that is read but cannot be used.
    func wrong(_ key: String, _ what: String, remedy: String) -> TrimtabError {
        TrimtabError("config.malformed", "\(full(key)) (\(origin(key))) \(what).", remedy: remedy)
    }

    func missing(_ key: String, remedy: String) -> TrimtabError {
        TrimtabError("config.missing", "\(full(key)) is not set (\(origin())).", remedy: remedy)
    }

    func malformed(_ key: String, _ text: String, _ origin: String, _ type: String, remedy: String) -> TrimtabError {
        TrimtabError("config.malformed", "\(full(key)) = '\(text)' (\(origin)) is not \(type).", remedy: remedy)
    }
}

extension Node {
    /// What a person would call it.
    var kind: String {
        switch self {
        case .scalar: "a single value"
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }
}

extension String {
    /// Levenshtein distance, for hints on misspelt keys.
    func editDistance(to other: String) -> Int {
        let target = Array(other.utf8)
        var row = Array(0...target.count)
        for (i, a) in utf8.enumerated() {
            var previous = row[0]
            row[0] = i + 1
            for (j, b) in target.enumerated() {
                let cost = previous + (a == b ? 0 : 1)
                previous = row[j + 1]
                row[j + 1] = Swift.min(cost, row[j] + 1, previous + 1)
            }
        }
        return row[target.count]
    }
}
