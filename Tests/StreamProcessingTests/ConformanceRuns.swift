import Core
import Statistics
import StreamProcessing
import Telemetry
import TestSupport

/// Shows values as the conformance set writes them.
struct Show {
    private let shows: String?

    init(_ one: ConformanceCase) { shows = one.specification["show"] }

    var watermarks: Bool { shows == "wm" }

    func result(_ result: WindowResult) -> String {
        let sums = result.aggregate[.cost]
        let extremes = shows == "minmax" ? " min=\(Int64(sums.minimum)) max=\(Int64(sums.maximum))" : ""
        return "[\(result.window.start),\(result.window.end)) \(result.key.route) n=\(result.aggregate.requests) "
            + "s=\(Int64(sums.moments.sum))\(extremes) \(result.kind.rawValue)"
            + (shows == "pane" ? " #\(result.pane)" : "")
    }

    func changes(_ changes: WindowChanges) -> [String] {
        changes.retracted.map { "RETRACT [\($0.window.start),\($0.window.end)) \($0.key.route)" }
            + changes.results.map(result)
    }

    static func watermark(_ value: Int64) -> String { "WM " + (value == .max ? "max" : String(value)) }

    /// `TS KEY VALUE`.
    static func event(_ words: some Sequence<String>) -> RequestRecord {
        let words = Array(words)
        var record = RequestRecord(
            id: Make.id(0), at: Int64(words[0]) ?? 0, startedAt: 0, route: words[1], outcome: .complete, status: 200,
            totalMs: 1)
        record.cost = NanoUSD(Int64(words[2]) ?? 0)
        return record
    }
}

/// Runs a case on the window operator alone: `e` adds, `w` moves the watermark, `now` the clock.
struct WindowRun {
    private let show: Show
    private let windows: any WindowOperator
    private var now: Int64 = 0

    init(_ one: ConformanceCase) {
        show = Show(one)
        windows = one.definition.makeOperator(partition: 0)
    }

    mutating func step(_ words: [String]) -> [String] {
        switch words[0] {
        case "e":
            let rest = words.dropFirst().joined(separator: " ")
            let record = Show.event(words.dropFirst())
            switch windows.add(record, now: now) {
            case .counted: break
            case .late: return ["LATE " + rest]
            case .unassigned: return ["UNASSIGNED " + rest]
            }
        case "w": windows.advance(to: words[1] == "max" ? .max : Int64(words[1]) ?? 0)
        case "now":
            now = Int64(words[1]) ?? 0
            windows.advanceClock(now: now)
        case "open": return ["OPEN \(windows.openCount)"]
        default: return ["unknown step"]
        }
        return show.changes(windows.drain())
    }
}

/// Runs a case of partitions whose smallest watermark moves one operator.
struct PartitionsRun {
    private let show: Show
    private let settings: StreamSettings
    private let windows: any WindowOperator
    private var group: WatermarkGroup<String>
    private var clocks: [String: PartitionClock] = [:]
    private var now: Int64?
    private var idle: Set<String> = []

    init(_ one: ConformanceCase) {
        show = Show(one)
        settings = one.settings
        windows = one.definition.makeOperator(partition: 0)
        group = WatermarkGroup(alignMs: one.specification["align"] == nil ? nil : one.number("align"))
    }

    /// Cases without a clock are about event time alone.
    private var clock: Int64 { now ?? .max / 4 }

    mutating func step(_ words: [String]) -> [String] {
        var lines: [String] = []
        let clock = self.clock
        switch words[0] {
        case "assign":
            let restored = words.count > 2 ? Int64(words[2]) : nil
            clocks[words[1]] = PartitionClock(settings, watermark: restored)
            clocks[words[1]]?.advance(now: clock)
            group.add(words[1], watermark: restored)
        case "revoke":
            clocks[words[1]] = nil
            group.remove(words[1])
        case "now":
            let time = Int64(words[1]) ?? 0
            now = time
            for name in clocks.keys { clocks[name]?.advance(now: time) }
        case "end":
            for name in clocks.keys { group.update(name, watermark: .max, isIdle: false) }
            return lines + settle()
        default: lines = event(words)
        }
        for (name, clock) in clocks { group.update(name, watermark: clock.watermark, isIdle: clock.isIdle) }
        let silent = Set(clocks.filter(\.value.isIdle).keys)
        lines += silent.subtracting(idle).sorted().map { "IDLE \($0)" }
        idle = silent
        return lines + settle()
    }

