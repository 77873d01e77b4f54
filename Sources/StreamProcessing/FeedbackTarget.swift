import Core
import Telemetry

/// What feedback has to know of its request. One is remembered for each request, so it is small.
struct FeedbackTarget {
    /// How the request was assigned in a rollout; most were in none.
    final class Assignment: Sendable {
        let rollout: UUIDv7?
        let step: Int?
        let candidateWeight: Double?
        let unit: UInt32?
        let shadowOf: UUIDv7?
        let variant: String?

        fileprivate init(
            rollout: UUIDv7?, step: Int?, candidateWeight: Double?, unit: UInt32?, shadowOf: UUIDv7?, variant: String?
        ) {
            self.rollout = rollout
            self.step = step
            self.candidateWeight = candidateWeight
            self.unit = unit
            self.shadowOf = shadowOf
            self.variant = variant
        }
    }

    /// Milliseconds since the epoch.
    let at: Int64
    /// Of the window `requests`.
    let key: WindowKey
    /// Name of the client's virtual key; empty where there was none.
    let virtualKey: String
    let assignment: Assignment?

    @inline(__always)
    init(_ record: borrowing RequestRecord, key: WindowKey) {
        at = record.at
        self.key = key
        virtualKey = record.key ?? ""
        guard record.rollout != nil || record.unit != nil || record.shadowOf != nil || record.variant != nil else {
            assignment = nil
            return
        }
        assignment = Assignment(
            rollout: record.rollout, step: record.step, candidateWeight: record.candidateWeight, unit: record.unit,
            shadowOf: record.shadowOf, variant: record.variant)
    }

    init(_ row: RequestRow) {
        at = row.at
        key = row.key
        virtualKey = row.virtualKey ?? ""
        assignment = Assignment(
            rollout: row.rollout, step: row.step, candidateWeight: row.candidateWeight, unit: row.unit,
            shadowOf: row.shadowOf, variant: row.variant)
    }
}
