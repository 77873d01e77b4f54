package import Core

/// One model of a simulated provider: what it costs, how good, how fast and how reliable it is.
///
/// All numbers are made up or taken from a recorded set by path; nothing simulated is shown as measured.
package struct SimulatedModel: Codable, Sendable, Equatable {
    package var provider: String
    package var name: String
    /// `nil`: not known, so no cost question can be asked of it.
    package var price: TokenPrice?
    package var quality: Quality
    package var latency: Latency
    /// Mean completion length in tokens, at least 1; drawn log-normally with σ = 0.4.
    package var outputTokens: Double
    /// Probability that a request is answered with a server error, 0...1.
    package var errorRate: Double
    /// Requests a second above which 429 is answered; `nil` for no limit.
    package var rateLimitPerS: Double?
    package var outage: Outage
    /// Share of the answers at temperature 0 that are not in the usual words, 0...1.
    package var variation = 0.05

    package init(
        provider: String, name: String, price: TokenPrice?, quality: Quality, latency: Latency,
        outputTokens: Double = 150, errorRate: Double = 0.001, rateLimitPerS: Double? = nil, outage: Outage = .none
    ) {
        self.provider = provider
        self.name = name
        self.price = price
        self.quality = quality
        self.latency = latency
        self.outputTokens = outputTokens
        self.errorRate = errorRate
        self.rateLimitPerS = rateLimitPerS
        self.outage = outage
    }

    /// What estimates and prices are keyed by.
    package var key: String { "\(provider)/\(name)" }

    /// Graded scores: normal, cut to 0...1.
    package struct Quality: Codable, Sendable, Equatable {
        /// Before the cut, which lowers the mean of a score near 1 a little.
        package var mean: Double
        package var spread: Double
        package init(mean: Double, spread: Double = 0.15) {
            self.mean = mean
            self.spread = spread
        }
    }

    /// Log-normal time to the last byte.
    package struct Latency: Codable, Sendable, Equatable {
        package var medianMs: Double
        /// Standard deviation of the logarithm.
        package var sigma: Double
        /// Part of the whole until the first token of a streamed answer, 0...1.
        package var ttftShare: Double
        package init(medianMs: Double, sigma: Double = 0.35, ttftShare: Double = 0.3) {
            self.medianMs = medianMs
            self.sigma = sigma
            self.ttftShare = ttftShare
        }
        enum CodingKeys: String, CodingKey {
            case sigma
            case medianMs = "median_ms"
            case ttftShare = "ttft_share"
        }
    }

    /// How a model fails while it is away.
    package enum Outage: String, Codable, Sendable, CaseIterable {
        case none
        /// 503 at once.
        case error
        /// The connection is closed without an answer.
        case reset
        /// No answer ever comes.
        case hang
        /// Half an answer, then the connection is closed.
        case cut
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case provider, name, price, quality, latency, outage, variation
        case outputTokens = "output_tokens"
        case errorRate = "error_rate"
        case rateLimitPerS = "rate_limit_per_s"
    }
}

extension SimulatedModel {
    package init(from decoder: any Decoder) throws {
        try rejectUnknownKeys(of: CodingKeys.self, in: decoder)
        let c = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            provider: try c.decode(String.self, forKey: .provider), name: try c.decode(String.self, forKey: .name),
            price: try c.decodeIfPresent(ListPrice.self, forKey: .price)?.tokenPrice,
            quality: try c.decode(Quality.self, forKey: .quality),
            latency: try c.decode(Latency.self, forKey: .latency))
        outputTokens = try c.decodeIfPresent(Double.self, forKey: .outputTokens) ?? outputTokens
        errorRate = try c.decodeIfPresent(Double.self, forKey: .errorRate) ?? errorRate
        rateLimitPerS = try c.decodeIfPresent(Double.self, forKey: .rateLimitPerS)
        outage = try c.decodeIfPresent(Outage.self, forKey: .outage) ?? .none
        variation = try c.decodeIfPresent(Double.self, forKey: .variation) ?? variation
    }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(provider, forKey: .provider)
        try c.encode(name, forKey: .name)
        try c.encodeIfPresent(price.map(ListPrice.init), forKey: .price)
        try c.encode(quality, forKey: .quality)
        try c.encode(latency, forKey: .latency)
        try c.encode(outputTokens, forKey: .outputTokens)
        try c.encode(errorRate, forKey: .errorRate)
        try c.encodeIfPresent(rateLimitPerS, forKey: .rateLimitPerS)
        try c.encode(outage, forKey: .outage)
        try c.encode(variation, forKey: .variation)
    }
}

