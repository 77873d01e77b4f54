import Foundation

/// Which units (sessions, keys, users) have shown which event, so that a unit that fails ten times counts once: its
/// requests resemble each other, and a test that takes them for independent cries wolf.
///
/// It holds at most `limit` units. Two generations, of which the older one goes when the newer is full: who keeps coming
/// stays, and one who was forgotten counts again.
package struct UnitMemory: Sendable, Equatable {
    package static let limit = 8_192

    private var recent: [UInt32: UInt16] = [:]
    private var older: [UInt32: UInt16] = [:]

    package init() {}

    /// Remembers an event; `false` if the unit has shown it before.
    mutating func isFirst(_ unit: UInt32, _ event: Int) -> Bool {
        let bit = UInt16(1) << UInt16(event)
        if let seen = recent[unit] {
            guard seen & bit == 0 else { return false }
            recent[unit] = seen | bit
            return true
        }
        let seen = older.removeValue(forKey: unit) ?? 0
        if recent.count >= Self.limit / 2 { (older, recent) = (recent, [:]) }
        recent[unit] = seen | bit
        return seen & bit == 0
    }
}

extension UnitMemory: Codable {
    private enum CodingKeys: String, CodingKey { case recent, older }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        recent = Self.unpack(try c.decode(Data.self, forKey: .recent))
        older = Self.unpack(try c.decode(Data.self, forKey: .older))
    }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(Self.pack(recent), forKey: .recent)
        try c.encode(Self.pack(older), forKey: .older)
    }

    /// Six bytes a unit, little-endian, in the order of units.
    private static func pack(_ units: [UInt32: UInt16]) -> Data {
        var data = Data(capacity: units.count * 6)
        for (unit, events) in units.sorted(by: { $0.key < $1.key }) {
            for place in 0..<4 { data.append(UInt8(truncatingIfNeeded: unit >> UInt32(8 * place))) }
            for place in 0..<2 { data.append(UInt8(truncatingIfNeeded: events >> UInt16(8 * place))) }
        }
        return data
    }

    private static func unpack(_ data: Data) -> [UInt32: UInt16] {
        var units: [UInt32: UInt16] = [:]
        let bytes = Array(data.prefix(limit * 6))
        for start in stride(from: 0, to: bytes.count - 5, by: 6) {
            let unit = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
            units[unit] = UInt16(bytes[start + 4]) | UInt16(bytes[start + 5]) << 8
        }
        return units
    }
}

/// The units that a step has seen, each once: whether they fell to the arms by the weight in force.
///
/// The first `limit` of a step count, which tells a ratio that is off by a fifth; where requests are assigned by
/// themselves, each is a unit and all count.
package struct SeenUnits: Codable, Sendable, Equatable {
    package static let limit = 4_096

    private var step = -1
    private var units: Set<UInt32> = []

    package init() {}

    /// Whether this is the first sight of a unit in the newest step.
    mutating func isNew(_ unit: UInt32, step: Int) -> Bool {
        if step > self.step { (self.step, units) = (step, []) }
        guard step == self.step, units.count < Self.limit else { return false }
        return units.insert(unit).inserted
    }
}
