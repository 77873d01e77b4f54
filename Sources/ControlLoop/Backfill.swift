package import Core
package import StreamProcessing

/// A past range of the log that was counted again under a job of its own.
package struct Backfill: Sendable, Equatable {
    package var job: String
    package var topic: String
    /// Windows that lie in it whole are counted, milliseconds since the epoch.
    package var range: Range<Int64>
    /// The windows that it counts, and for each the earliest start of one that it counts whole.
    package var definitions: [Definition]
    package var startedAt: Int64
    /// `nil` while it runs, and when it was broken off.
    package var finishedAt: Int64?
    /// What may be missing, in words; empty if nothing.
    package var note: String

    package struct Definition: Sendable, Equatable {
        package var name: String
        package var wholeFrom: Int64

        package init(name: String, wholeFrom: Int64) {
            self.name = name
            self.wholeFrom = wholeFrom
        }

        /// A session that starts less than its gap after `start` may go on one whose events lie before it.
        package init(_ definition: WindowDefinition, start: Int64) {
            name = definition.name
            wholeFrom = start
            if case .session(let gap) = definition.assigner { wholeFrom = start + gap }
        }
    }

    package init(
        job: String, topic: String, range: Range<Int64>, definitions: [Definition], startedAt: Int64,
        finishedAt: Int64? = nil, note: String = ""
    ) {
        self.job = job
        self.topic = topic
        self.range = range
        self.definitions = definitions
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.note = note
    }
}

/// Results of a backfill and of live traffic, side by side: one of each window, key and partition.
package struct BackfillComparison: Sendable, Equatable {
    package enum Verdict: String, Sendable, CaseIterable {
        case equal, differing
        case onlyLive = "only_live"
        case onlyBackfill = "only_backfill"
        /// Not equal, but live traffic may still change it.
        case notFinal = "not_final"
    }

    package struct Figures: Sendable, Equatable {
        package var requests: Int64
        package var failures: Int64
        package var costNanoUSD: Double

        package init(requests: Int64, failures: Int64, costNanoUSD: Double) {
            self.requests = requests
            self.failures = failures
            self.costNanoUSD = costNanoUSD
        }
    }

    package struct Difference: Sendable, Equatable {
        package var id: WindowID
        package var partition: Int
        package var verdict: Verdict
        package var live: Figures?
        package var backfill: Figures?

        package init(id: WindowID, partition: Int, verdict: Verdict, live: Figures?, backfill: Figures?) {
            self.id = id
            self.partition = partition
            self.verdict = verdict
            self.live = live
            self.backfill = backfill
        }
    }

    package var counts: [Verdict: Int64] = [:]
    /// The earliest that differ or are on one side only.
    package var differences: [Difference] = []

    package init() {}

    package subscript(verdict: Verdict) -> Int64 { counts[verdict] ?? 0 }
}

/// Errors that both stores share.
package enum BackfillFault {
    package static func missing(_ job: String) -> TrimtabError {
        TrimtabError(
            "store.not_found", "There is no backfill '\(job)'.", remedy: "`trimtab stream replay list` shows them.")
    }
}
