package import Observability
package import StreamProcessing

/// Where the stream stands, for metrics and readiness.
package struct StreamStatistics: Sendable, Equatable {
    package struct Partition: Sendable, Equatable {
        package var position: Int64
        /// The offset after the newest record, as far as known.
        package var end: Int64?
        /// Milliseconds since the epoch; `nil` before the first event.
        package var watermark: Int64?
        package var openWindows: Int

        package var lag: Int64? { end.map { max(0, $0 - position) } }
    }

    /// The partitions owned now.
    package var partitions: [Int: Partition] = [:]
    /// Summed over all partitions since the start.
    package var counts = StreamCounts()
    /// Records that the log's bound has overtaken before they were read.
    package var lost: Int64 = 0
    package var checkpoints: Int64 = 0
    package var failedCheckpoints: Int64 = 0
    package var fenced: Int64 = 0
    /// When the last checkpoint was stored, milliseconds since the epoch.
    package var lastCheckpointAt: Int64?
    package var checkpointDuration = MetricHistogram(bounds: Metric.streamCheckpointDuration.definition.bounds)
    /// Assigned partitions that wait for the store.
    package var waiting = 0
    /// Partitions held back because they ran ahead of the others.
    package var paused = 0
    /// The watermark of the partitions owned here that are not silent.
    package var groupWatermark: Int64?

    package init() {}

    /// The watermark of the whole: results before it are final. `nil` until every partition has one.
    package var watermark: Int64? {
        let known = partitions.values.compactMap(\.watermark)
        return known.count == partitions.count ? known.min() : nil
    }
}
