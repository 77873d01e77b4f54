/// A small seeded generator: the same seed gives the same numbers everywhere.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state = state &+ 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform on `0..<1`.
    package mutating func unit() -> Double { Hash64.unit(next()) }

    /// A standard normal variate (Box and Muller, 1958).
    package mutating func normal() -> Double {
        let radius = (-2 * logarithm(1 - unit())).squareRoot()
        return radius * cosine(2 * .pi * unit())
    }

    /// An independent stream, for a part that must not disturb its neighbours' numbers.
    package mutating func split() -> SplitMix64 { SplitMix64(seed: next()) }
}
