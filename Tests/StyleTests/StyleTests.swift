import Foundation
import Testing

/// Rules of the house that no compiler checks. Each says why.
@Suite struct StyleTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func swiftFiles(under folder: String) -> [(path: String, lines: [String])] {
        let base = root.appendingPathComponent(folder)
        let names = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".swift") }.sorted().compactMap { name in
            guard let text = try? String(contentsOf: base.appendingPathComponent(name), encoding: .utf8) else {
                return nil
            }
            return ("\(folder)/\(name)", text.components(separatedBy: "\n"))
        }
    }

    static func offences(_ folder: String, _ isOffence: (String, String) -> Bool) -> [String] {
        swiftFiles(under: folder).flatMap { file in
            file.lines.enumerated().filter { isOffence(file.path, $0.element) }.map { "\(file.path):\($0.offset + 1)" }
        }
    }

    @Test func filesCanBeReadInOneGo() {
        for folder in ["Sources", "Tests"] {
            for file in Self.swiftFiles(under: folder) { #expect(file.lines.count <= 501, "\(file.path) is too long") }
        }
    }

    /// A crash takes every request with it; where the construct is safe, the comment on its line or the line above proves it.
    @Test func whatCanCrashIsProven() throws {
        let pattern = try Regex(
            #"\btry!|\bfatalError\(|[^a-z]as! |@unchecked Sendable|nonisolated\(unsafe\)|preconditionFailure\("#)
        for file in Self.swiftFiles(under: "Sources") {
            for (index, line) in file.lines.enumerated() where line.contains(pattern) {
                let above = index > 0 ? file.lines[index - 1] : ""
                #expect(line.contains("//") || above.contains("//"), "\(file.path):\(index + 1) needs its proof")
            }
        }
    }

    @Test func dependenciesAreDocumentedWithTheirVersions() throws {
        func text(_ file: String) throws -> String {
            try String(contentsOf: Self.root.appendingPathComponent(file), encoding: .utf8)
        }
        let named = try text("docs/dependencies.md").components(separatedBy: "## C libraries")[0]
            .matches(of: /\| ([\w.-]+\/[\w.-]+) \| ([\d.]+) \| ./).map { "\($0.1) \($0.2)" }
        let used = try text("Package.swift").matches(of: /github\.com\/([^"]+)", exact: "([^"]+)"/)
            .map { "\($0.1) \($0.2)" }
        #expect(!used.isEmpty)
        #expect(Set(named) == Set(used))
    }

    /// A decision must be the same when it is made again from what was stored.
    @Test func pureLogicReadsNoClockAndDrawsNoRandomness() throws {
        let pattern = try Regex(
            #"\bDate\(\)|(Clock|Instant|Date)\.now\b|Clock\(\)|SystemRandomNumberGenerator|\.random\(|\bTask ?\{|DispatchQueue"#
        )
        let pure = ["Policy", "StreamProcessing", "Analysis", "Decisions", "Rollouts", "Statistics"]
        for folder in pure {
            let found = Self.offences("Sources/\(folder)") { _, line in !line.contains("///") && line.contains(pattern)
            }
            #expect(found.isEmpty, "\(found)")
        }
    }

    /// C is called in one place for each library, where every unsafe operation is spelled.
    @Test func onlyWrappersImportC() {
        let wrappers = [
            "CPostgres": "PostgresClient", "CKafka": "KafkaClient", "CSimdJSON": "Telemetry", "CZlib": "Compression",
            "CCurl": "CurlClient",
        ]
        for (module, wrapper) in wrappers {
            let found = Self.offences("Sources") { path, line in
                line.hasSuffix("import \(module)") && !path.hasPrefix("Sources/\(wrapper)/")
            }
            #expect(found.isEmpty, "\(found)")
        }
    }

    @Test func namesSayWhatAThingIs() throws {
        let pattern = try Regex(#"\b(class|struct|enum|actor|protocol) \w*(Utils?|Manager|Helpers?|Enhanced)\b"#)
        for folder in ["Sources", "Tests"] {
            let found = Self.offences(folder) { _, line in line.contains(pattern) }
            #expect(found.isEmpty, "\(found)")
        }
    }

    @Test func nothingIsLeftForLater() throws {
        let pattern = try Regex(#"\b(TO.?DO|FIX.?ME|HACK)\b"#)
        for folder in ["Sources", "Tests"] {
            let found = Self.offences(folder) { path, line in !path.contains("StyleTests") && line.contains(pattern) }
            #expect(found.isEmpty, "\(found)")
        }
    }

    /// The architecture's arrows: what each target may import of ours.
    @Test func importsFollowTheArchitecture() throws {
        let manifest = try String(contentsOf: Self.root.appendingPathComponent("Package.swift"), encoding: .utf8)
        let pure: Set<String> = [
            "Core", "Statistics", "Telemetry", "Policy", "StreamProcessing", "Analysis", "Decisions", "Rollouts",
        ]
        for name in ["StreamProcessing", "Analysis", "Decisions", "Rollouts", "ControlLoop"] {
            let line = try #require(manifest.components(separatedBy: "\n").first { $0.contains("ours(\"\(name)\"") })
            let names = line.components(separatedBy: "\"").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
            #expect(Set(names.dropFirst()).subtracting(pure).isEmpty, "\(name) may import pure targets only: \(line)")
        }
    }
}
