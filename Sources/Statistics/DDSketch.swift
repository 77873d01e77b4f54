import Foundation

/// A quantile sketch with a relative error of at most 1 % (Masson, Rim, Lee, "DDSketch", VLDB 2019).
///
/// A bucket is one sixty-fourth of an octave, `(lower, upper]`, read straight from the bits of the number: the error
/// is at most 0.8 % and an insert needs no logarithm. Counts merge exactly and in any order. At most
/// `bucketLimit` buckets are kept, counted down from the highest value; what lies below is counted in the lowest one.
/// Values that are negative or not finite are refused; those under 2⁻¹⁰²² count as zero. Empty, it owns no memory, and the
/// buckets of its first values are only listed: most windows of many keys have no more.
package struct DDSketch: Sendable {
    package static let bucketLimit = 2_048
    /// Mantissa bits dropped: 52 less six, for 64 buckets an octave.
    private static let shift = 46
    private static let bucketsPerOctave = 64
    private static let noBucket = -1_000_000
    private static let mostListed = 32

    /// Counts of the buckets from `first` on, in whole octaves; while there is no `highest`, the buckets of single values.
    private var counts: [Int64] = []
    private var first = 0
    /// The highest bucket in use, once they are not listed.
    private var highest = noBucket
    private var zeros: Int64 = 0
    /// How many values were inserted.
    package private(set) var count: Int64 = 0

    package init() {}

    /// Counts `value` `count` times; false if it was refused: negative, not finite, or `count` not positive.
    @discardableResult
    package mutating func insert(_ value: Double, count added: Int64 = 1) -> Bool {
        // One comparison finds the positive normal numbers: all but a few of what comes.
        let least = Double.leastNormalMagnitude.bitPattern
        guard value.bitPattern &- least < Double.infinity.bitPattern &- least, added > 0 else {
            guard value >= 0, value < .infinity, added > 0 else { return false }
            count &+= added
            zeros &+= added
            return true
        }
        count &+= added
        add(added, at: Self.bucket(of: value))
        return true
    }

    /// Reads what an insert of `value` will write, so that it is at hand then. Mutating so that it is called where the sketch
    /// lies, without a copy.
    package mutating func peek(_ value: Double) -> Int64 {
        let slot = Self.bucket(of: value) &- first
        return slot >= 0 && slot < counts.count ? counts[slot] : counts.last ?? 0
    }

    package mutating func merge(_ other: DDSketch) {
        count &+= other.count
        zeros &+= other.zeros
        guard other.highest != Self.noBucket else {
            for bucket in other.counts { add(1, at: Int(bucket)) }
            return
        }
        countListed()
        guard highest != Self.noBucket else {
            (counts, first, highest) = (other.counts, other.first, other.highest)
            return
        }
        makeRoom(from: other.first, to: other.highest)
        // What lies too far below the highest bucket is counted in the lowest one that is kept.
        let lowest = max(first, highest - (Self.bucketLimit - 1)), places = other.highest - other.first + 1
        let below = min(max(0, lowest - other.first), places)
        for slot in 0..<below where other.counts[slot] != 0 { counts[lowest - first] &+= other.counts[slot] }
        let shift = other.first &- first
        counts.withUnsafeMutableBufferPointer { counts in
            other.counts.withUnsafeBufferPointer { others in
                for slot in below..<places { counts[shift &+ slot] &+= others[slot] }
            }
        }
    }

    /// The value at rank `q` × (count − 1), `q` 0...1, within 1 %; `nil` when empty.
    package func quantile(_ q: Double) -> Double? {
        guard count > 0, q >= 0, q <= 1 else { return nil }
        guard !isListed else { return counted.quantile(q) }
        let rank = Int64(exactly: (q * Double(count - 1)).rounded(.down)) ?? .max
        var seen = zeros
        if seen > rank { return 0 }
        for (slot, held) in counts.enumerated() {
            seen &+= held
            if seen > rank { return Self.middle(of: first + slot) }
        }
        return Self.middle(of: highest)
    }

    /// How many values lie above `bound`: exact for a `bucketBound` inside the kept range, within a bucket otherwise.
    package func count(above bound: Double) -> Int64 {
        guard bound >= 0 else { return count }
        guard bound >= .leastNormalMagnitude else { return count &- zeros }
        guard !isListed else { return counted.count(above: bound) }
        let from = max(0, Self.bucket(of: bound) + 1 - first)
        return from < counts.count ? counts[from...].reduce(0, &+) : 0
    }

    /// The upper bound of the bucket that `value` is counted in: values up to it are at most it, all others above it.
    package static func bucketBound(atOrAbove value: Double) -> Double {
        value < .leastNormalMagnitude ? 0 : upper(of: bucket(of: value))
    }

    // MARK: Buckets

    private static func bucket(of value: Double) -> Int {
        Int(truncatingIfNeeded: (value.bitPattern &- 1) >> UInt64(shift))
    }
    private static func upper(of bucket: Int) -> Double { Double(bitPattern: UInt64(bucket + 1) << UInt64(shift)) }

    /// The value whose relative distance to both bounds of the bucket is the same.
    private static func middle(of bucket: Int) -> Double {
        let lower = upper(of: bucket - 1), upper = upper(of: bucket)
        return upper.isFinite ? lower + (upper - lower) * (lower / (lower + upper)) : lower
    }

    @inline(__always)
    private mutating func add(_ added: Int64, at bucket: Int) {
        let bucket = max(bucket, highest &- (Self.bucketLimit - 1))
        let slot = bucket &- first
        if bucket <= highest, slot >= 0 {
            counts[slot] &+= added
        } else {
            addOutside(added, at: bucket)
        }
    }

    private mutating func addOutside(_ added: Int64, at bucket: Int) {
        if highest == Self.noBucket {
            if added == 1, counts.count < Self.mostListed {
                if counts.isEmpty { counts.reserveCapacity(Self.mostListed) }
                return counts.append(Int64(bucket))
            }
            countListed()
        }
        let bucket = max(bucket, highest &- (Self.bucketLimit - 1))
        makeRoom(from: bucket, to: bucket)
        counts[bucket - first] &+= added
    }

    private var isListed: Bool { highest == Self.noBucket && !counts.isEmpty }

    /// The same with counts instead of a list.
    private var counted: DDSketch {
        var sketch = self
        sketch.countListed()
        return sketch
    }

    private mutating func countListed() {
        guard isListed, let top = counts.max(), let lowest = counts.min() else { return }
        let listed = counts
        counts = []
        makeRoom(from: Int(lowest), to: Int(top))
        for bucket in listed { add(1, at: Int(bucket)) }
    }

    /// Extends the store to hold these buckets, and collapses what then lies too far below the highest.
    private mutating func makeRoom(from low: Int, to high: Int) {
        let top = max(highest, high)
        let lowest = max(highest == Self.noBucket ? low : min(first, low), top - (Self.bucketLimit - 1))
        let start = lowest & ~(Self.bucketsPerOctave - 1), end = top | (Self.bucketsPerOctave - 1)
        if start != first || end - start >= counts.count {
            var room = [Int64](repeating: 0, count: end - start + 1)
            for (slot, held) in counts.enumerated() where held != 0 { room[max(first + slot, lowest) - start] &+= held }
            counts = room
            first = start
        } else if lowest > first {
            for slot in 0..<(lowest - first) {
                counts[lowest - first] &+= counts[slot]
                counts[slot] = 0
            }
        }
        highest = top
    }
}

