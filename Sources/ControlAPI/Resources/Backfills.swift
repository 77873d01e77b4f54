package import ControlLoop
package import Foundation
package import StreamProcessing
import Core
import Hummingbird
import Policy

extension ControlAPI {
    static let backfillEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/stream/backfills", .viewer, "Past ranges of the log that were counted again.",
            query: ["limit", "cursor"]
        ) { api, call in
            let views = try await api.records.backfills().map { BackfillView($0) }
            return Answer.json(try call.page(views, key: \.job))
        },
        Endpoint(
            "GET", "/api/v1/stream/backfills/{job}", .viewer, "What one counts beside what live traffic gave.",
            query: ["limit"]
        ) { api, call in
            let (job, limit) = (call.parameters["job"] ?? "", try call.limit())
            guard let backfill = try await api.records.backfills().first(where: { $0.job == job }) else {
                throw BackfillFault.missing(job)
            }
            let comparison = try await api.records.compareBackfill(job, limit: limit)
            return Answer.json(BackfillView(backfill, comparison, api.settings.windows))
        },
        Endpoint(
            "DELETE", "/api/v1/stream/backfills/{job}", .operator, "Forgets one with its results; a running one ends."
        ) { api, call in
            try await api.records.deleteBackfill(call.parameters["job"] ?? "", by: call.actor, now: api.hooks.now())
            return Answer.empty
        },
    ]

    /// A backfill with its comparison, as the API answers it.
    package static func document(
        _ backfill: Backfill, _ comparison: BackfillComparison, _ definitions: [WindowDefinition]
    ) throws -> Data {
        try Answer.encode(BackfillView(backfill, comparison, definitions))
    }
}

private struct BackfillView: Encodable {
    let job, topic, note: String
    let from, to, startedAt: Int64
    let finishedAt: Int64?
    let windows: [String]
    /// Windows by verdict; `nil` in a list.
    let comparison: [String: Int64]?
    let differences: [DifferenceView]?

    init(_ backfill: Backfill, _ comparison: BackfillComparison? = nil, _ definitions: [WindowDefinition] = []) {
        (job, topic, note) = (backfill.job, backfill.topic, backfill.note)
        (from, to) = (backfill.range.lowerBound, backfill.range.upperBound)
        (startedAt, finishedAt) = (backfill.startedAt, backfill.finishedAt)
        windows = backfill.definitions.map(\.name)
        self.comparison = comparison.map { comparison in
            Dictionary(BackfillComparison.Verdict.allCases.map { ($0.rawValue, comparison[$0]) }) { $1 }
        }
        differences = comparison?.differences.map { difference in
            DifferenceView(difference, definitions.first { $0.name == difference.id.key.window })
        }
    }

    enum CodingKeys: String, CodingKey {
        case job, topic, note, from, to, windows, comparison, differences
        case startedAt = "started_at"
        case finishedAt = "finished_at"
    }
}

private struct DifferenceView: Encodable {
    let window, verdict: String
    let start, end: Int64
    let key: [String: String]
    let partition: Int
    let live, backfill: FiguresView?

    init(_ difference: BackfillComparison.Difference, _ definition: WindowDefinition?) {
        let held = difference.id.key
        (window, verdict, partition) = (held.window, difference.verdict.rawValue, difference.partition)
        (start, end) = (difference.id.window.start, difference.id.window.end)
        key = Dictionary((definition.map(held.values) ?? []).map { ($0.dimension.rawValue, $0.value) }) { $1 }
        (live, backfill) = (difference.live.map(FiguresView.init), difference.backfill.map(FiguresView.init))
    }
}

private struct FiguresView: Encodable {
    let requests, failures: Int64
    let costNanoUSD: Double

    init(_ figures: BackfillComparison.Figures) {
        (requests, failures, costNanoUSD) = (figures.requests, figures.failures, figures.costNanoUSD)
    }

    enum CodingKeys: String, CodingKey {
        case requests, failures
        case costNanoUSD = "cost_nano_usd"
    }
}
