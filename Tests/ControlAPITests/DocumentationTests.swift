import ControlAPI
import Foundation
import Testing

@Suite struct Documentation {
    /// The table of endpoints in the reference comes from the endpoints themselves.
    @Test func isInStep() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/control-api.md")
        let marker = "<!-- endpoints: written by the tests with UPDATE_GOLDEN=1 -->\n"
        let kept = try String(contentsOf: file, encoding: .utf8)
        let prose = try #require(kept.range(of: marker), "The marker is missing.")
        let wanted = kept[..<prose.upperBound] + ControlAPI.documentation()
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try String(wanted).write(to: file, atomically: true, encoding: .utf8)
        } else {
            #expect(kept == wanted, "Run the tests with UPDATE_GOLDEN=1 to write the table anew.")
        }
    }
}
