import Core
import Foundation
import Statistics
import StreamProcessing
import TestSupport
import Testing

/// Thousands of histories of workers, failures and rebalances in virtual time, over the code that runs in production.
@Suite struct ModelTests {
    private struct Outcome {
        var met: Set<ModelPoint>
        var records: Int
        var problems: [String]
    }

    /// `TRIMTAB_HISTORY=7` repeats one and prints it; `TRIMTAB_HISTORIES=100000` runs more than usual.
    private static let environment = ProcessInfo.processInfo.environment
    private static let single = environment["TRIMTAB_HISTORY"].flatMap(UInt64.init)
    private static let count = environment["TRIMTAB_HISTORIES"].flatMap(UInt64.init) ?? 11_200

    @Test("Whatever happens to workers, store and log, every window counts every record once")
    func histories() async {
        let seeds = Self.single.map { $0...$0 } ?? 1...Self.count
        let lanes: UInt64 = 4
        let outcomes = await withTaskGroup(of: [Outcome].self) { tasks in
            for lane in 0..<lanes {
                tasks.addTask { seeds.filter { $0 % lanes == lane }.map(Self.history) }
            }
            return await tasks.reduce(into: []) { $0 += $1 }
        }
        let problems = outcomes.flatMap(\.problems)
        #expect(problems.isEmpty, "\(problems.prefix(5).joined(separator: "\n"))")
        guard Self.single == nil else { return }
        #expect(Self.environment["TRIMTAB_HISTORIES"] != nil || outcomes.reduce(0) { $0 + $1.records } > 1_000_000)
        let missed = ModelPoint.all.subtracting(outcomes.flatMap(\.met))
        #expect(missed.isEmpty, "never met: \(missed.map(\.description).sorted())")
    }

    private static func told(_ result: WindowResult) -> String {
        "pane \(result.pane) \(result.kind), \(result.aggregate.requests) requests, cost \(result.aggregate.cost), "
            + "top \(result.aggregate.top.map { $0.top(3) }), latency \(result.aggregate[.latency].moments)"
    }

    private static func history(seed: UInt64) -> Outcome {
        let world = ModelWorld(seed: seed)
        if single != nil { world.trace = { print($0) } }
        let records = world.log.records.reduce(0) { $0 + $1.count }
        guard world.run() else {
            return Outcome(met: world.met, records: records, problems: ["seed \(seed): did not come to its end"])
        }
        let undisturbed = world.undisturbed()
        let problems = world.store.enumerated().flatMap { partition, store in
            let records = world.readable(partition)
            let (truth, repeats) = (ModelTruth(records, world.settings), records.repeats)
            return ModelTruth(store, without: repeats).differences(from: truth).map { "truth: \($0)" }
                + differences(store, undisturbed[partition], without: repeats)
        }
        return Outcome(
            met: world.met, records: records,
            problems: problems.map { "seed \(seed): \($0.prefix(600)); repeat it with TRIMTAB_HISTORY=\(seed)" })
    }

    private static func differences(
        _ store: MemoryPartition, _ plain: MemoryPartition, without repeats: Set<Int64>
    ) -> [String] {
        var problems: [String] = []
        for (id, result) in store.results where plain.results[id] != result {
            problems.append("\(id): \(told(result)), undisturbed \(plain.results[id].map(told) ?? "none")")
        }
        func dead(_ store: MemoryPartition) -> [Int64: [UInt8]] {
            store.deadLetters.filter { !repeats.contains($0.key) }.mapValues(\.raw)
        }
        let same =
            store.results.count == plain.results.count && store.added == plain.added && store.deltas == plain.deltas
            && store.requests == plain.requests && dead(store) == dead(plain)
        if !same { problems.append("the rows differ from those of a run without failures") }
        return problems
    }
}
