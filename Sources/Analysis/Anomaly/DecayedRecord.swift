import Foundation

/// The highest value a detector has given, slowly fading: its own measure of how unusual a value is, whatever its unit
/// and distribution.
struct DecayedRecord: Codable, Sendable, Equatable {
    /// Values until a record means something: the first half is not even remembered.
    static let warmUp = 50
    /// Values in which a record fades to half: two weeks of minutes.
    static let halfLife = 20_000.0
    private static let fading = exp2(-1 / halfLife)

    private(set) var highest = 0.0
    private var count = 0

    /// The value as a share of the record before it; 0 during the warm-up, and at most 100 where the record is 0.
    mutating func ratio(_ value: Double) -> Double {
        count = min(count + 1, Self.warmUp + 1)
        guard count > Self.warmUp / 2 else { return 0 }
        guard count > Self.warmUp else {
            highest = max(highest, value)
            return 0
        }
        let ratio = value > 0 ? min(value / highest, 100) : 0
        highest = max(highest * Self.fading, value)
        return ratio
    }
}

/// The lowest and highest value seen, drawn slowly together, lane by lane.
struct FadingRange<Value: SIMD<Double> & Codable & Sendable>: Codable, Sendable, Equatable {
    /// Share of the range that either end gives way by with each value: half the range in 35,000.
    private static var givingWay: Double { 1e-5 }

    private(set) var low: Value
    private(set) var high: Value

    init(_ value: Value) { (low, high) = (value, value) }

    var width: Value { high - low }

    mutating func add(_ value: Value) {
        low = pointwiseMin(low, value)
        high = pointwiseMax(high, value)
        let step = width * Self.givingWay
        low += step
        high -= step
    }
}
