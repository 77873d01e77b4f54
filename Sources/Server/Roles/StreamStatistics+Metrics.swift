import StreamProcessing
import Observability

extension StreamStatistics {
    /// - Parameter now: milliseconds since the epoch.
    func samples(now: Int64) -> [MetricSample] {
        var samples = [
            MetricSample(.streamRecords, Double(counts.requests), [.kind: "request"]),
            MetricSample(.streamDuplicates, Double(counts.duplicates)),
            MetricSample(.streamLost, Double(lost)),
            MetricSample(.streamPaused, Double(paused)),
            MetricSample(.streamOpenWindows, Double(partitions.values.reduce(0) { $0 + $1.openWindows })),
            MetricSample(.streamCheckpoints, Double(checkpoints), [.result: "stored"]),
            MetricSample(.streamCheckpoints, Double(failedCheckpoints), [.result: "failed"]),
            MetricSample(.streamCheckpoints, Double(fenced), [.result: "fenced"]),
            MetricSample(.streamCheckpointDuration, checkpointDuration),
        ]
        for (window, count) in counts.late {
            samples.append(MetricSample(.streamLate, Double(count), [.window: window]))
        }
        for (reason, count) in counts.deadLetters {
            samples.append(MetricSample(.streamDeadLetters, Double(count), [.reason: reason.rawValue]))
        }
        for (id, partition) in partitions.sorted(by: { $0.key < $1.key }) {
            if let lag = partition.lag { samples.append(MetricSample(.logLag, Double(lag), [.partition: "\(id)"])) }
            if let watermark = partition.watermark {
                samples.append(MetricSample(.streamWatermarkLag, Double(now - watermark) / 1000, [.partition: "\(id)"]))
            }
        }
        return samples
    }
}
