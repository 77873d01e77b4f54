import Core
import PostgresClient
import StreamProcessing
import Telemetry

extension RequestRow {
    static let columns = """
        id, at, route, model_key, arm, policy, virtual_key, rollout, step, candidate_weight, propensity, outcome, \
        cost_nano_usd, total_ms, variant, shadow_of, unit
        """

    /// In the order of `columns`.
    var fields: [any PostgresEncodable] {
        [
            id, at, key.route, key.modelKey, key.arm.rawValue, key.policy, virtualKey, rollout, step, candidateWeight,
            propensity, outcome.rawValue, cost?.value, totalMs, variant, shadowOf, unit.map(Int64.init),
        ]
    }

    init(_ row: PostgresRow) throws {
        let key = try WindowKey(row)
        let cost: Int64? = try row["cost_nano_usd"]
        let unit: Int64? = try row["unit"]
        self.init(
            id: try row["id"], at: try row["at"], key: key, virtualKey: try row["virtual_key"],
            rollout: try row["rollout"], step: try row["step"], candidateWeight: try row["candidate_weight"],
            unit: unit.flatMap { UInt32(exactly: $0) }, propensity: try row["propensity"], variant: try row["variant"],
            shadowOf: try row["shadow_of"],
            outcome: try enumerated(try row["outcome"]),
            cost: cost.map { NanoUSD($0) }, totalMs: try row["total_ms"])
    }
}
