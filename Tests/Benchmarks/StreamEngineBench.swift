import Core
import Foundation
import Statistics
import StreamProcessing
import Telemetry

/// The stream's engine from memory, without a log or a store: JSON to windows on one core.
enum StreamEngineBench {
    /// Reference events counted, and what the peers must agree on.
    struct Reference {
        var rate: Double
        var records = 0
        var sum = 0.0
    }

    private static let rounds = 7
    private static let turns = 15

    // MARK: The reference event

    /// Count, sum, mean and p95 of the latency by route and model in windows of 10 s, as the peers do it.
    static func reference(_ bytes: [UInt8]) throws -> Reference {
        var best = Reference(rate: 0)
        for _ in 0..<rounds {
            let began = CPUClock.now()
            var counted = try count(bytes, definition)
            counted.rate = Double(counted.records) / (CPUClock.now() - began)
            if counted.rate > best.rate { best = counted }
        }
        return best
    }

    /// What events in sliding windows of twelve panes cost beside those in windows of one.
    static func panes(_ bytes: [UInt8]) throws -> Double {
        func seconds(_ assigner: WindowAssigner) throws -> Double {
            let began = CPUClock.now()
            _ = try count(bytes, windows(assigner))
            return CPUClock.now() - began
        }
        // In turns, since the machine's pace changes.
        let ratios = try (0..<turns).map { _ in
            try seconds(.sliding(size: 12_000, hop: 1_000)) / seconds(.sliding(size: 12_000, hop: 12_000))
        }
        return ratios.median
    }

    static let definition = windows(.tumbling(size: ReferenceEvents.windowMs))

    private static func windows(_ assigner: WindowAssigner) -> WindowDefinition {
        WindowDefinition(
            name: "reference", key: [.route, .model], assigner: assigner, latenessMs: 0,
            aggregates: AggregateSelection(measures: [.latency], quantiles: [.latency], errors: false))
    }

    static var settings: StreamSettings {
        var settings = StreamSettings()
        settings.boundMs = ReferenceEvents.disorderMs
        settings.futureLimitMs = .max
        return settings
    }

    private static func count(_ bytes: [UInt8], _ definition: WindowDefinition) throws -> Reference {
        let windows = definition.makeOperator(partition: 0)
        var clock = PartitionClock(settings)
        var total = Reference(rate: 0)
        var record = RequestRecord.blank
        let document = JSONDocument()
        var held = Held()
        func collect() {
            for result in windows.drain().results {
                total.records += Int(result.aggregate.requests)
                total.sum += result.aggregate[.latency].moments.sum
                _ = result.aggregate.latency.quantile(0.95)
            }
        }
        let size = ReferenceEvents.bytesPerEvent + 1
        try bytes.withUnsafeBytes { raw in
            for start in stride(from: 0, to: raw.count, by: size) {
                let event = UnsafeRawBufferPointer(rebasing: raw[start..<(start + size - 1)])
                try read(event, document, into: &record, &held)
                _ = windows.add(record, now: 0)
                clock.observe(record.at, now: 0)
                if let watermark = clock.watermark { windows.advance(to: watermark) }
                if start / size % 100_000 == 99_999 { collect() }
            }
        }
        windows.advance(to: .max)
        collect()
        return total
    }

    private enum ReferenceField: Int, DocumentField {
        case ts, route, model, provider, latency
        static let paths = ["ts", "route", "model", "provider", "latency_ms"]
    }
    private static let schema = DocumentSchema<ReferenceField>()

    /// The names that a record holds, as `JSONDocument.name` has it.
    struct Held {
        var route = TextEnds()
        var model = TextEnds()
        var provider = TextEnds()
    }

    static func read(
        _ bytes: UnsafeRawBufferPointer, _ document: JSONDocument, into record: inout RequestRecord,
        _ held: inout Held
    ) throws {
        try document.parse(bytes, schema)
        guard let at = document.index(of: ReferenceField.ts).flatMap(document.integer),
            let latency = document.index(of: ReferenceField.latency).flatMap(document.number),
            let route = document.index(of: ReferenceField.route),
            let model = document.index(of: ReferenceField.model),
            let provider = document.index(of: ReferenceField.provider),
            document.name(route, into: &record.route, held: &held.route),
            document.name(model, into: &record.model, held: &held.model),
            document.name(provider, into: &record.provider, held: &held.provider)
        else { throw TrimtabError("bench.stream", "This is no reference event.", remedy: "This is a defect.") }
        record.at = at
        record.totalMs = latency
    }

