import Core
import Gateway
import Telemetry
import Testing

/// What the hashes of prompts promise, of prompts drawn from a vocabulary of made-up words.
@Suite struct PromptFingerprintTests {
    private static let vocabulary: [String] = {
        var random = SplitMix64(seed: 1)
        return (0..<2_000).map { _ in
            String(decoding: (0..<(4 + random.next() % 6)).map { _ in 97 + UInt8(random.next() % 26) }, as: UTF8.self)
        }
    }()

    private static func words(_ count: Int, _ random: inout SplitMix64) -> [String] {
        (0..<count).map { _ in vocabulary[Int(random.next() % UInt64(vocabulary.count))] }
    }

    private static func features(_ text: String, salt: UInt64 = 7) throws -> PromptFeatures {
        try #require(try features(ofMessages: #"[{"role":"user","content":"\#(text)"}]"#, salt: salt))
    }

    private static func features(ofMessages messages: String, salt: UInt64 = 7) throws -> PromptFeatures? {
        try Array(#"{"model":"m","messages":\#(messages)}"#.utf8).withUnsafeBytes {
            try BodyScanner.scan($0, salt: salt).features
        }
    }

    @Test("Only equal messages have the same exact hash, and without messages there is none")
    func exact() throws {
        let first = try Self.features("Say it in one sentence.")
        #expect(try Self.features("Say it in one sentence.") == first)
        for other in ["Say it in one sentence", "say it in one sentence.", "Say it in one  sentence."] {
            #expect(try Self.features(other).exact != first.exact)
        }
        let system = try Self.features(ofMessages: #"[{"role":"system","content":"Say it in one sentence."}]"#)
        #expect(system?.exact != first.exact && system?.template == first.template && system?.kind == first.kind)
        #expect(try Self.features(ofMessages: "[]") == nil && Self.features(ofMessages: "null") == nil)
        let pictures = try ["a", "b"].map {
            try Self.features(ofMessages: #"[{"role":"user","content":[{"type":"image_url","image_url":"\#($0)"}]}]"#)
        }
        #expect(pictures[0] != nil && pictures[0]?.exact != pictures[1]?.exact)
    }

    @Test("Prompts that differ in numbers and case alone have the same template")
    func numbers() throws {
        let first = try Self.features("Where is order 1234 of 2026-11-21, paid with 17.50 EUR by Ms Miller?")
        let second = try Self.features("Where is ORDER 9 of 2031-01-02, paid with 1234567.1 EUR by Ms miller?")
        #expect(first.template == second.template && first.exact != second.exact && first.kind == second.kind)
        // The digits of an escape name a letter.
        #expect(try Self.features(#"\u65e5\u672c \u8a9e"#).template != Self.features(#"\u65e5\u672d \u8a9f"#).template)
        #expect(try Self.features(#"a b\nc d e"#).template == Self.features(#"a b c d\te"#).template)
    }

    /// Of prompts with every share of their words changed, over salts.
    @Test("Two prompts share a template as often as their shingles overlap", arguments: [1, 3, 8, 20])
    func jaccard(changed: Int) throws {
        var random = SplitMix64(seed: UInt64(changed))
        let rounds = 1_000
        var (shared, expected) = (0, 0.0)
        for salt in 0..<UInt64(rounds) {
            let first = Self.words(60, &random)
            var second = first
            for _ in 0..<changed { second[Int(random.next() % 60)] = Self.words(1, &random)[0] }
            func shingles(_ words: [String]) -> Set<[String]> {
                Set((0...words.count - 4).map { Array(words[$0..<$0 + 4]) })
            }
            let (a, b) = (shingles(first), shingles(second))
            expected += Double(a.intersection(b).count) / Double(a.union(b).count)
            let templates = try [first, second].map {
                try Self.features($0.joined(separator: " "), salt: salt &* 0x9E37_79B9_7F4A_7C15).template
            }
            if templates[0] == templates[1] { shared += 1 }
        }
        let rate = expected / Double(rounds)
        let tolerance = 4 * (rate * (1 - rate) / Double(rounds)).squareRoot()
        #expect(abs(Double(shared) / Double(rounds) - rate) < tolerance, "\(shared) of \(rounds), expected \(rate)")
    }

    @Test("Prompts that have nothing to do with each other share nothing")
    func unrelated() throws {
        var random = SplitMix64(seed: 3)
        let all = try (0..<2_000).map { _ in try Self.features(Self.words(50, &random).joined(separator: " ")) }
        #expect(Set(all.map(\.exact)).count == all.count && Set(all.map(\.template)).count == all.count)
        // Every kind occurs.
        #expect(Set(all.map(\.kind)) == Set(0..<64))
    }

    @Test("Another salt changes everything")
    func salts() throws {
        var random = SplitMix64(seed: 4)
        for text in [Self.words(900, &random).joined(separator: " "), "hello"] {
            let all = try (0..<200).map { try Self.features(text, salt: $0) }
            #expect(Set(all.map(\.exact)).count == 200 && Set(all.map(\.template)).count == 200)
            #expect(Set(all.map(\.kind)).count > 30)
            #expect(Set(all.map(\.prefix)).count == (text.utf8.count < PromptFingerprint.prefixBytes ? 1 : 200))
        }
    }

    @Test("A beginning is known by its first 4,096 bytes, however the rest goes on; a shorter text has none")
    func beginnings() throws {
        let bytes = PromptFingerprint.prefixBytes
        let beginning = String(repeating: "abcdefg ", count: bytes / 8)
        #expect(try Self.features(String(beginning.dropLast())).prefix == nil)
        let whole = try #require(try Self.features(beginning).prefix)
        #expect(try Self.features(beginning + "and so on").prefix == whole)
        #expect(try Self.features("x" + beginning).prefix != whole)
        func chat(_ question: String) throws -> UInt64? {
            try Self.features(
                ofMessages: #"[{"role":"system","content":"\#(beginning)"},{"role":"user","content":"\#(question)"}]"#
            )?.prefix
        }
        #expect(try chat("one") == whole && chat("two") == whole)
    }

    @Test("Prompts of like words are of near kinds")
    func kinds() throws {
        var random = SplitMix64(seed: 5)
        var (near, far) = (0, 0)
        for _ in 0..<300 {
            let first = Self.words(60, &random)
            var second = first
            for _ in 0..<6 { second[Int(random.next() % 60)] = Self.words(1, &random)[0] }
            let kinds = try [first, second.shuffled(using: &random), Self.words(60, &random)].map {
                try Self.features($0.joined(separator: " ")).kind
            }
            near += (kinds[0] ^ kinds[1]).nonzeroBitCount
            far += (kinds[0] ^ kinds[2]).nonzeroBitCount
        }
        // Of six bits: three of two that have nothing to do with each other.
        #expect(Double(near) / 300 < 1 && abs(Double(far) / 300 - 3) < 0.3, "\(near) \(far)")
    }

    @Test("Of a long text the first 16 KiB make the template, and any bytes are hashed")
    func bounds() throws {
        let long = String(repeating: "word by word ", count: 2_000)
        let first = try Self.features(long + "one ending of it")
        let second = try Self.features(long + "quite another one")
        #expect(first.template == second.template && first.kind == second.kind && first.exact != second.exact)
        var random = SplitMix64(seed: 6)
        for _ in 0..<2_000 {
            var fingerprint = PromptFingerprint(salt: random.next())
            for _ in 0..<(random.next() % 4) {
                let bytes = (0..<(random.next() % 9_000)).map { _ in
                    random.next() % 3 == 0 ? UInt8(ascii: "\\") : UInt8(truncatingIfNeeded: random.next())
                }
                bytes.withUnsafeBytes { fingerprint.add($0) }
            }
            let features = [UInt8]().withUnsafeBytes { fingerprint.features(messages: $0) }
            #expect(features.kind < 64)
        }
    }

    @Test("A repetition is known for a minute, in its session, in bounded memory")
    func repetitions() {
        let prompts = RecentPrompts()
        func id(_ number: UInt64) -> UUIDv7 { UUIDv7(high: 0, low: number) }
        #expect(prompts.remember(id(1), session: 1, prompt: 9, at: 1_000) == nil)
        #expect(prompts.remember(id(2), session: 2, prompt: 9, at: 1_000) == nil)
        #expect(prompts.remember(id(3), session: 1, prompt: 8, at: 1_000) == nil)
        #expect(prompts.remember(id(4), session: 1, prompt: 9, at: 61_000) == id(1))
        #expect(prompts.remember(id(5), session: 1, prompt: 9, at: 61_001) == id(4))
        #expect(prompts.remember(id(6), session: 1, prompt: 9, at: 121_002) == nil)
        // A clock that has gone back.
        #expect(prompts.remember(id(7), session: 1, prompt: 9, at: 0) == nil)
        let many = UInt64(4 * RecentPrompts.bound)
        for number in 0..<many { _ = prompts.remember(id(number), session: number, prompt: 9, at: 1) }
        let kept = (0..<many).count { prompts.remember(id($0), session: $0, prompt: 9, at: 1) == id($0) }
        #expect(kept <= RecentPrompts.bound)
    }
}