/// A price as people write it: US dollars per million tokens.
package struct ListPrice: Codable, Sendable, Equatable {
    package var inputUSDPerMtok: Double
    package var outputUSDPerMtok: Double

    package init(input: Double, output: Double) {
        inputUSDPerMtok = input
        outputUSDPerMtok = output
    }

    package init(_ price: TokenPrice) {
        self.init(input: Double(price.input) / 1e9, output: Double(price.output) / 1e9)
    }

    enum CodingKeys: String, CodingKey {
        case inputUSDPerMtok = "input_usd_per_mtok"
        case outputUSDPerMtok = "output_usd_per_mtok"
    }

    /// Rounded to nano-dollars per million tokens; nothing below zero or above a million dollars.
    package var tokenPrice: TokenPrice {
        func nano(_ usd: Double) -> Int64 { usd.isFinite ? Int64((min(max(usd, 0), 1e6) * 1e9).rounded()) : 0 }
        return TokenPrice(input: nano(inputUSDPerMtok), output: nano(outputUSDPerMtok))
    }
}

/// A change of behaviour at run time; what is `nil` stays as it is.
package struct ModelChange: Codable, Sendable, Equatable {
    package var outage: SimulatedModel.Outage?
    package var quality: SimulatedModel.Quality?
    package var price: ListPrice?
    /// Multiplies the latency of the model as it was defined, above 0.
    package var latencyFactor: Double?
    package var errorRate: Double?
    package var rateLimitPerS: Double?
    /// Which model it is that has the name: another number, and at temperature 0 it answers in other words.
    package var revision: Int?

    package init() {}

    enum CodingKeys: String, CodingKey, CaseIterable {
        case outage, quality, price, revision
        case latencyFactor = "latency_factor"
        case errorRate = "error_rate"
        case rateLimitPerS = "rate_limit_per_s"
    }

    package init(from decoder: any Decoder) throws {
        try rejectUnknownKeys(of: CodingKeys.self, in: decoder)
        let c = try decoder.container(keyedBy: CodingKeys.self)
        outage = try c.decodeIfPresent(SimulatedModel.Outage.self, forKey: .outage)
        quality = try c.decodeIfPresent(SimulatedModel.Quality.self, forKey: .quality)
        price = try c.decodeIfPresent(ListPrice.self, forKey: .price)
        latencyFactor = try c.decodeIfPresent(Double.self, forKey: .latencyFactor)
        errorRate = try c.decodeIfPresent(Double.self, forKey: .errorRate)
        rateLimitPerS = try c.decodeIfPresent(Double.self, forKey: .rateLimitPerS)
        revision = try c.decodeIfPresent(Int.self, forKey: .revision)
    }
}

/// Throws on a key that `Keys` does not have: a typo must not silently mean the default.
func rejectUnknownKeys<Keys: CodingKey & CaseIterable>(of: Keys.Type, in decoder: any Decoder) throws {
    let known = Keys.allCases.map(\.stringValue)
    for key in try decoder.container(keyedBy: AnyCodingKey.self).allKeys where !known.contains(key.stringValue) {
        throw DecodingError.dataCorrupted(
            .init(
                codingPath: decoder.codingPath + [key],
                debugDescription:
                    "'\(key.stringValue)' is not known here. Use one of: \(known.sorted().joined(separator: ", "))."
            ))
    }
}
