import Core
import Testing

@Suite struct CoreTests {
    /// Frozen: who is in a canary and in which partition a session lives must not change with a release.
    @Test(
        arguments: [
            ("", 0, 0xef46_db37_51d8_e999), ("a", 0, 0xd24e_c4f1_a98c_6e5b), ("abc", 0, 0x44bc_2cf5_ad77_0999),
        ] as [(String, UInt64, UInt64)])
    func hashesAreFrozen(text: String, salt: UInt64, expected: UInt64) {
        #expect(Hash64.hash(text, salt: salt) == expected)
    }

    @Test func longTextsHashTheSameInOnePieceAndDifferBySalt() {
        let text = String(repeating: "trimtab ", count: 20)
        #expect(Hash64.hash(text, salt: 1) == Hash64.hash(text, salt: 1))
        #expect(Hash64.hash(text, salt: 1) != Hash64.hash(text, salt: 2))
    }

    @Test(arguments: 0..<100) func idsSurviveTheirTextAndKeepTheirBucket(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed))
        let bucket = UInt16(generator.next() % 4096)
        let id = UUIDv7(milliseconds: 1_763_650_000_123, bucket: bucket, using: &generator)
        #expect(UUIDv7(id.description) == id)
        #expect(UUIDv7(id.description.uppercased()) == id)
        #expect(id.bucket == bucket)
        #expect(id.milliseconds == 1_763_650_000_123)
        #expect(id.description.suffix(3) == (String(bucket + 4096, radix: 16)).suffix(3))
        #expect(Array(id.description.utf8)[14] == UInt8(ascii: "7"))
    }

    @Test(arguments: [
        "", "x", "01a1fb9c-1552-72dd-9720-8026ebd6709", "01a1fb9c+1552-72dd-9720-8026ebd67096",
        "g1a1fb9c-1552-72dd-9720-8026ebd67096",
    ])
    func whatIsNoIdIsRefused(text: String) { #expect(UUIDv7(text) == nil) }

    @Test("Each byte of an id is a hexadecimal digit or a dash in its place, and nothing else")
    func everyByteCounts() {
        let id = UUIDv7(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)
        let text = Array(id.description.utf8)
        for place in text.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = text
                changed[place] = byte
                let isDash = byte == UInt8(ascii: "-"), isHexadecimal = Character(UnicodeScalar(byte)).isHexDigit
                let isValid = text[place] == UInt8(ascii: "-") ? isDash : byte < 128 && isHexadecimal
                let read = changed.withUnsafeBufferPointer { UUIDv7(utf8: $0) }
                #expect((read != nil) == isValid)
                if let read { #expect(read.description == String(decoding: changed, as: UTF8.self).lowercased()) }
            }
        }
    }

    @Test func idsSortByTime() {
        var generator = SplitMix64(seed: 1)
        let ids = (0..<100).map { UUIDv7(milliseconds: Int64($0), using: &generator) }
        #expect(ids == ids.sorted())
    }

    /// Prices have fractions of a nano-dollar a token; a cost is rounded once.
    @Test func costsAreRoundedOnce() {
        let price = TokenPrice(input: 150_000_000, output: 600_000_000, cachedInput: 75_000_000)
        #expect(price.cost(input: 512, output: 187) == NanoUSD(189_000))
        #expect(price.cost(input: 512, cachedRead: 512, output: 0) == NanoUSD(38_400))
        #expect(TokenPrice(input: 1, output: 1).cost(input: 499_999, output: 0) == NanoUSD(0))
        #expect(TokenPrice(input: 1, output: 1).cost(input: 500_000, output: 0) == NanoUSD(1))
        #expect(TokenPrice(input: .max, output: .max).cost(input: .max, output: .max) == NanoUSD(.max))
        #expect(price.cost(input: -5, output: -5) == NanoUSD(0))
    }

    @Test(arguments: [
        ("support-chat", true), ("a/b:c.d_e-1", true), ("", false), ("-a", false), ("a b", false), ("ü", false),
    ])
    func routeNames(text: String, valid: Bool) { #expect((RouteName(text) != nil) == valid) }
}