    private mutating func event(_ words: [String]) -> [String] {
        let name = String(words[0].dropFirst(2))
        let record = Show.event(words.dropFirst())
        let rest = words.dropFirst().joined(separator: " ")
        let clock = self.clock
        guard clocks[name]?.isTooFarAhead(record.at, now: clock) == false else { return ["DEAD \(rest) future"] }
        let placed = windows.add(record, now: clock)
        clocks[name]?.observe(record.at, now: clock)
        return placed == .late ? ["LATE \(rest)"] : []
    }

    private mutating func settle() -> [String] {
        var lines: [String] = []
        for change in group.settle() {
            switch change {
            case .paused(let name): lines.append("PAUSE \(name)")
            case .resumed(let name): lines.append("RESUME \(name)")
            case .watermark(let value):
                if show.watermarks { lines.append(Show.watermark(value)) }
                windows.advance(to: value)
            }
        }
        return lines + show.changes(windows.drain())
    }
}

/// Runs a case of several instances over one store.
struct InstanceRun {
    private struct Owner {
        var epoch: Int64
        var processor: PartitionProcessor
    }

    private let show: Show
    private let settings: StreamSettings
    private var store: [String: MemoryPartition] = [:]
    /// By instance, then partition.
    private var owners: [String: [String: Owner]] = [:]
    /// Events that were late, by instance, until they are committed.
    private var late: [String: [String]] = [:]

    init(_ one: ConformanceCase) {
        show = Show(one)
        var settings = one.settings
        // The window that every stream has closes at the end of time, and so says nothing here.
        settings.windowMs = .max / 2
        settings.windows = [one.definition]
        self.settings = settings
    }

    mutating func step(_ words: [String]) throws -> [String] {
        let instance = words[0]
        switch words[1] {
        case "assign":
            let name = words[2]
            let claimed = try store[name, default: MemoryPartition(partition: 0)].claim()
            try settings.check(claimed.state)
            owners[instance, default: [:]][name] = Owner(
                epoch: claimed.epoch,
                processor: PartitionProcessor(partition: 0, settings: settings, restoring: claimed.state))
            return ["START \(name) off=\(claimed.state.nextOffset)"]
        case "ckpt": return owners[instance, default: [:]].keys.sorted().flatMap { commit(instance, $0) }
        case "revoke":
            defer { owners[instance]?[words[2]] = nil }
            return commit(instance, words[2])
        case "lost": owners[instance]?[words[2]] = nil
        case "crash": owners[instance] = nil
        default: return feed(instance, words)
        }
        return []
    }

    /// `e@p0:7 TS KEY VALUE`.
    private mutating func feed(_ instance: String, _ words: [String]) -> [String] {
        let place = words[1].dropFirst(2).split(separator: ":").map(String.init)
        let offset = Int64(place[1]) ?? 0
        guard let processor = owners[instance]?[place[0]]?.processor else { return ["IGNORED \(place[0]):\(offset)"] }
        let position = processor.position
        let before = processor.counts.late
        processor.process(.request(Show.event(words.dropFirst(2))), offset: offset, now: .max / 4)
        if processor.counts.late != before {
            late[instance, default: []].append("LATE " + words.dropFirst(2).joined(separator: " "))
        }
        if offset < position { return ["SKIP \(place[0]):\(offset)"] }
        return offset > position ? ["GAP \(place[0]):\(position)..\(offset - 1)"] : []
    }

    private mutating func commit(_ instance: String, _ name: String) -> [String] {
        guard let owner = owners[instance]?[name] else { return [] }
        let checkpoint = owner.processor.checkpoint()
        guard store[name]?.commit(checkpoint, epoch: owner.epoch) == true else {
            owners[instance]?[name] = nil
            return ["FENCED \(name)"]
        }
        let late = self.late.removeValue(forKey: instance) ?? []
        let results = checkpoint.results.filter { $0.key.window == "conformance" }.map(show.result)
        return results + late + ["COMMIT \(name) off=\(checkpoint.state.nextOffset)"]
    }
}
