/// How long each kind of row is kept, in days before today.
package struct Retention: Sendable, Equatable {
    /// Requests, feedback, dead letters, evidence, closed findings, digests of answers to fixed prompts and events.
    package var records: Int
    /// Window results as declared, results by hour, and results by day.
    package var windows: Int
    package var hours: Int
    package var days: Int

    package init(records: Int = 30, windows: Int = 14, hours: Int = 180, days: Int = 1_095) {
        self.records = records
        self.windows = windows
        self.hours = hours
        self.days = days
    }
}

/// A table that has one partition for every so many days (UTC).
struct PartitionedTable: Sendable {
    let name: String
    let days: Int64
    let keep: @Sendable (Retention) -> Int
    /// The level of results that the table holds, if a coarser one takes over where it ends.
    var level: String?

    var lengthMs: Int64 { days * DayPartitions.dayMs }

    static let all = [
        PartitionedTable(name: "requests", days: 1, keep: \.records),
        PartitionedTable(name: "feedback", days: 1, keep: \.records),
        PartitionedTable(name: "window_results", days: 1, keep: \.windows, level: "window"),
        PartitionedTable(name: "window_feedback", days: 1, keep: \.windows, level: "window"),
        PartitionedTable(name: "window_hours", days: 30, keep: \.hours, level: "hour"),
        PartitionedTable(name: "window_feedback_hours", days: 30, keep: \.hours, level: "hour"),
        PartitionedTable(name: "window_days", days: 30, keep: \.days),
        PartitionedTable(name: "window_feedback_days", days: 30, keep: \.days),
    ]
}
