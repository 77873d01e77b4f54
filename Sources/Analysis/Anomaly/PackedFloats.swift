import Foundation

/// Numbers that are written down as one text, four bytes each: a profile of a week takes a third of its decimal digits.
struct PackedFloats: Codable, Sendable, Equatable {
    var values: [Float]

    init(_ values: [Float] = []) { self.values = values }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let bytes = [UInt8](try container.decode(Data.self))
        guard bytes.count % 4 == 0 else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "floats of four bytes are cut short")
        }
        values = stride(from: 0, to: bytes.count, by: 4).map { start in
            let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
            let value = Float(bitPattern: bits)
            return value.isFinite ? value : 0
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        let bytes = values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } }
        try container.encode(Data(bytes))
    }
}

extension Float {
    /// The nearest that is neither infinite nor so great that its differences are.
    init(bounded value: Double) { self = Float(Swift.max(-1e38, Swift.min(1e38, value))) }
}
