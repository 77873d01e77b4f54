import Core
import Gateway
import NIOCore
import Testing

/// Whether an answer ends in a loop.
@Suite struct TextEndingTests {
    private static func verdict(_ text: [UInt8], isCut: Bool, piece: () -> Int = { .max }) -> Bool? {
        var ending = TextEnding()
        text.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = rest.prefix(piece())
                ending.add(UnsafeRawBufferPointer(rebasing: part))
                rest = rest.dropFirst(part.count)
            }
        }
        return ending.isLoop(isCut: isCut)
    }

    /// As it stands in a document.
    private static func verdict(_ text: String, isCut: Bool) -> Bool? {
        verdict(Array(text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n").utf8), isCut: isCut)
    }

    /// The rule, read word by word.
    private static func oracle(_ text: [UInt8], isCut: Bool) -> Bool? {
        let least = isCut ? TextEnding.leastBytes.cut : TextEnding.leastBytes.ended
        guard text.count >= least else { return nil }
        let end = Array(text.suffix(TextEnding.limit).reversed())
        return (1...TextEnding.longestUnit).contains { unit in
            var length = unit
            while length < end.count, end[length] == end[length - unit] { length += 1 }
            return length >= max(least, TextEnding.leastRepeats * unit)
        }
    }

    private static let words = """
        the a keel of boat water wind and to it is that in on with as for at by from they which when more than its other
        sails hull mast steady course because against under between light heavy turns keeps moves long side
        """.split { $0 == " " || $0 == "\n" }.map(String.init)

    private static func prose(_ bytes: Int, _ random: inout SplitMix64) -> String {
        var text = ""
        while text.utf8.count < bytes {
            text += words.randomElement(using: &random) ?? ""
            text += Int.random(in: 0..<12, using: &random) == 0 ? ".\n" : " "
        }
        return text
    }

    // MARK: Loops

    @Test(arguments: [
        "ha ", "!", "I don't know. ", "\n", "\n\t", "no no yes ", "äöü → ", "1, 2, 3, ",
        "As an AI language model I can help with that. Let me know if there is anything else that I can do for you. ",
        "```\nfor i in range(10):\n    print(i)\n```\n\n", "{\"a\": [1, 2, {\"b\": null}]},\n",
    ])
    func aLoopIsOneHoweverItBegan(_ unit: String) {
        var random = SplitMix64(seed: 1)
        for lead in [0, 40, 700, 9_000] {
            let text = Self.prose(lead, &random) + String(repeating: unit, count: 2_200 / unit.utf8.count + 5)
            // Where it is cut is chance.
            for cut in 0..<3 {
                #expect(Self.verdict(String(text.dropLast(cut)), isCut: true) == true)
                #expect(Self.verdict(String(text.dropLast(cut)), isCut: false) == true)
            }
            #expect(Self.verdict(text + "And that is all.", isCut: false) == false)
        }
    }

    /// Half as much is enough where the model did not find an end.
    @Test func moreIsAskedOfWhatEndedByItself() {
        let lead = "Here are the options that I would look at first, in the order of their price: "
        let loop = lead + String(repeating: "none of them, ", count: 60)
        #expect(Self.verdict(loop, isCut: true) == true)
        #expect(Self.verdict(loop, isCut: false) == nil)
        #expect(Self.verdict(lead + loop + lead + lead, isCut: false) == false)
        #expect(Self.verdict(String(repeating: "x", count: TextEnding.leastBytes.cut - 1), isCut: true) == nil)
        #expect(Self.verdict(String(repeating: "x", count: TextEnding.leastBytes.cut), isCut: true) == true)
        var random = SplitMix64(seed: 5)
        let longest = Array(Self.prose(TextEnding.longestUnit, &random).utf8.prefix(TextEnding.longestUnit))
        let loops = Array(repeatElement(longest, count: TextEnding.leastRepeats).joined())
        #expect(Self.verdict(loops, isCut: true) == true)
        #expect(Self.verdict(Array(loops.dropFirst()), isCut: true) == false)
        let longer = longest + [UInt8(ascii: "?")]
        #expect(Self.verdict(Array(repeatElement(longer, count: 9).joined()), isCut: true) == false)
    }

    // MARK: No loops

    private static let table =
        "| Month | Rent | Food | Paid |\n|---|---|---|---|\n"
        + (1...40).map { "| \($0) | 1,200.00 | 400.00 | yes |\n" }.joined()
    private static let schedule =
        "| | Mon | Tue | Wed | Thu | Fri |\n|---|---|---|---|---|---|\n"
        + (8...19).map { "| \($0):00 | | | | | |\n" }.joined()
    private static let matrix =
        "[\n" + Array(repeating: "  [0, 0, 0, 0, 0, 0, 0, 0]", count: 40).joined(separator: ",\n") + "\n]"
    private static let rows =
        "[" + (0..<60).map { #"{"id":\#($0),"active":true,"tags":[],"parent":null}"# }.joined(separator: ",") + "]"
    private static let code =
        (0..<30).map { "        case .value\($0):\n            return nil\n" }.joined() + "        }\n    }\n}\n"
    private static let sql = (0..<50).map { "INSERT INTO t (a, b) VALUES (\($0), 'x');\n" }.joined()
    private static let verse =
        "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.\n\n"
    private static let refrain = verse + verse + verse
    private static let pixels = "data:image/png;base64," + String(repeating: "A", count: 3_000) + "AElFTkSuQmCC"
    private static let ruler =
        (0..<12).map { "----+----\($0 % 10)" }.joined() + "\n" + String(repeating: "=", count: 200) + "\n"

    @Test(arguments: [table, schedule, matrix, rows, code, sql, refrain, pixels, ruler])
    func whatPeopleAskForIsNone(_ text: String) {
        let fenced = "Here you are:\n\n```\n\(text)```\n"
        for text in [text, fenced, text + "\n\nLet me know if you need more.", text + text] {
            #expect(Self.verdict(text, isCut: false) != true)
        }
        // Cut off wherever its limit may lie, in what comes after a paragraph.
        var random = SplitMix64(seed: 3)
        let whole = Self.prose(300, &random) + text
        for end in stride(from: 400, to: whole.utf8.count, by: 37) where !Self.isAskedRepetition(text) {
            #expect(Self.verdict(String(decoding: Array(whole.utf8).prefix(end), as: UTF8.self), isCut: true) != true)
        }
    }

    /// Cut off in the middle of so many equal rows, an answer looks like a loop: nothing tells them apart.
    private static func isAskedRepetition(_ text: String) -> Bool { text == pixels || text == matrix }

    @Test(arguments: 1...4)
    func proseAndRandomTextAreNone(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for round in 0..<500 {
            let size = Int.random(in: 1_024...6_000, using: &random)
            let prose = Self.prose(size, &random)
            #expect(Self.verdict(prose, isCut: round % 2 == 0) == false)
            let base64 = (0..<size).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            #expect(Self.verdict(base64, isCut: round % 2 == 0) == false)
            // A list of few words, and one that counts.
            let list = (1...200).map { "\($0). \(Bool.random(using: &random) ? "yes" : "no")\n" }.joined()
            #expect(Self.verdict(list, isCut: true) == false)
            let votes = (1...400).map { _ in Bool.random(using: &random) ? "yes\n" : "no\n" }.joined()
            #expect(Self.verdict(votes, isCut: true) == false)
        }
    }

    // MARK: The rule itself

    @Test(arguments: 1...4)
    func itIsTheRuleHoweverTheTextIsCut(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var seen: [Bool?: Int] = [:]
        for _ in 0..<400 {
            let letters = UInt8.random(in: 1...3, using: &random)
            func letter() -> UInt8 { 97 + UInt8.random(in: 0..<letters, using: &random) }
            let unit = (0..<Int.random(in: 1...700, using: &random)).map { _ in letter() }
            var text = (0..<Int.random(in: 0...3_000, using: &random)).map { _ in letter() }
            for _ in 0..<Int.random(in: 0...max(5, 1_500 / unit.count), using: &random) { text += unit }
            text.removeLast(Int.random(in: 0...min(30, text.count), using: &random))
            if Int.random(in: 0..<4, using: &random) == 0, !text.isEmpty {
                text[Int.random(in: 0..<text.count, using: &random)] = UInt8(ascii: "?")
            }
            let isCut = Bool.random(using: &random)
            let expected = Self.oracle(text, isCut: isCut)
            #expect(Self.verdict(text, isCut: isCut) == expected)
            #expect(Self.verdict(text, isCut: isCut) { Int.random(in: 1...900, using: &random) } == expected)
            seen[expected, default: 0] += 1
        }
        #expect(seen.count == 3 && seen.values.allSatisfy { $0 > 10 }, "\(seen)")
    }

    @Test func aStreamSaysWhatTheWholeAnswerSays() throws {
        let unit = #"\u00e9, \"so on\"\n"#
        let text = String(repeating: unit, count: 80)
        let whole = try ByteBuffer(string: #"{"choices":[{"message":{"content":"\#(text)"}}]}"#)
            .withUnsafeReadableBytes { try AnswerScanner.scan($0) }
        var scanner = SSEScanner(dropsUsage: false)
        for _ in 0..<80 { _ = scanner.feed(ByteBuffer(string: Wire.delta(unit))) }
        #expect(whole.text.ending?.isLoop(isCut: false) == true)
        #expect(scanner.facts.text.ending == whole.text.ending)
        // Two answers at once, or a part that could not be read: nothing is known.
        let other = Wire.delta("b").replacing("\"index\":0", with: "\"index\":1")
        for odd in [other, "data: nonsense\n\n"] {
            var scanner = scanner
            _ = scanner.feed(ByteBuffer(string: odd))
            #expect(scanner.facts.text.ending == nil)
        }
    }
}
