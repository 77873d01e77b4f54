import ControlLoop
import Core
import Hummingbird
import Policy
import StreamProcessing

extension ControlAPI {
    static let streamEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/stream/partitions", .viewer, "How far each job is in each partition of the log.",
            query: ["job", "limit", "cursor"]
        ) { api, call in
            let wanted = call.query["job"]
            let found = try await api.records.partitions().filter { wanted == nil || $0.job == wanted }
            let ends = api.hooks.endOffsets()
            let now = api.hooks.now()
            let views = found.map { PartitionView($0, end: ends[$0.partition], now: now) }
            return Answer.json(try call.page(views, key: \.key))
        },
        Endpoint(
            "GET", "/api/v1/stream/windows", .viewer, "The windows that the configuration declares.",
            query: ["limit", "cursor"]
        ) { api, call in
            Answer.json(try call.page(api.settings.windows.map(DefinitionView.init), key: \.name))
        },
    ]
}

private struct PartitionView: Encodable {
    let held: StreamPartition
    let end: Int64?
    let now: Int64

    init(_ held: StreamPartition, end: Int64?, now: Int64) {
        self.held = held
        // A backfill reads to where it was told to, not to the end.
        self.end = held.job.hasPrefix(StreamJob.backfillPrefix) ? nil : end
        self.now = now
    }

    /// Sorts as text as the numbers do.
    var key: String {
        let digits = String(held.partition)
        return "\(held.job):" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    enum CodingKeys: String, CodingKey {
        case job, topic, partition, owner, lag, watermark
        case nextOffset = "next_offset"
        case endOffset = "end_offset"
        case behindMs = "watermark_behind_ms"
        case checkpointedAt = "checkpointed_at"
        case checkpointAgeMs = "checkpoint_age_ms"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(held.job, forKey: .job)
        try container.encode(held.topic, forKey: .topic)
        try container.encode(held.partition, forKey: .partition)
        try container.encode(held.owner, forKey: .owner)
        try container.encode(held.nextOffset, forKey: .nextOffset)
        try container.encode(end, forKey: .endOffset)
        try container.encode(end.map { max(0, $0 - held.nextOffset) }, forKey: .lag)
        try container.encode(held.watermark, forKey: .watermark)
        try container.encode(held.watermark.map { max(0, now - max(0, $0)) }, forKey: .behindMs)
        try container.encode(held.checkpointedAt, forKey: .checkpointedAt)
        try container.encode(held.checkpointedAt.map { max(0, now - $0) }, forKey: .checkpointAgeMs)
    }
}

/// A declared window as people read it; lengths in milliseconds.
private struct DefinitionView: Encodable {
    let name, kind: String
    let key: [String]
    let sizeMs, hopMs, offsetMs, gapMs: Int64?
    let latenessMs: Int64
    let discarding: Bool
    let measures, quantiles, distinct, top: [String]
    let errors, feedback: Bool

    init(_ definition: WindowDefinition) {
        name = definition.name
        key = definition.key.map(\.rawValue)
        switch definition.assigner {
        case .tumbling(let size, let offset):
            (kind, sizeMs, hopMs, offsetMs, gapMs) = ("tumbling", size, nil, offset, nil)
        case .sliding(let size, let hop, let offset):
            (kind, sizeMs, hopMs, offsetMs, gapMs) = ("sliding", size, hop, offset, nil)
        case .session(let gap): (kind, sizeMs, hopMs, offsetMs, gapMs) = ("session", nil, nil, nil, gap)
        }
        latenessMs = definition.latenessMs
        discarding = definition.discarding
        measures = definition.aggregates.measures.map(\.rawValue)
        quantiles = definition.aggregates.quantiles.map(\.rawValue).sorted()
        distinct = definition.aggregates.distinct.map(\.rawValue)
        top = definition.aggregates.top.map(\.item.rawValue)
        errors = definition.aggregates.errors
        feedback = definition.aggregates.feedback
    }

    enum CodingKeys: String, CodingKey {
        case name, kind, key, discarding, measures, quantiles, distinct, top, errors, feedback
        case sizeMs = "size_ms"
        case hopMs = "hop_ms"
        case offsetMs = "offset_ms"
        case gapMs = "gap_ms"
        case latenessMs = "lateness_ms"
    }
}
