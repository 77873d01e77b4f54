package import Telemetry

/// Neighbouring records of one partition in one buffer, so that they are parsed where they lie.
package struct EventBatch: Sendable {
    /// One record: its place in the partition and where its JSON lies in `bytes`.
    package struct Entry: Sendable, Equatable {
        package let offset: Int64
        /// `nil`: the record carries no kind, or one that this version does not know.
        package let kind: LogEvent.Kind?
        /// Empty for a record without a value.
        package let range: Range<Int>

        package init(offset: Int64, kind: LogEvent.Kind?, range: Range<Int>) {
            self.offset = offset
            self.kind = kind
            self.range = range
        }
    }

    /// Zero bytes after the last record, so that a parser that reads in blocks stays inside the buffer.
    package static let padding = 64
    /// A batch ends with the record that reaches one of these bounds.
    package static let recordLimit = 4_000
    package static let byteLimit = 2 << 20

    package let partition: Int
    package var bytes: [UInt8]
    /// In offset order; gaps are possible, repeats are not.
    package var entries: [Entry]

    package init(partition: Int, bytes: [UInt8] = [], entries: [Entry] = []) {
        self.partition = partition
        self.bytes = bytes
        self.entries = entries
    }

    /// Where to read on after this batch.
    package var nextOffset: Int64? { entries.last.map { $0.offset + 1 } }

    var isFull: Bool { entries.count >= Self.recordLimit || bytes.count >= Self.byteLimit }

    mutating func pad() { bytes.append(contentsOf: repeatElement(0, count: Self.padding)) }
}
