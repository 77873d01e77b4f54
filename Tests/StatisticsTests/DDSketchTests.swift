import Core
import Statistics
import Testing

struct DDSketchTests {
    private static func values(_ seed: UInt64, _ count: Int = 3_000) -> [Double] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in
            let octaves = random.normal() * 3 + 6
            return random.unit() < 0.02
                ? 0 : Double(sign: .plus, exponent: Int(octaves), significand: 1 + random.unit())
        }
    }

    private static func sketch(_ values: some Sequence<Double>) -> DDSketch {
        values.reduce(into: DDSketch()) { $0.insert($1) }
    }

    @Test("Every quantile lies within 1 % of the value at its rank", arguments: 1...10 as ClosedRange<UInt64>)
    func relativeError(seed: UInt64) throws {
        let values = Self.values(seed).sorted(), sketch = Self.sketch(Self.values(seed))
        for q in stride(from: 0.0, through: 1, by: 0.01) {
            let exact = values[Int((q * Double(values.count - 1)).rounded(.down))]
            let estimate = try #require(sketch.quantile(q))
            #expect(abs(estimate - exact) <= 0.01 * exact)
        }
    }

    @Test("H01: empty, it has no quantile, and merging with it changes nothing")
    func empty() {
        let nothing = DDSketch()
        #expect(nothing.count == 0)
        #expect(nothing.quantile(0) == nil && nothing.quantile(0.5) == nil && nothing.quantile(1) == nil)
        var sketch = Self.sketch([3, 0, 7])
        let alone = sketch
        sketch.merge(nothing)
        #expect(sketch == alone)
        sketch = nothing
        sketch.merge(alone)
        #expect(sketch == alone)
        sketch = nothing
        sketch.merge(nothing)
        #expect(sketch == nothing)
    }

    @Test("H02: of one value every quantile is within 1 %")
    func oneValue() throws {
        let sketch = Self.sketch([412])
        for q in stride(from: 0.0, through: 1, by: 0.05) {
            let estimate = try #require(sketch.quantile(q))
            #expect((407.88...416.12).contains(estimate))
        }
    }

    @Test("H03, H04: one to a thousand, whole and dealt to seven sketches merged in any order")
    func thousand() throws {
        let whole = Self.sketch((1...1_000).map(Double.init))
        #expect((495...505).contains(try #require(whole.quantile(0.5))))
        #expect((940.5...959.5).contains(try #require(whole.quantile(0.95))))
        #expect((980.1...999.9).contains(try #require(whole.quantile(0.99))))
        let dealt = (0..<7).map { part in Self.sketch((1...1_000).filter { $0 % 7 == part }.map(Double.init)) }
        var random = SplitMix64(seed: 4)
        for _ in 0..<50 {
            let merged = dealt.shuffled(using: &random).reduce(into: DDSketch()) { $0.merge($1) }
            #expect(merged == whole)
            #expect(merged.encoded() == whole.encoded())
        }
    }

    @Test("H05: zeros are counted as exactly zero")
    func zeros() throws {
        let sketch = Self.sketch([Double](repeating: 0, count: 100) + [Double](repeating: 10, count: 100))
        #expect(sketch.quantile(0.25) == 0)
        #expect((9.9...10.1).contains(try #require(sketch.quantile(0.75))))
    }

    @Test("H07: another version is refused")
    func version() {
        var bytes = Self.sketch([1, 2, 3]).encoded()
        #expect(DDSketch(encoded: bytes) != nil)
        bytes[0] += 1
        #expect(DDSketch(encoded: bytes) == nil)
    }

    @Test("H08: from a microsecond to an hour in milliseconds nothing collapses, in any order")
    func range() {
        var values = Array(sequence(first: 0.001) { $0 * 1.004 < 3_600_000 ? $0 * 1.004 : nil })
        values.append(3_600_000)
        let rising = Self.sketch(values), falling = Self.sketch(values.reversed())
        #expect(rising == falling)
        for value in values {
            let below = Int64(values.count { $0 <= DDSketch.bucketBound(atOrAbove: value) })
            #expect(rising.count - rising.count(above: value) == below, "every bucket is kept apart")
        }
        #expect(rising.quantile(0).map { abs($0 / 0.001 - 1) <= 0.01 } == true)
    }

    @Test("Every quantile lies within 1 %, whatever the distribution", arguments: 1...4 as ClosedRange<UInt64>)
    func distributions(seed: UInt64) throws {
        let shapes: [(String, (inout SplitMix64) -> Double)] = [
            ("uniform", { $0.unit() * 1_000 }),
            ("narrow", { 500 + $0.unit() }),
            ("exponential", { $0.normal() * $0.normal() * 40 }),
            ("two peaks", { $0.unit() < 0.9 ? 20 + $0.unit() : 30_000 + 100 * $0.unit() }),
            ("Pareto", { 1 / (1 - $0.unit()) }),
            ("steps", { Double(Int($0.unit() * 5)) * 250 }),
        ]
        for (name, draw) in shapes {
            var random = SplitMix64(seed: seed)
            let values = (0..<4_001).map { _ in abs(draw(&random)) }, sorted = values.sorted()
            let sketch = Self.sketch(values)
            for rank in stride(from: 0, to: sorted.count, by: 25) {
                let estimate = try #require(sketch.quantile(Double(rank) / 4_000))
                #expect(abs(estimate - sorted[rank]) <= 0.01 * sorted[rank], "\(name), rank \(rank)")
            }
        }
    }

    @Test("A bucket bound splits the values exactly", arguments: 1...5 as ClosedRange<UInt64>)
    func exactCounts(seed: UInt64) {
        let values = Self.values(seed), sketch = Self.sketch(values)
        for value in values.prefix(200) {
            let bound = DDSketch.bucketBound(atOrAbove: value)
            #expect(bound >= value && bound <= value * 1.0158)
            #expect(DDSketch.bucketBound(atOrAbove: bound) == bound)
            #expect(sketch.count(above: bound) == Int64(values.count { $0 > bound }))
        }
        #expect(sketch.count(above: -1) == sketch.count)
        #expect(sketch.count(above: .infinity) == 0)
    }

    @Test("Merging is exact and independent of order, collapsing included", arguments: 1...10 as ClosedRange<UInt64>)
    func merging(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        // Far more octaves than fit.
        let values = (0..<2_000).map { _ in
            Double(sign: .plus, exponent: Int(random.next() % 90) - 40, significand: 1 + random.unit())
        }
        let whole = Self.sketch(values)
        let parts = stride(from: 0, to: 2_000, by: 250).map { Self.sketch(values[$0..<($0 + 250)]) }
        let forward = parts.reduce(into: DDSketch()) { $0.merge($1) }
        let shuffled = parts.shuffled(using: &random).reduce(into: DDSketch()) { $0.merge($1) }
        #expect(forward == whole)
        #expect(shuffled == whole)
        #expect(Self.sketch(values.shuffled(using: &random)) == whole)
        #expect(shuffled.encoded() == whole.encoded())
        #expect(whole.quantile(1).map { abs($0 / (values.max() ?? 0) - 1) <= 0.01 } == true)
    }

    @Test("Sketches of few values and of many merge alike, in any order", arguments: 1...20 as ClosedRange<UInt64>)
    func fewValues(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        // Some spread so far that the lowest buckets collapse.
        let spread = seed % 2 == 0 ? 3.0 : 40
        var whole = DDSketch()
        let parts = (0..<12).map { _ in
            var part = DDSketch()
            for _ in 0..<(random.next() % 70) {
                let value = Double(sign: .plus, exponent: Int(random.normal() * spread), significand: 1 + random.unit())
                let count = random.next() % 10 == 0 ? Int64(random.next() % 4) + 1 : 1
                part.insert(value, count: count)
                whole.insert(value, count: count)
            }
            return part
        }
        for _ in 0..<10 {
            let merged = parts.shuffled(using: &random).reduce(into: DDSketch()) { $0.merge($1) }
            #expect(merged == whole)
            #expect(merged.encoded() == whole.encoded())
        }
        for part in parts {
            let restored = try #require(DDSketch(encoded: part.encoded()))
            #expect(restored == part)
            for q in stride(from: 0.0, through: 1, by: 0.1) { #expect(restored.quantile(q) == part.quantile(q)) }
            for bound in [0.5, 1, 30, 4_000] { #expect(restored.count(above: bound) == part.count(above: bound)) }
        }
    }

    @Test("Negative and non-finite values are refused and leave no trace")
    func refused() {
        var sketch = DDSketch()
        for value: Double in [-1, -.leastNonzeroMagnitude, .nan, .infinity, -.infinity] {
            let accepted = sketch.insert(value)
            #expect(!accepted)
        }
        let accepted = sketch.insert(1, count: 0)
        #expect(!accepted)
        #expect(sketch == DDSketch())
        #expect(sketch.quantile(0.5) == nil)
    }

    @Test("Extreme values stay countable")
    func extremes() {
        var sketch = DDSketch()
        for value: Double in [0, .leastNonzeroMagnitude, .leastNormalMagnitude, 1, .greatestFiniteMagnitude] {
            let accepted = sketch.insert(value)
            #expect(accepted)
        }
        #expect(sketch.count == 5)
        #expect(sketch.count(above: 0) == 3)
        #expect(sketch.quantile(0) == 0)
        #expect(sketch.quantile(1).map { $0 / .greatestFiniteMagnitude > 0.98 } == true)
    }

    @Test("The encoded form restores an equal sketch", arguments: 0...8 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) throws {
        let sketch = seed == 0 ? DDSketch() : Self.sketch(Self.values(seed, Int(seed * seed * 5)))
        let restored = try #require(DDSketch(encoded: sketch.encoded()))
        #expect(restored == sketch)
        #expect(restored.encoded() == sketch.encoded())
    }

    @Test("Broken bytes give nil and never a crash")
    func garbage() {
        var random = SplitMix64(seed: 7)
        let good = Self.sketch(Self.values(3, 400)).encoded()
        for length in 0..<good.count { #expect(DDSketch(encoded: good.prefix(length)) == nil) }
        #expect(DDSketch(encoded: good + [0]) == nil)
        for _ in 0..<5_000 {
            var bytes = good
            for _ in 0...Int(random.next() % 4) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if var sketch = DDSketch(encoded: bytes) {
                sketch.merge(sketch)
                sketch.insert(1)
                _ = sketch.quantile(0.5)
                #expect(DDSketch(encoded: sketch.encoded()) == sketch || sketch.count > 1 << 53)
            }
            let noise = (0..<Int(random.next() % 30)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            _ = DDSketch(encoded: [1] + noise)
        }
    }
}
