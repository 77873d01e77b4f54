/// An amount in nano-dollars (10⁻⁹ USD). An unknown amount is `nil`, never zero.
package struct NanoUSD: Hashable, Sendable, Comparable, Codable {
    package let value: Int64

    package init(_ value: Int64) { self.value = value }

    package static let zero = NanoUSD(0)
    package static func < (lhs: Self, rhs: Self) -> Bool { lhs.value < rhs.value }
    package static func + (lhs: Self, rhs: Self) -> Self { .init(lhs.value &+ rhs.value) }

    /// US dollars, for display and statistics only.
    package var dollars: Double { Double(value) / 1e9 }

    package init(from decoder: any Decoder) throws { value = try decoder.singleValueContainer().decode(Int64.self) }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

/// What one model costs: nano-dollars per **million** tokens of each kind.
package struct TokenPrice: Hashable, Sendable, Codable {
    package var input: Int64
    package var output: Int64
    /// `nil`: cached input is charged like any other input.
    package var cachedInput: Int64?
    /// `nil`: writing to the cache is charged like any other input.
    package var cacheWrite: Int64?

    package init(input: Int64, output: Int64, cachedInput: Int64? = nil, cacheWrite: Int64? = nil) {
        self.input = input
        self.output = output
        self.cachedInput = cachedInput
        self.cacheWrite = cacheWrite
    }

    enum CodingKeys: String, CodingKey {
        case input = "input_nano_usd_per_mtok"
        case output = "output_nano_usd_per_mtok"
        case cachedInput = "cached_input_nano_usd_per_mtok"
        case cacheWrite = "cache_write_nano_usd_per_mtok"
    }

    /// The cost of one request, rounded once, half away from zero.
    ///
    /// `input` counts all input tokens, cached ones included, as providers report them. Saturates instead of
    /// overflowing: a token count from outside may be any number.
    package func cost(input: Int, cachedRead: Int = 0, cacheWrite: Int = 0, output: Int) -> NanoUSD {
        let fresh = max(0, input - cachedRead - cacheWrite)
        let parts: [(Int, Int64)] = [
            (fresh, self.input), (cachedRead, cachedInput ?? self.input),
            (cacheWrite, self.cacheWrite ?? self.input), (output, self.output),
        ]
        var total: Double = 0
        var exact: Int64 = 0
        var overflow = false
        for (tokens, price) in parts {
            let (product, lost) = Int64(max(0, tokens)).multipliedReportingOverflow(by: price)
            let (sum, spilled) = exact.addingReportingOverflow(product)
            overflow = overflow || lost || spilled
            exact = sum
            total += Double(max(0, tokens)) * Double(price)
        }
        if overflow { return NanoUSD(total / 1e6 >= 9.2e18 ? .max : Int64(total / 1e6)) }
        return NanoUSD(exact / 1_000_000 + (exact % 1_000_000 >= 500_000 ? 1 : 0))
    }
}
