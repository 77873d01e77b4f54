import Core
import Statistics
import Testing

struct HyperLogLogTests {
    private static func sketch(_ hashes: some Sequence<UInt64>) -> HyperLogLog {
        hashes.reduce(into: HyperLogLog()) { $0.insert(hash: $1) }
    }

    private static func hashes(_ seed: UInt64, _ count: Int) -> [UInt64] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in random.next() }
    }

    @Test("H09: 100,000 ids within 2.5 %, and two halves are the whole", arguments: 1...5 as ClosedRange<UInt64>)
    func hundredThousand(seed: UInt64) {
        let ids = (0..<100_000).map { Hash64.hash("user-\($0)", salt: seed) }
        let whole = Self.sketch(ids)
        #expect(abs(whole.estimate / 100_000 - 1) <= 0.025)
        var halves = Self.sketch(ids.prefix(50_000))
        halves.merge(Self.sketch(ids.dropFirst(50_000)))
        #expect(halves == whole)
        #expect(halves.encoded() == whole.encoded())
    }

    @Test(
        "The estimate holds from nothing to millions", arguments: [0, 1, 2, 10, 100, 1_500, 2_500, 20_000, 1_000_000])
    func ranges(count: Int) {
        let estimate = Self.sketch(Self.hashes(11, count)).estimate
        // Four standard errors, and less than one item where registers hardly collide.
        #expect(abs(estimate - Double(count)) <= max(0.5, 0.0325 * Double(count)))
    }

    @Test("Over many seeds the error is unbiased and 0.81 % in the root mean square", arguments: [500, 5_000, 50_000])
    func standardError(count: Int) {
        let errors = (0..<60 as Range<UInt64>).map {
            Self.sketch(Self.hashes(1_000 + $0, count)).estimate / Double(count) - 1
        }
        let mean = errors.reduce(0, +) / 60
        let square = errors.reduce(0) { $0 + $1 * $1 } / 60
        #expect(abs(mean) < 0.0045)
        #expect(square.squareRoot() < 0.0105)
    }

    @Test("Merging is exact in any order, sparse or dense", arguments: 1...12 as ClosedRange<UInt64>)
    func merging(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        // The later seeds cross from the list to the array, the last are dense from the start; parts overlap.
        let hashes = Self.hashes(seed, Int(seed * seed) * 150)
        let parts =
            (0..<7).map { _ in
                Self.sketch(hashes.filter { _ in random.unit() < 0.3 })
            } + [Self.sketch(hashes.prefix(hashes.count / 2)), Self.sketch(hashes.suffix((hashes.count + 1) / 2))]
        let whole = Self.sketch(hashes)
        let forward = parts.reduce(into: HyperLogLog()) { $0.merge($1) }
        let shuffled = parts.shuffled(using: &random).reduce(into: HyperLogLog()) { $0.merge($1) }
        #expect(forward == whole)
        #expect(shuffled == whole)
        #expect(Self.sketch(hashes.shuffled(using: &random) + hashes) == whole)
        var same = whole
        same.merge(whole)
        same.merge(HyperLogLog())
        #expect(same == whole)
    }

    @Test("Ranks reach both ends")
    func extremes() {
        let sketch = Self.sketch([0, .max])
        #expect(HyperLogLog(encoded: sketch.encoded()) == sketch)
        #expect(sketch.encoded() == [1, 0, 0, 51, 0x0f, 0xff, 0xc1])
        let saturated = Self.sketch((0..<16_384).map { $0 << 50 })
        #expect(saturated.estimate > 1e18)
    }

    @Test("The encoded form restores an equal sketch", arguments: [0, 1, 300, 2_048, 2_300, 2_800, 60_000])
    func roundTrip(count: Int) throws {
        let sketch = Self.sketch(Self.hashes(5, count))
        let restored = try #require(HyperLogLog(encoded: sketch.encoded()))
        #expect(restored == sketch)
        #expect(restored.encoded() == sketch.encoded())
        #expect(sketch.encoded().count <= (count <= HyperLogLog.sparseLimit ? 1 + 3 * count : 12_289))
    }

    @Test("Broken bytes give nil, or a sketch that is written back as it was read, and never a crash")
    func garbage() {
        #expect(HyperLogLog(encoded: []) == nil)
        #expect(HyperLogLog(encoded: [2]) == nil)
        #expect(HyperLogLog(encoded: [1, 0, 0, 0]) == nil, "no rank")
        #expect(HyperLogLog(encoded: [1, 0, 0, 52]) == nil, "a rank too high")
        #expect(HyperLogLog(encoded: [1, 0, 1, 1, 0, 0, 1]) == nil, "out of order")
        #expect(HyperLogLog(encoded: [1] + [UInt8](repeating: 0, count: 12_288)) == nil, "an array that is a list")
        var random = SplitMix64(seed: 7)
        for count in [200, 20_000] {
            let good = Self.sketch(Self.hashes(3, count)).encoded()
            for length in [1, 2, 5, good.count / 2, good.count - 1] where length % 3 != 1 {
                #expect(HyperLogLog(encoded: good.prefix(length)) == nil)
            }
            for _ in 0..<500 {
                var bytes = good
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                if let sketch = HyperLogLog(encoded: bytes) { #expect(sketch.encoded() == bytes) }
            }
        }
    }
}
