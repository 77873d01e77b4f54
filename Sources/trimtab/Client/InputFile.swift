import Core
import Foundation
import Yams

/// Reads what `-f` names: JSON or YAML, `-` for standard input.
enum InputFile {
    static func read(_ path: String) throws -> JSON {
        let data: Data
        if path == "-" {
            data = FileHandle.standardInput.readDataToEndOfFile()
        } else if let found = FileManager.default.contents(atPath: path) {
            data = found
        } else {
            throw Failure(status: .usage, text: "'\(path)' cannot be read. Name a file, or - for standard input.")
        }
        let text = String(decoding: data, as: UTF8.self)
        do {
            // JSON is YAML too; one reader serves both, and its errors name line and column.
            guard let node = try Yams.compose(yaml: text) else {
                throw Failure(status: .usage, text: "'\(path)' is empty.")
            }
            return try convert(node, path)
        } catch let error as YamlError {
            throw Failure(status: .usage, text: "'\(path)' is neither JSON nor YAML: \(error)")
        }
    }

    private static func convert(_ node: Node, _ path: String) throws -> JSON {
        switch node {
        case .scalar(let scalar):
            if scalar.style == .doubleQuoted || scalar.style == .singleQuoted { return .string(scalar.string) }
            if node.null != nil { return .null }
            if let value = node.bool { return .bool(value) }
            if let value = node.int { return .integer(Int64(value)) }
            if let value = node.float, value.isFinite { return .number(value) }
            return .string(scalar.string)
        case .sequence(let sequence): return .array(try sequence.map { try convert($0, path) })
        case .mapping(let mapping):
            var fields: [String: JSON] = [:]
            for (key, value) in mapping {
                guard let name = key.string else {
                    throw Failure(status: .usage, text: "'\(path)' has a key that is not a name.")
                }
                guard fields.updateValue(try convert(value, path), forKey: name) == nil else {
                    let line = key.mark.map { ", line \($0.line)" } ?? ""
                    throw Failure(status: .usage, text: "'\(path)'\(line): '\(name)' is written twice.")
                }
            }
            return .object(fields)
        default: throw Failure(status: .usage, text: "'\(path)' uses a YAML alias; write the value out.")
        }
    }
}
