/// How many distinct items were seen, with a standard error of 0.81 % (Flajolet, Fusy, Gandouet, Meunier,
/// "HyperLogLog", 2007), by the improved raw estimator, which needs no table and no switch between ranges (Ertl,
/// "New cardinality estimation algorithms for HyperLogLog sketches", 2017, section 4).
///
/// Each of 2¹⁴ registers keeps the highest rank among its hashes, so merging is the maximum register by register:
/// exact, and the same in any order. Only registers in use are listed until there are `sparseLimit` of them; from then
/// on all are kept, in 16 KB. Which form is held follows from the registers alone. Empty, it owns no memory.
package struct HyperLogLog: Sendable, Equatable {
    package static let precision = 14
    package static let registerCount = 1 << precision
    /// The most registers kept as a list: 8 KB, half of what the full array takes.
    package static let sparseLimit = 2_048
    /// Bits of a hash that the rank is read from.
    private static let rankBits = 64 - precision

    /// Registers in use, ascending: the index above eight bits of rank. Empty once `dense` is in use.
    private var sparse: [UInt32] = []
    /// The rank of each register; empty as long as the list serves.
    private var dense: [UInt8] = []

    package init() {}

    /// Counts an item by its 64-bit hash, which must be good in every bit: the upper 14 choose the register.
    package mutating func insert(hash: UInt64) {
        let index = Int(hash >> UInt64(Self.rankBits))
        // The bit set below the hash's own ends the run of zeros, so the rank is at most 51.
        let rank = UInt8((hash << UInt64(Self.precision) | 1 << UInt64(Self.precision - 1)).leadingZeroBitCount + 1)
        raise(index, to: rank)
    }

    /// Afterwards this is the sketch of both inputs together, whatever their order.
    package mutating func merge(_ other: HyperLogLog) {
        if !other.dense.isEmpty {
            becomeDense()
            for index in 0..<Self.registerCount { dense[index] = max(dense[index], other.dense[index]) }
        } else if dense.isEmpty {
            sparse = Self.union(sparse, other.sparse)
            if sparse.count > Self.sparseLimit { becomeDense() }
        } else {
            for entry in other.sparse { raise(Int(entry >> 8), to: UInt8(truncatingIfNeeded: entry)) }
        }
    }

    /// The number of distinct items; 0 when empty.
    package var estimate: Double {
        var held = [Int](repeating: 0, count: Self.rankBits + 2)
        for rank in dense { held[Int(rank)] += 1 }
        for entry in sparse { held[Int(entry & 0xff)] += 1 }
        if dense.isEmpty { held[0] = Self.registerCount - sparse.count }
        guard held[0] < Self.registerCount else { return 0 }

        let registers = Double(Self.registerCount)
        var sum = registers * Self.tau(1 - Double(held[Self.rankBits + 1]) / registers)
        for rank in stride(from: Self.rankBits, through: 1, by: -1) { sum = 0.5 * (sum + Double(held[rank])) }
        sum += registers * Self.sigma(Double(held[0]) / registers)
        return Self.alpha * registers * registers / sum
    }

    // MARK: Registers

    private mutating func raise(_ index: Int, to rank: UInt8) {
        guard dense.isEmpty else {
            if dense[index] < rank { dense[index] = rank }
            return
        }
        let entry = UInt32(index) << 8 | UInt32(rank)
        let place = place(of: UInt32(index) << 8)
        if place < sparse.count, sparse[place] >> 8 == UInt32(index) {
            sparse[place] = max(sparse[place], entry)
        } else {
            sparse.insert(entry, at: place)
            if sparse.count > Self.sparseLimit { becomeDense() }
        }
    }

    /// The first place in the list that holds at least `entry`.
    private func place(of entry: UInt32) -> Int {
        var low = 0, high = sparse.count
        while low < high {
            let middle = (low + high) / 2
            if sparse[middle] < entry { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func becomeDense() {
        guard dense.isEmpty else { return }
        dense = [UInt8](repeating: 0, count: Self.registerCount)
        for entry in sparse { dense[Int(entry >> 8)] = UInt8(truncatingIfNeeded: entry) }
        sparse = []
    }

    /// Both lists in one, with the higher rank where both hold a register.
    private static func union(_ a: [UInt32], _ b: [UInt32]) -> [UInt32] {
        var both: [UInt32] = []
        both.reserveCapacity(max(a.count, b.count))
        var left = a[...], right = b[...]
        while let first = left.first, let second = right.first {
            if first >> 8 <= second >> 8 { left.removeFirst() }
            if second >> 8 <= first >> 8 { right.removeFirst() }
            both.append(first >> 8 == second >> 8 ? max(first, second) : min(first, second))
        }
        return both + left + right
    }

    // MARK: Estimator

    /// 1 / (2 ln 2).
    private static let alpha = 0.721_347_520_444_481_7

    /// x + Σ x^(2^k) 2^(k−1) for k ≥ 1: what empty registers add. `x` below 1.
    private static func sigma(_ x: Double) -> Double {
        var power = x, weight = 1.0, sum = x, last = -1.0
        while sum != last {
            last = sum
            power *= power
            sum += power * weight
            weight += weight
        }
        return sum
    }

    /// (1 − x − Σ (1 − x^(2^−k))² 2^−k) / 3 for k ≥ 1: what saturated registers add. `x` 0...1.
    private static func tau(_ x: Double) -> Double {
        guard x > 0, x < 1 else { return 0 }
        var root = x, weight = 1.0, sum = 1 - x, last = -1.0
        while sum != last {
            last = sum
            root = root.squareRoot()
            weight *= 0.5
            sum -= (1 - root) * (1 - root) * weight
        }
        return sum / 3
    }
}

extension HyperLogLog {
    private static let format: UInt8 = 1
    /// A register in the list takes 14 bits of index and six of rank, and four ranks of the array take as much.
    private static let group = 3

    /// The same bytes for equal sketches: the format, then three bytes for each register in use, or, of more than
    /// `sparseLimit` registers, six bits for every one.
    package func encoded() -> [UInt8] {
        var bytes = [Self.format]
        bytes.reserveCapacity(1 + Self.group * (dense.isEmpty ? sparse.count : Self.registerCount / 4))
        func append(_ value: UInt32) {
            for shift: UInt32 in [16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        for entry in sparse { append((entry >> 8) << 6 | entry & 0x3f) }
        for index in stride(from: 0, to: dense.count, by: 4) {
            append(dense[index..<(index + 4)].reduce(0) { $0 << 6 | UInt32($1) })
        }
        return bytes
    }

    /// Reads what `encoded()` wrote; `nil` for anything else.
    package init?(encoded bytes: some Collection<UInt8>) {
        let length = bytes.count - 1
        guard bytes.first == Self.format, length % Self.group == 0 else { return nil }
        var rest = bytes.dropFirst().makeIterator()
        func next() -> UInt32 { (0..<Self.group).reduce(0) { value, _ in value << 8 | UInt32(rest.next() ?? 0) } }
        let isDense = length == Self.registerCount / 4 * Self.group
        guard isDense || length / Self.group <= Self.sparseLimit else { return nil }
        for _ in 0..<(length / Self.group) {
            let value = next()
            if isDense {
                for shift: UInt32 in [18, 12, 6, 0] { dense.append(UInt8(value >> shift & 0x3f)) }
            } else {
                let entry = (value >> 6) << 8 | value & 0x3f
                guard entry >> 8 < Self.registerCount, sparse.last.map({ $0 >> 8 < entry >> 8 }) ?? true else {
                    return nil
                }
                sparse.append(entry)
            }
        }
        let ranks = isDense ? dense : sparse.map { UInt8(truncatingIfNeeded: $0) }
        guard ranks.allSatisfy({ $0 <= Self.rankBits + 1 }) else { return nil }
        guard isDense ? ranks.count(where: { $0 > 0 }) > Self.sparseLimit : !ranks.contains(0) else { return nil }
    }
}
