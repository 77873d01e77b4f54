import Core
import Statistics
import Testing

struct SpaceSavingTests {
    /// A skewed stream over about a thousand items, with a tail of items that come once.
    private static func stream(_ seed: UInt64, _ length: Int = 20_000) -> [String] {
        var random = SplitMix64(seed: seed)
        return (0..<length).map { number in
            random.unit() < 0.3 ? "once-\(number)" : "item-\(Int(1 / (1 - random.unit() * 0.999)) + Int(seed % 3))"
        }
    }

    private static func sketch(_ items: some Sequence<String>, _ capacity: Int = 100) -> SpaceSaving {
        items.reduce(into: SpaceSaving(capacity: capacity)) { $0.insert($1) }
    }

    /// What Metwally and others promise, for `sketch` over exactly `items`.
    private func promises(_ sketch: SpaceSaving, _ items: [String], capacity: Int) {
        let truth = items.reduce(into: [:]) { $0[$1, default: 0] += 1 } as [String: Int64]
        let bound = Int64(items.count / capacity)
        let top = sketch.top(capacity)
        #expect(sketch.total == Int64(items.count))
        #expect(top.count == min(capacity, truth.count))
        for counter in top {
            let exact = truth[counter.item] ?? 0
            #expect(counter.count >= exact && counter.count <= exact + bound)
            #expect(counter.count - counter.error <= exact && counter.error <= bound)
        }
        let listed = Set(top.map(\.item))
        for (item, count) in truth where count > bound { #expect(listed.contains(item)) }
        for (a, b) in zip(top, top.dropFirst()) { #expect((b.count, a.item) < (a.count, b.item)) }
    }

    @Test(
        "H10: heavy items are listed, and no count is more than N/100 too high",
        arguments: 1...12 as ClosedRange<UInt64>)
    func guarantee(seed: UInt64) {
        let items = Self.stream(seed)
        promises(Self.sketch(items), items, capacity: 100)
        promises(Self.sketch(items, 7), items, capacity: 7)
        promises(Self.sketch(items, 1), items, capacity: 1)
    }

    @Test("Only new items, the worst case, keep the promises too")
    func allDifferent() {
        let items = (0..<5_000).map { "i\($0)" }
        promises(Self.sketch(items, 64), items, capacity: 64)
        promises(Self.sketch(items + items.reversed(), 64), items + items.reversed(), capacity: 64)
    }

    @Test("Up to its capacity it counts exactly")
    func exact() {
        let sketch = Self.sketch((0..<1_000).map { "\($0 % 10)" }, 10)
        #expect(sketch.top(20) == (0..<10).map { .init(item: "\($0)", count: 100, error: 0) })
        #expect(sketch.top(3).map(\.item) == ["0", "1", "2"], "equal counts in the order of the items")
        #expect(sketch.top(-1).isEmpty)
    }

    @Test("Merged sketches keep the promises for the sum, either way round", arguments: 1...12 as ClosedRange<UInt64>)
    func merging(seed: UInt64) {
        let streams = (0..<5 as Range<UInt64>).map { Self.stream(seed * 10 + $0, Int($0 * $0) * 900 + 30) }
        let whole = streams.flatMap(\.self)
        let parts = streams.map { Self.sketch($0) }
        let merged = parts.reduce(into: SpaceSaving(capacity: 100)) { $0.merge($1) }
        promises(merged, whole, capacity: 100)
        var pair = parts[2], turned = parts[4]
        pair.merge(parts[4])
        turned.merge(parts[2])
        #expect(pair == turned)
        // Still a sketch like any other: more events and more merges.
        var longer = merged
        streams[4].forEach { longer.insert($0) }
        longer.merge(pair)
        promises(longer, whole + streams[4] + streams[2] + streams[4], capacity: 100)
        var smaller = merged
        smaller.merge(Self.sketch(streams[3], 20))
        #expect(smaller.capacity == 20)
        promises(smaller, whole + streams[3], capacity: 20)
    }

    @Test("Merging with nothing changes nothing, and exact parts stay exact")
    func mergingFew() {
        var sketch = Self.sketch(["a", "b", "a"])
        let alone = sketch
        sketch.merge(SpaceSaving(capacity: 100))
        #expect(sketch == alone)
        sketch.merge(Self.sketch(["b", "b", "c"]))
        #expect(sketch.top(9).map { "\($0.item)\($0.count)±\($0.error)" } == ["b3±0", "a2±0", "c1±0"])
    }

    @Test("Counting many at once is counting one by one")
    func weights() {
        var one = SpaceSaving(capacity: 3), many = one
        for (item, count) in [("a", 5), ("b", 3), ("c", 4), ("d", 2), ("a", 1), ("e", 7)] as [(String, Int64)] {
            many.insert(item, count: count)
            for _ in 0..<count { one.insert(item) }
        }
        #expect(one == many)
        many.insert("a", count: 0)
        many.insert("z", count: -4)
        #expect(one == many)
        #expect(one.top(3).map(\.item) == ["e", "a", "d"])
    }

    @Test("A sketch read back goes on exactly as the original", arguments: 0...10 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var sketch = seed == 0 ? SpaceSaving(capacity: 50) : Self.sketch(Self.stream(seed, Int(seed * seed) * 40), 50)
        var restored = try #require(SpaceSaving(encoded: sketch.encoded()))
        #expect(restored == sketch)
        for item in Self.stream(seed + 100, 3_000) {
            sketch.insert(item)
            restored.insert(item)
        }
        #expect(restored.encoded() == sketch.encoded())
        #expect(restored == sketch)
        sketch.insert("more")
        #expect(restored != sketch)
    }

    @Test("Broken bytes give nil, and never a crash")
    func garbage() {
        #expect(SpaceSaving(encoded: []) == nil)
        #expect(SpaceSaving(encoded: [2, 1, 0, 0]) == nil, "another format")
        #expect(SpaceSaving(encoded: [1, 0, 0, 0]) == nil, "no capacity")
        #expect(SpaceSaving(encoded: [1, 2, 1, 1, 1, 0xff, 1, 0]) == nil, "not UTF-8")
        #expect(SpaceSaving(encoded: [1, 2, 2, 2, 1, 97, 1, 0, 1, 97, 1, 0]) == nil, "one item twice")
        #expect(SpaceSaving(encoded: [1, 2, 3, 2, 1, 97, 1, 0, 1, 98, 2, 0]) == nil, "out of order")
        #expect(SpaceSaving(encoded: [1, 2, 2, 1, 1, 97, 1, 0]) == nil, "a count is missing")
        #expect(SpaceSaving(encoded: [1, 2, 1, 1, 1, 97, 1, 0])?.top(1).first?.item == "a")
        var random = SplitMix64(seed: 7)
        let good = Self.sketch(Self.stream(3, 400), 20).encoded()
        for length in 0..<good.count { #expect(SpaceSaving(encoded: good.prefix(length)) == nil) }
        #expect(SpaceSaving(encoded: good + [0]) == nil)
        for _ in 0..<5_000 {
            var bytes = good
            for _ in 0...Int(random.next() % 3) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if var sketch = SpaceSaving(encoded: bytes) {
                sketch.merge(sketch)
                sketch.insert("new")
                #expect(sketch.top(5).count == 5)
            }
        }
    }

    @Test("The capacity has bounds", arguments: [(-5, 1), (0, 1), (1, 1), (1_000, 1_000), (1_000_000, 1_000)])
    func capacity(asked: Int, given: Int) { #expect(SpaceSaving(capacity: asked).capacity == given) }
}
