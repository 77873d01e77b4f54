import Core
import Foundation
package import Simulation
import Yams

/// Scenarios by name, from `config/scenarios`, or by path.
package enum Scenarios {
    /// - Throws: `TrimtabError` `simulation.scenario` that names the file and what is wrong in it.
    package static func load(_ nameOrPath: String) throws -> Scenario {
        let (text, file) = try read(nameOrPath)
        do {
            return try YAMLDecoder().decode(Scenario.self, from: text)
        } catch let DecodingError.keyNotFound(key, context) {
            throw malformed(file, "\(path(context)) has no '\(key.stringValue)'")
        } catch let DecodingError.dataCorrupted(context) {
            throw malformed(
                file, "\(path(context)): \(context.debugDescription) \(context.underlyingError.map { "\($0)" } ?? "")")
        } catch let DecodingError.typeMismatch(_, context), let DecodingError.valueNotFound(_, context) {
            throw malformed(file, "\(path(context)): \(context.debugDescription)")
        }
    }

    private static func malformed(_ file: String, _ what: String) -> TrimtabError {
        TrimtabError(
            "simulation.scenario", "\(file): \(what).", remedy: "Correct the scenario; config/scenarios has examples.")
    }

    private static func path(_ context: DecodingError.Context) -> String {
        context.codingPath.isEmpty ? "the document" : context.codingPath.map(\.stringValue).joined(separator: ".")
    }

    private static func read(_ nameOrPath: String) throws -> (String, String) {
        if !nameOrPath.contains("/"), let text = Configuration.file("scenarios/\(nameOrPath).yaml") { return text }
        guard let text = try? String(contentsOfFile: nameOrPath, encoding: .utf8) else {
            throw TrimtabError(
                "simulation.scenario", "There is no scenario '\(nameOrPath)'.",
                remedy: "Name one of config/scenarios, or give the path of a file.")
        }
        return (text, nameOrPath)
    }
}

/// The folder `config` of the checkout or of an installation.
package enum Configuration {
    /// Looked for in the working folder, then beside the program, then where packages install it.
    package static func file(_ name: String) -> (text: String, path: String)? {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
        let folders = [
            "config", "\(program.path)/../../../config", "\(program.path)/../share/trimtab/config",
            "/usr/share/trimtab/config",
        ]
        for folder in folders {
            let path = "\(folder)/\(name)"
            if let text = try? String(contentsOfFile: path, encoding: .utf8) { return (text, path) }
        }
        return nil
    }
}
