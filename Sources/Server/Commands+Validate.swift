import ControlLoop
import Core
import Foundation
import Gateway
package import Policy
import StateStore

extension Commands {
    /// Checks the configuration and what it names: files, models, and the routes that the store has already.
    ///
    /// - Returns: what is allowed and yet worth knowing, one line each.
    /// - Throws: `TrimtabError` `config.…` for what is wrong.
    package static func validate(_ source: SettingsSource) async throws -> [String] {
        let settings = try Settings(source)
        try settings.checkFiles()
        return settings.globsWithoutModel() + (await storeNotes(settings))
    }

    private static func storeNotes(_ settings: Settings) async -> [String] {
        do {
            return try await withPool(settings) { pool in
                let pending = try await Migrator(pool).pending()
                guard pending.isEmpty else {
                    return [
                        "The database is \(pending.count) migration(s) behind, so drift was not checked. "
                            + "Run `trimtab migrate`."
                    ]
                }
                return try await drift(settings, PostgresControlStore(pool))
            }
        } catch {
            let why = (error as? TrimtabError)?.summary ?? "\(error)"
            let route = settings.unseededDefaultRoute.map { "gateway.default_route: there is no route '\($0)' here." }
            return [route, "Drift from the store was not checked. \(why)"].compactMap(\.self)
        }
    }

    /// How the routes of the configuration differ from the store's: PostgreSQL is the truth once a route exists.
    private static func drift(_ settings: Settings, _ store: PostgresControlStore) async throws -> [String] {
        var lines: [String] = []
        for seeded in settings.routes {
            let name = seeded.route.name
            guard var stored = try await store.state(of: name)?.route else {
                lines.append("routes.\(name) is not in the store yet; `trimtab serve` makes it.")
                continue
            }
            // Only a person moves it, and never here.
            stored.baseline = seeded.route.baseline
            let keys = seeded.route.keysThatDiffer(from: stored)
            guard !keys.isEmpty else { continue }
            lines.append(
                "routes.\(name) differs from the store in \(keys.joined(separator: ", ")); the store is in force.")
        }
        if let name = settings.unseededDefaultRoute, try await store.state(of: name) == nil {
            lines.append("gateway.default_route: there is no route '\(name)', here or in the store.")
        }
        return lines
    }
}

extension Settings {
    /// - Throws: `config.unreadable` for a file that is named and cannot be read.
    func checkFiles() throws {
        let files =
            [
                ("gateway.tls.certificate_file", gateway.tls?.certificateFile),
                ("gateway.tls.key_file", gateway.tls?.keyFile),
            ] + providers.map { ("providers.\($0.id).trust_roots_file", $0.trustRootsFile) }
        for (key, path) in files {
            guard let path, !FileManager.default.isReadableFile(atPath: path) else { continue }
            throw TrimtabError(
                "config.unreadable", "\(key): the file \(path) cannot be read.",
                remedy: "Check that it exists and may be read by this user.")
        }
    }

    /// A default route that people must make, since the configuration does not.
    var unseededDefaultRoute: RouteName? {
        gateway.defaultRoute.flatMap { name in routes.contains { $0.route.name == name } ? nil : name }
    }

    /// A glob that matches nothing is allowed, since providers need not list their models, but rarely meant.
    func globsWithoutModel() -> [String] {
        let known = control.loop.catalog.map(\.modelKey)
        return routes.flatMap { seeded in
            let models = known + seeded.firstPolicy.targets.map(\.modelKey)
            return seeded.route.allowed.filter { glob in !models.contains { globMatches(glob, $0) } }.map {
                "routes.\(seeded.route.name).allowed: '\($0)' matches no model that a provider lists."
            }
        }
    }
}

extension Route {
    /// Dotted keys, as in the configuration.
    package func keysThatDiffer(from other: Route) -> [String] {
        let (mine, theirs) = (leaves, other.leaves)
        return Set(mine.keys).union(theirs.keys).filter { mine[$0] != theirs[$0] }.sorted()
    }

    private var leaves: [String: String] {
        // A route always encodes: its numbers are finite.
        guard let data = try? JSONEncoder().encode(self), let tree = try? JSONSerialization.jsonObject(with: data)
        else { return [:] }
        var found: [String: String] = [:]
        func visit(_ value: Any, _ path: String) {
            guard let fields = value as? [String: Any] else { return found[path] = "\(value)" }
            for (key, value) in fields { visit(value, path.isEmpty ? key : "\(path).\(key)") }
        }
        visit(tree, "")
        return found
    }
}