    // MARK: The product's own record

    /// The product's own records through one partition's processor, JSON included, with a checkpoint each 100,000.
    static func product(_ records: [RequestRecord], _ change: (inout StreamSettings) -> Void = { _ in }) throws
        -> Double
    {
        var bytes: [UInt8] = []
        var parts: [Range<Int>] = []
        for record in records {
            let start = bytes.count
            EventEncoder.encode(.request(record), into: &bytes)
            parts.append(start..<bytes.count)
        }
        var settings = StreamSettings()
        change(&settings)
        let now = (records.map(\.at).max() ?? 0) + 600_000
        var best = 0.0
        for _ in 0..<rounds {
            let processor = PartitionProcessor(partition: 0, settings: settings)
            let decoder = EventDecoder()
            let began = CPUClock.now()
            for (offset, part) in parts.enumerated() {
                processor.process(bytes, part, kind: .request, offset: Int64(offset), now: now, decoder: decoder)
                if offset % 100_000 == 99_999 { _ = processor.checkpoint() }
            }
            best = max(best, Double(records.count) / (CPUClock.now() - began))
            guard processor.counts.requests == records.count else {
                throw TrimtabError(
                    "bench.stream", "The windows count \(processor.counts.requests) of \(records.count) records.",
                    remedy: "This is a defect.")
            }
        }
        return best
    }

    // MARK: The window operator alone

    /// Microseconds an event at so many keys, at twenty events a key and window.
    static func microseconds(keys: Int) -> Double {
        var random = SplitMix64(seed: 11)
        let routes = (0..<keys).map { "route-\($0)" }
        let events = (0..<(keys * 20)).map { number in
            (
                at: ReferenceEvents.start + Int64(number) * 60_000 / Int64(keys * 20),
                // Short enough to lie in the event itself.
                route: routes[Int(random.next() % UInt64(keys))], ms: 100 + 900 * random.unit()
            )
        }
        let definition = WindowDefinition(
            name: "bench", key: [.route, .model, .arm, .policy], assigner: .tumbling(size: 60_000), latenessMs: 0)
        var record = RequestRecord.blank
        record.provider = "openai"
        record.model = "small"
        var best = Double.infinity
        for _ in 0..<rounds {
            let windows = definition.makeOperator(partition: 0, mostKeys: 1_000_000)
            let began = CPUClock.now()
            for (number, event) in events.enumerated() {
                record.at = event.at
                record.route = event.route
                record.totalMs = event.ms
                _ = windows.add(record, now: 0)
                windows.advance(to: record.at - ReferenceEvents.disorderMs)
                if number % 1_000_000 == 999_999 { _ = windows.drain() }
            }
            windows.advance(to: .max)
            _ = windows.drain()
            best = min(best, (CPUClock.now() - began) * 1e6 / Double(events.count))
        }
        return best
    }

    /// Megabytes of 2^20 bytes that windows of so many keys hold, three of them each, with the aggregates of analyzers.
    static func megabytes(keys: Int) -> Double {
        let before = ChildProcess.residentMB("self")
        let windows = WindowDefinition.requests(sizeMs: 60_000, latenessMs: 600_000).makeOperator(partition: 0)
        var random = SplitMix64(seed: 12)
        var record = RequestRecord.blank
        record.provider = "openai"
        record.model = "small"
        for window in 0..<3 {
            for key in 0..<keys {
                record.route = "route-\(key)"
                for _ in 0..<20 {
                    record.at = ReferenceEvents.start + Int64(window) * 60_000
                    record.totalMs = 300 * exp(random.normal() * 0.6)
                    record.ttftMs = record.totalMs / 5
                    _ = windows.add(record, now: 0)
                }
            }
        }
        let held = windows.openCount
        let megabytes = ChildProcess.residentMB("self") - before
        return held == 3 * keys ? megabytes : .infinity
    }
}
