import Core

/// How the stream treats time, and the bounds of what it remembers; all bounds are per partition.
package struct StreamSettings: Sendable, Equatable {
    /// Length of the tumbling windows `requests`, milliseconds, at least 1.
    package var windowMs: Int64 = 60_000
    /// Whether the windows `spend`, `prompts` and `sizes` are kept too.
    package var analyzerWindows = false
    /// Windows declared beside those.
    package var windows: [WindowDefinition] = []
    /// Keys that one window tells apart; those beyond it are counted together, as `(other)`.
    package var mostKeys = 100_000
    /// How far events may be out of order without being late, milliseconds.
    package var boundMs: Int64 = 2_000
    /// After so long without an event a partition follows the clock, milliseconds.
    package var idleMs: Int64 = 5_000
    /// Whether a partition without events follows the clock, so that its last window closes.
    package var quietPartitionsFollowClock = true
    /// How far a partition may run ahead of the others before it is paused, milliseconds; `nil`: as far as it likes.
    package var alignMs: Int64? = 300_000
    /// An event further in the future is refused, milliseconds.
    package var futureLimitMs: Int64 = 60_000
    /// How long after its window fired an event still counts, milliseconds.
    package var latenessMs: Int64 = 600_000
    /// The share of requests that get a row of their own, 0...1, by id hash. Those of a rollout, of `explore`, `shadow`
    /// and `holdout`, and failed ones always do.
    package var keepRequests: Double = 1
    /// Requests remembered for the feedback that follows soon, at least; twice as many at most.
    package var recentRequests = 10_000
    /// Feedback ids remembered, at least, so that a repeat is dropped early; the store refuses the others.
    package var recentFeedback = 10_000
    /// Feedback that may wait for its request.
    package var pendingFeedback = 1_000
    /// How long it may wait, milliseconds.
    package var pendingFeedbackMs: Int64 = 30_000
    /// Producer runs whose last number is remembered.
    package var producers = 1_024
    /// Bytes kept of a dead letter.
    package var deadLetterBytes = 16_384

    package init() {}

    /// All windows, `requests` first.
    package var definitions: [WindowDefinition] {
        [.requests(sizeMs: max(1, windowMs), latenessMs: latenessMs)]
            + (analyzerWindows ? WindowDefinition.analyzers(latenessMs: latenessMs) : []) + windows
    }

    /// - Throws: `TrimtabError` `stream.definition_changed` where windows are open on which the definition of their name can
    ///   neither count on nor leave them as they are.
    package func check(_ state: PartitionState) throws {
        let byName = Dictionary(definitions.map { ($0.name, $0) }) { first, _ in first }
        for held in state.openWindows where byName[held.key.window]?.contradicts(held) == true {
            throw TrimtabError(
                "stream.definition_changed",
                "Window '\(held.key.window)' has open windows whose panes were made in another way: its kind, "
                    + "'discarding' or early panes were changed.",
                remedy: "Give the window a new name along with the change, or take the change back.")
        }
    }
}
