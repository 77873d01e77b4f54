import Core

/// The consumer group of the model: who is to read which partition, moved at random, gently or all at once, and taken
/// from members whose session has ended.
struct ModelGroup {
    /// By partition.
    private(set) var owners: [Int?] = Array(repeating: nil, count: ModelLog.partitions)
    /// Where revoked partitions go when they are let go.
    private var targets: [Int: Int] = [:]
    /// Assigned together, when all are let go.
    private var together: Set<Int> = []
    private var freed: [Int] = []

    var isMoving: Bool { !targets.isEmpty }

    /// What the members are told: `(member, gains, partitions)`.
    typealias Notice = (member: Int, gains: Bool, partitions: [Int])

    mutating func rebalance(among members: [Int], eager: Bool, _ random: inout SplitMix64) -> [Notice] {
        guard !isMoving, !members.isEmpty else { return [] }
        var revoked: [Int: [Int]] = [:]
        var assigned: [Int: [Int]] = [:]
        for partition in owners.indices {
            let target = members[Int(random.next() % UInt64(members.count))]
            guard let owner = owners[partition] else {
                owners[partition] = target
                assigned[target, default: []].append(partition)
                continue
            }
            guard eager || owner != target else { continue }
            targets[partition] = target
            revoked[owner, default: []].append(partition)
            if eager { together.insert(partition) }
        }
        return revoked.sorted { $0.key < $1.key }.map { ($0.key, false, $0.value) }
            + assigned.sorted { $0.key < $1.key }.map { ($0.key, true, $0.value) }
    }

    mutating func release(_ partitions: [Int], by member: Int, members: [Int], _ random: inout SplitMix64) -> [Notice] {
        let mine = partitions.filter { owners[$0] == member }
        for partition in mine { owners[partition] = nil }
        return assign(mine, members: members, &random)
    }

    /// The member is no more: what it had goes to the others at once.
    mutating func expire(_ member: Int, members: [Int], _ random: inout SplitMix64) -> [Notice] {
        let had = owners.indices.filter { owners[$0] == member }
        for partition in had { owners[partition] = nil }
        return assign(had, members: members, &random)
    }

    private mutating func assign(_ partitions: [Int], members: [Int], _ random: inout SplitMix64) -> [Notice] {
        freed += partitions
        together.subtract(partitions)
        guard together.isEmpty, !members.isEmpty else { return [] }
        var assigned: [Int: [Int]] = [:]
        for partition in freed where owners[partition] == nil {
            let wanted = targets[partition].flatMap { members.contains($0) ? $0 : nil }
            let target = wanted ?? members[Int(random.next() % UInt64(members.count))]
            owners[partition] = target
            assigned[target, default: []].append(partition)
        }
        for partition in freed { targets[partition] = nil }
        freed = []
        return assigned.sorted { $0.key < $1.key }.map { ($0.key, true, $0.value) }
    }
}
