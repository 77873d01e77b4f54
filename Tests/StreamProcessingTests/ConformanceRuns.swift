import Statistics
import StreamProcessing
import Telemetry
import TestSupport

/// Shows values as the conformance set writes them.
enum Show {
    static func result(_ result: WindowResult, late: Bool) -> String {
        let sums = result.aggregate
        return "[\(result.window.start),\(result.window.end)) \(result.key.route) n=\(sums.requests) "
            + "s=\(Int64(sums.inputTokens.sum)) \(late ? "late" : "ontime")"
    }

    static func event(_ words: some Sequence<String>) -> RequestRecord {
        let words = Array(words)
        var record = RequestRecord(
            id: Make.id(0), at: Int64(words[0]) ?? 0, startedAt: 0, route: words[1], outcome: .complete, status: 200,
            totalMs: 1)
        record.tokens = TokenUsage(input: Int(words[2]) ?? 0, output: 0)
        return record
    }
}

/// Runs a case on the window operator alone: `e` adds, `w` moves the watermark.
struct WindowRun {
    private var windows: WindowOperator

    init(_ one: ConformanceCase) {
        windows = WindowOperator(partition: 0, assigner: one.assigner, latenessMs: one.number("L"))
    }

    mutating func step(_ words: [String]) -> [String] {
        switch words[0] {
        case "e":
            let record = Show.event(words.dropFirst())
            let counted = windows.add(at: record.at, key: WindowKey(record)) { $0.add(record) }
            guard counted else { return ["LATE " + words.dropFirst().joined(separator: " ")] }
            return windows.drain().results.map { Show.result($0, late: true) }
        case "w":
            windows.advance(to: words[1] == "max" ? .max : Int64(words[1]) ?? 0)
            return windows.drain().results.map { Show.result($0, late: false) }
        case "open": return ["OPEN \(windows.openCount)"]
        default: return ["unknown step"]
        }
    }
}

/// Runs a case on one partition's processor with its own clock rules.
struct PartitionRun {
    private let settings: StreamSettings
    private let showsWatermark: Bool
    private var processor: PartitionProcessor
    private var now = Int64.max / 4
    private var watermark: Int64?

    init(_ one: ConformanceCase) {
        var settings = StreamSettings()
        settings.windowMs = Int64(one.specification["win", default: ""].split(separator: ":")[1]) ?? 0
        settings.boundMs = one.number("B")
        settings.latenessMs = one.number("L")
        settings.idleMs = one.number("idle", .max)
        settings.futureLimitMs = one.number("future", .max)
        self.settings = settings
        showsWatermark = one.specification["show"] == "wm"
        processor = PartitionProcessor(partition: 0, settings: settings)
    }

    mutating func step(_ words: [String]) -> [String] {
        var lines: [String] = []
        let before = processor.watermark ?? .min
        switch words[0] {
        case "assign": break
        case "now":
            now = Int64(words[1]) ?? 0
            processor.advance(now: now)
        default: processor.process(.request(Show.event(words.dropFirst())), offset: processor.position, now: now)
        }
        let checkpoint = processor.checkpoint()
        let rest = words.dropFirst().joined(separator: " ")
        for dead in checkpoint.deadLetters {
            lines.append(dead.reason == .late ? "LATE \(rest)" : "DEAD \(rest) \(dead.reason.rawValue)")
        }
        if showsWatermark, let moved = processor.watermark, moved != watermark { lines.append("WM \(moved)") }
        watermark = processor.watermark
        return lines + checkpoint.results.map { Show.result($0, late: $0.window.end - 1 <= before) }
    }
}

/// Runs a case of several instances over one store.
struct InstanceRun {
    private struct Owner {
        var epoch: Int64
        var processor: PartitionProcessor
    }

    private let settings: StreamSettings
    private var store: [String: MemoryPartition] = [:]
    /// By instance, then partition.
    private var owners: [String: [String: Owner]] = [:]
    private var shown: [Int64: String] = [:]

    init(_ one: ConformanceCase) {
        var settings = StreamSettings()
        settings.windowMs = Int64(one.specification["win", default: ""].split(separator: ":")[1]) ?? 0
        settings.boundMs = one.number("B")
        settings.latenessMs = one.number("L")
        self.settings = settings
    }

    mutating func step(_ words: [String]) throws -> [String] {
        let instance = words[0]
        switch words[1] {
        case "assign":
            let name = words[2]
            let claimed = try store[name, default: MemoryPartition(partition: 0)].claim()
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
        shown[offset] = words.dropFirst(2).joined(separator: " ")
        processor.process(.request(Show.event(words.dropFirst(2))), offset: offset, now: .max / 4)
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
        let late = checkpoint.deadLetters.map { "LATE \(shown[$0.offset, default: "?"])" }
        return checkpoint.results.map { Show.result($0, late: $0.pane > 0) } + late
            + ["COMMIT \(name) off=\(checkpoint.state.nextOffset)"]
    }
}
