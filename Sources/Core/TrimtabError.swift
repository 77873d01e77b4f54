/// An error a person can act on: what is wrong, where, and how to mend it.
package struct TrimtabError: Error, CustomStringConvertible, Sendable, Equatable {
    /// A stable, dot-separated identifier, for example `store.migrations_pending`.
    package let code: String
    /// What is wrong and where, one sentence.
    package let summary: String
    /// What to do about it, one sentence.
    package let remedy: String

    package init(_ code: String, _ summary: String, remedy: String) {
        self.code = code
        self.summary = summary
        self.remedy = remedy
    }

    package var description: String { "\(code): \(summary) \(remedy)" }
}

/// How a process of ours ends (sysexits.h).
package enum ExitStatus: Int32, Sendable {
    case ok = 0
    /// What was asked for was done, and did not come out well.
    case notPassed = 1
    case usage = 64
    /// Something we depend on is missing or away at start.
    case unavailable = 69
    /// A defect of ours.
    case software = 70
    case configuration = 78
}
