import Statistics
import Telemetry

extension WindowAggregate {
    private static let version: UInt8 = 1

    package mutating func merge(_ other: WindowAggregate) {
        requests += other.requests
        failures += other.failures
        errors.merge(other.errors, uniquingKeysWith: +)
        cost.merge(other.cost)
        unknownCost += other.unknownCost
        inputTokens.merge(other.inputTokens)
        outputTokens.merge(other.outputTokens)
        latency.merge(other.latency)
        ttft.merge(other.ttft)
    }

    /// The stored form: a version byte, then the fields; the same bytes for equal aggregates.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(version: Self.version)
        writer.append(requests)
        writer.append(failures)
        writer.append(errors)
        writer.append(cost)
        writer.append(unknownCost)
        writer.append(inputTokens)
        writer.append(outputTokens)
        writer.append(latency.encoded())
        writer.append(ttft.encoded())
        return writer.bytes
    }

    /// `nil` for bytes of another version, cut short, with something behind, or that make no sense.
    package init?(encoded bytes: some Collection<UInt8>) {
        guard var reader = ByteReader(bytes, version: Self.version),
            let requests = reader.signed(), let failures = reader.signed(), let errors = reader.errors(),
            let cost = reader.moments(), let unknownCost = reader.signed(),
            let inputTokens = reader.moments(), let outputTokens = reader.moments(),
            let latency = reader.sketch(), let ttft = reader.sketch(), reader.isAtEnd
        else { return nil }
        self.init()
        self.requests = requests
        self.failures = failures
        self.errors = errors
        self.cost = cost
        self.unknownCost = unknownCost
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.latency = latency
        self.ttft = ttft
    }
}

extension EvidenceCounts {
    private static let version: UInt8 = 1

    package mutating func merge(_ other: EvidenceCounts) {
        requests += other.requests
        failures += other.failures
        errors.merge(other.errors, uniquingKeysWith: +)
        latency.merge(other.latency)
        cost.merge(other.cost)
        costMoments.merge(other.costMoments)
        quality.merge(other.quality)
    }

    /// The stored form: a version byte, then the fields; the same bytes for equal counts.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(version: Self.version)
        writer.append(requests)
        writer.append(failures)
        writer.append(errors)
        writer.append(latency.encoded())
        writer.append(cost.encoded())
        writer.append(costMoments)
        writer.append(UInt64(quality.counts.count))
        for (hundredth, count) in quality.counts.sorted(by: { $0.key < $1.key }) {
            writer.append(Int64(hundredth))
            writer.append(count)
        }
        writer.append(quality.moments)
        return writer.bytes
    }

    /// `nil` for bytes of another version, cut short, with something behind, or that make no sense.
    package init?(encoded bytes: some Collection<UInt8>) {
        guard var reader = ByteReader(bytes, version: Self.version),
            let requests = reader.signed(), let failures = reader.signed(), let errors = reader.errors(),
            let latency = reader.sketch(), let cost = reader.sketch(), let costMoments = reader.moments(),
            let quality = reader.quality(), reader.isAtEnd
        else { return nil }
        self.init()
        self.requests = requests
        self.failures = failures
        self.errors = errors
        self.latency = latency
        self.cost = cost
        self.costMoments = costMoments
        self.quality = quality
    }
}

extension ByteWriter {
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
    fileprivate mutating func moments() -> Moments? {
        guard let n = signed(), let sum = double(), let squares = double() else { return nil }
        return Moments(n: n, sum: sum, sumOfSquares: squares)
    }

    fileprivate mutating func sketch() -> DDSketch? { part().flatMap { DDSketch(encoded: $0) } }

    fileprivate mutating func errors() -> [ErrorClass: Int64]? {
        guard let entries = count() else { return nil }
        var errors: [ErrorClass: Int64] = [:]
        for _ in 0..<entries {
            guard let name = text(), let error = ErrorClass(rawValue: name), let count = signed() else { return nil }
            errors[error] = count
        }
        return errors
    }

    fileprivate mutating func quality() -> QualityHistogram? {
        guard let entries = count() else { return nil }
        var counts: [Int: Int64] = [:]
        for _ in 0..<entries {
            guard let hundredth = signed(), (0...100).contains(hundredth), let count = signed() else { return nil }
            counts[Int(hundredth)] = count
        }
        return moments().map { QualityHistogram(counts: counts, moments: $0) }
    }
}
