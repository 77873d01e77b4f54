import Statistics
import Telemetry

extension WindowAggregate {
    private static let version: UInt8 = 3
    /// The form without signals.
    private static let earlier: UInt8 = 2

    /// The stored form: a version byte, then the fields; the same bytes for equal aggregates.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(version: Self.version)
        writer.append(requests)
        writer.append(failures)
        writer.append(errors)
        writer.append(unknownCost)
        writer.append(UInt64(fields.count))
        for (field, measure) in zip(fields, measures) {
            writer.append(field.code)
            writer.append(measure)
        }
        writer.append(UInt64(distinct.count))
        for sketch in distinct { writer.append(sketch.encoded()) }
        writer.append(UInt64(top.count))
        for summary in top { writer.append(summary.encoded()) }
        let counted = Signal.coded.filter { count(of: $0) > 0 }
        writer.append(UInt64(counted.count))
        for signal in counted {
            writer.append(UInt64(signal.code))
            writer.append(count(of: signal))
        }
        return writer.bytes
    }

    /// `nil` for bytes of another version, cut short, with something behind, or that make no sense.
    package init?(encoded bytes: some Collection<UInt8>) {
        if bytes.first == 1 {
            self.init(firstVersion: bytes)
            return
        }
        guard var reader = ByteReader(bytes, version: Self.version) ?? ByteReader(bytes, version: Self.earlier),
            let requests = reader.signed(), let failures = reader.signed(), let errors = reader.errors(),
            let unknownCost = reader.signed(), let measures = reader.measures(),
            let distinct = reader.list({ HyperLogLog(encoded: $0) }),
            let top = reader.list({ SpaceSaving(encoded: $0) }),
            let signals = bytes.first == Self.earlier ? [:] : reader.signals(), reader.isAtEnd
        else { return nil }
        self.init(fields: measures.map(\.field), measures: measures.map(\.measure), distinct: distinct, top: top)
        self.requests = requests
        self.failures = failures
        self.errors = errors
        self.unknownCost = unknownCost
        self.signals = signals
    }

    /// What the release 0.1 stored: neither the extremes nor the sum of times.
    private init?(firstVersion bytes: some Collection<UInt8>) {
        guard var reader = ByteReader(bytes, version: 1),
            let requests = reader.signed(), let failures = reader.signed(), let errors = reader.errors(),
            let cost = reader.moments(), let unknownCost = reader.signed(),
            let inputTokens = reader.moments(), let outputTokens = reader.moments(),
            let latency = reader.sketch(), let ttft = reader.sketch(), reader.isAtEnd
        else { return nil }
        self.init()
        self.requests = requests
        self.failures = failures
        self.errors = errors
        self.unknownCost = unknownCost
        self.cost = cost
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.latency = latency
        self.ttft = ttft
    }
}

extension Measured {
    /// What stands for it in stored aggregates. A code is never given to another measure.
    fileprivate var code: UInt64 {
        switch self {
        case .cost: 0
        case .inputTokens: 1
        case .outputTokens: 2
        case .cachedTokens: 3
        case .latency: 4
        case .ttft: 5
        case .overhead: 6
        case .messages: 8
        case .attempts: 9
        case .queue: 10
        case .tokenTime: 11
        }
    }

    /// Tokens a second, which are measured no more.
    fileprivate static let retired: Set<UInt64> = [7]
}

extension ByteWriter {
    fileprivate mutating func append(_ measure: Measure) {
        append(measure.moments)
        append(measure.minimum)
        append(measure.maximum)
        append(measure.sketch.encoded())
    }

    fileprivate mutating func append(_ moments: Moments) {
        append(moments.n)
        append(moments.sum)
        append(moments.sumOfSquares)
    }

    fileprivate mutating func append(_ errors: [ErrorClass: Int64]) {
        append(UInt64(errors.count))
        for (error, count) in errors.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            append(error.rawValue.utf8)
            append(count)
        }
    }
}

extension ByteReader {
    /// A number of parts, each read by `read`.
    fileprivate mutating func list<Item>(_ read: (ArraySlice<UInt8>) -> Item?) -> [Item]? {
        guard let length = count() else { return nil }
        var items: [Item] = []
        for _ in 0..<length {
            guard let item = part().flatMap(read) else { return nil }
            items.append(item)
        }
        return items
    }

    fileprivate mutating func measures() -> [(field: Measured, measure: Measure)]? {
        guard let length = count() else { return nil }
        var found: [(field: Measured, measure: Measure)] = []
        for _ in 0..<length {
            guard let code = unsigned(), let measure = measure() else { return nil }
            if Measured.retired.contains(code) { continue }
            guard let field = Measured.allCases.first(where: { $0.code == code }),
                !found.contains(where: { $0.field == field })
            else { return nil }
            found.append((field, measure))
        }
        return found
    }

    private mutating func measure() -> Measure? {
        guard let moments = moments(), let minimum = double(), let maximum = double(), let sketch = sketch() else {
            return nil
        }
        var measure = Measure()
        measure.moments = moments
        measure.minimum = minimum
        measure.maximum = maximum
        measure.sketch = sketch
        return measure
    }

    fileprivate mutating func moments() -> Moments? {
        guard let n = signed(), let sum = double(), let squares = double() else { return nil }
        return Moments(n: n, sum: sum, sumOfSquares: squares)
    }

    fileprivate mutating func sketch() -> DDSketch? { part().flatMap { DDSketch(encoded: $0) } }

    fileprivate mutating func signals() -> [Signal: Int64]? {
        guard let entries = count() else { return nil }
        var signals: [Signal: Int64] = [:]
        for _ in 0..<entries {
            guard let code = unsigned(), code < UInt64(Signal.codes), let count = signed(), count > 0,
                signals.updateValue(count, forKey: Signal.coded[Int(code)]) == nil
            else { return nil }
        }
        return signals
    }

    fileprivate mutating func errors() -> [ErrorClass: Int64]? {
        guard let entries = count() else { return nil }
        var errors: [ErrorClass: Int64] = [:]
        for _ in 0..<entries {
            guard let name = text(), let error = ErrorClass(rawValue: name), let count = signed() else { return nil }
            errors[error] = count
        }
        return errors
    }
}