extension DDSketch: Equatable {
    /// Equal counts in equal buckets.
    package static func == (a: Self, b: Self) -> Bool {
        guard a.count == b.count, a.zeros == b.zeros else { return false }
        let (a, b) = (a.counted, b.counted)
        return a.highest == b.highest && a.held == b.held
    }

    /// The counts from the lowest to the highest bucket in use, of a sketch that has counts.
    private var held: ArraySlice<Int64> {
        guard highest != Self.noBucket else { return [] }
        return counts[...(highest - first)].drop { $0 == 0 }
    }
}

extension DDSketch {
    private static let format: UInt8 = 1
    /// The most that a decoded sketch may count: merging a thousand of them cannot overflow.
    private static let countLimit: UInt64 = 1 << 53

    /// A compact form, the same for equal sketches: format, zeros, lowest bucket, number of buckets, and their counts
    /// as LEB128 numbers, in which a 0 is followed by how many more zeros follow.
    package func encoded() -> [UInt8] {
        guard !isListed else { return counted.encoded() }
        let held = held
        var bytes = [Self.format]
        // One for each count and the four before them: most counts are small.
        bytes.reserveCapacity(held.count + 16)
        LEB128.append(zeros, to: &bytes)
        LEB128.append(held.isEmpty ? 0 : Int64(first + held.startIndex), to: &bytes)
        LEB128.append(Int64(held.count), to: &bytes)
        var at = held.startIndex
        while at < held.endIndex {
            LEB128.append(held[at], to: &bytes)
            let start = at
            at += 1
            if held[start] == 0 {
                while held[at] == 0 { at += 1 }
                LEB128.append(Int64(at - start - 1), to: &bytes)
            }
        }
        return bytes
    }

    /// Reads what `encoded()` wrote; `nil` for anything else.
    package init?(encoded bytes: some Collection<UInt8>) {
        var rest = bytes.makeIterator()
        guard rest.next() == Self.format, let zeros = LEB128.next(&rest), zeros <= Self.countLimit,
            let lowest = LEB128.next(&rest), let length = LEB128.next(&rest), length <= Self.bucketLimit,
            lowest <= UInt64(Self.bucket(of: .greatestFiniteMagnitude)) + 1 - length
        else { return nil }
        self.zeros = Int64(zeros)
        var total = zeros
        var counts = [Int64](repeating: 0, count: Int(length))
        var at = 0
        while at < counts.count {
            guard let value = LEB128.next(&rest), value <= Self.countLimit - total else { return nil }
            counts[at] = Int64(value)
            total += value
            at += 1
            if value == 0 {
                guard let more = LEB128.next(&rest), more < counts.count - at else { return nil }
                at += Int(more)
            }
        }
        guard rest.next() == nil, counts.first != 0, counts.last != 0 else { return nil }
        guard let last = counts.indices.last else {
            count = Int64(total)
            return
        }
        makeRoom(from: Int(lowest), to: Int(lowest) + last)
        for (slot, held) in counts.enumerated().reversed() where held != 0 { add(held, at: Int(lowest) + slot) }
        count = Int64(total)
    }
}

extension DDSketch: Codable {
    /// `encoded()` in Base64.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(count == 0 ? "" : Data(encoded()).base64EncodedString())
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer(), text = try container.decode(String.self)
        if text.isEmpty {
            self.init()
            return
        }
        guard let bytes = Data(base64Encoded: text), let sketch = DDSketch(encoded: bytes) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a quantile sketch")
        }
        self = sketch
    }
}
