import Core
import Statistics
import StreamProcessing
import Telemetry

/// Sums that are held by the hundred, so in single precision, written down as bare numbers.
protocol PackedSums: Summable {
    associatedtype Vector: SIMD where Vector.Scalar == Float
    var sums: Vector { get set }
}

extension PackedSums {
    /// Greater sums are taken for this one, so that squares stay finite.
    static var most: Float { 1e34 }

    init(from decoder: any Decoder) throws {
        self.init()
        sums = try decoder.singleValueContainer().decode(Vector.self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(sums)
    }

    mutating func merge(_ other: Self) {
        sums = (sums + other.sums).clamped(
            lowerBound: Vector(repeating: -Self.most), upperBound: Vector(repeating: Self.most))
    }

    func value(_ place: Int) -> Double { Double(sums[place]) }

    mutating func put(_ place: Int, _ value: Double) {
        sums[place] = value.isFinite ? max(-Self.most, min(Self.most, Float(value))) : Self.most
    }
}

/// What requests cost in a slot of time. Money is in micro-dollars.
struct UsageSums: PackedSums {
    var sums = SIMD8<Float>()

    var requests: Double { value(0) }
    /// Requests with a known cost.
    var priced: Double { value(1) }
    var cost: Double { value(2) }
    private var costSquares: Double { value(3) }
    var input: Double { value(4) }
    var output: Double { value(5) }
    var cached: Double { value(6) }
    /// Answers whose cost is unknown.
    var unknown: Double { value(7) }

    init() {}

    init(_ aggregate: WindowAggregate) {
        let cost = aggregate.cost
        put(0, Double(aggregate.requests))
        put(1, Double(cost.n))
        put(2, cost.sum / 1e3)
        put(3, cost.sumOfSquares / 1e6)
        put(4, aggregate.inputTokens.sum)
        put(5, aggregate.outputTokens.sum)
        put(6, aggregate[.cachedTokens].moments.sum)
        // A request that failed may have used nothing that could be priced.
        let answers = aggregate.requests - aggregate.failures
        put(7, Double(max(0, min(answers, aggregate.unknownCost - aggregate.failures))))
    }

    /// Of the cost of a request.
    var moments: Moments { Moments(n: Int64(priced.rounded()), sum: cost, sumOfSquares: costSquares) }

    /// Micro-dollars; `nil` without a request of known cost.
    var mean: Double? { priced > 0 ? cost / priced : nil }

    /// As if all prices had been so many times as high.
    mutating func reprice(_ factor: Double) {
        put(2, cost * factor)
        put(3, costSquares * factor * factor)
    }
}

/// What became of the requests of a quarter of a day, and what they cost. Money is in micro-dollars.
struct OutcomeSums: PackedSums {
    var sums = SIMD16<Float>()

    var requests: Double { value(0) }
    var answers: Double { value(1) }
    var priced: Double { value(2) }
    var cost: Double { value(3) }
    var costSquares: Double { value(4) }
    var input: Double { value(5) }
    var output: Double { value(6) }
    var truncated: Double { value(7) }
    var abandoned: Double { value(8) }
    var retried: Double { value(9) }
    var quality: Moments { Moments(n: Int64(value(10).rounded()), sum: value(11), sumOfSquares: value(12)) }
    /// Output tokens beyond what an answer may have, and the answers that had them.
    var excess: Double { value(13) }
    var overlong: Double { value(14) }

    init() {}

    init(_ aggregate: WindowAggregate) {
        put(0, Double(aggregate.requests))
        put(1, Double(max(0, aggregate.requests - aggregate.failures)))
        put(2, Double(aggregate.cost.n))
        put(3, aggregate.cost.sum / 1e3)
        put(4, aggregate.cost.sumOfSquares / 1e6)
        put(5, aggregate.inputTokens.sum)
        put(6, aggregate.outputTokens.sum)
        put(7, Double(aggregate.count(of: .truncated)))
        put(8, Double(aggregate.count(of: .abandoned)))
        put(9, Double(aggregate.count(of: .retried)))
    }

    init(quality: Moments) {
        put(10, Double(quality.n))
        put(11, quality.sum)
        put(12, quality.sumOfSquares)
    }

    init(excess: Double, overlong: Double) {
        put(13, excess)
        put(14, overlong)
    }

    /// As if all prices had been so many times as high.
    mutating func reprice(_ factor: Double) {
        put(3, cost * factor)
        put(4, costSquares * factor * factor)
    }

    /// Micro-dollars a request; `nil` without one of known cost.
    var mean: Double? { priced > 0 ? cost / priced : nil }
    var costMoments: Moments { Moments(n: Int64(priced.rounded()), sum: cost, sumOfSquares: costSquares) }
}

/// Micro-dollars a token.
struct TokenRates: Codable, Sendable, Equatable {
    var input: Double
    var cached: Double
    var output: Double

    /// Where no price is listed: what most lists have in common is that output costs about four times the input.
    static let unlisted = TokenRates(input: 1, cached: 0.25, output: 4)

    init(input: Double, cached: Double, output: Double) {
        self.input = input
        self.cached = cached
        self.output = output
    }

    init(_ price: TokenPrice) {
        self.init(
            input: Double(price.input) / 1e9, cached: Double(price.cachedInput ?? price.input) / 1e9,
            output: Double(price.output) / 1e9)
    }

    func cost(input tokens: Double, cached: Double, output: Double) -> Double {
        max(0, tokens - cached) * input + min(tokens, cached) * self.cached + output * self.output
    }

    func cost(_ usage: UsageSums) -> Double {
        cost(input: usage.input, cached: usage.cached, output: usage.output)
    }
}
