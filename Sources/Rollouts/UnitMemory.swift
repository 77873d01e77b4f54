/// Which units (sessions, keys, users) have shown which event, so that a unit that fails ten times counts once: its
/// requests resemble each other, and a test that takes them for independent cries wolf.
///
/// Who keeps coming stays, and one who was forgotten counts again.
extension RecentTable {
    /// Remembers an event; `false` if the unit has shown it before.
    mutating func isFirst(_ unit: UInt32, _ event: Int) -> Bool {
        let (seen, bit) = (self[unit] ?? 0, UInt16(1) << UInt16(event))
        self[unit] = seen | bit
        return seen & bit == 0
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
