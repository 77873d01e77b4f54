/// A member of a list that knows its place there, so that it leaves without being looked for.
protocol Slotted: AnyObject {
    /// -1 outside of a list.
    var slot: Int { get set }
}

extension Array where Element: Slotted {
    mutating func enter(_ member: Element) {
        member.slot = count
        append(member)
    }

    /// The last member takes the place of the one that leaves.
    ///
    /// - Returns: `false` if it was not in the list.
    mutating func leave(_ member: Element) -> Bool {
        let slot = member.slot
        guard slot >= 0 else { return false }
        member.slot = -1
        let last = removeLast()
        if last !== member {
            self[slot] = last
            last.slot = slot
        }
        return true
    }
}
