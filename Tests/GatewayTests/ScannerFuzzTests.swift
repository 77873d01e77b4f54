import Core
import Gateway
import NIOCore
import TestSupport
import Testing

/// Bytes from outside are never trusted: whatever they are, the scanners answer or refuse, and lose nothing.
@Suite struct ScannerFuzzTests {
    private static let seeds = [
        Wire.body, Wire.streamBody, Wire.answer,
        #"{"model":"a\u00e9\ud83d\ude00","stream_options":{"include_usage":false},"user":"x","metadata":{"session_id":"y"}}"#,
        ToolCallTests.whole([ToolCallTests.call(#""name":"f","arguments":"{\"a\":1}""#)]),
        #"{"model":"m","tools":\#(ToolCallTests.declared)}"#,
        ToolCallTests.chunk([#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"a"}}"#])
            + ToolCallTests.chunk([#"{"index":0,"function":{"arguments":"\":1}"}}"#]) + Wire.done,
        Wire.delta("x") + Wire.finish + Wire.usage + Wire.done,
    ]
    private static let streams = seeds.suffix(2)

    private static func mutate(_ text: String, _ random: inout SplitMix64) -> [UInt8] {
        var bytes = Array(text.utf8)
        let marks = Array("{}[]\":,\\u0eE+-.\n\r tfn\u{0}".utf8)
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let at = Int.random(in: 0...bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0 where at < bytes.count: bytes.remove(at: at)
            case 1 where at < bytes.count: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.insert(marks.randomElement(using: &random) ?? 0, at: at)
            case 3: bytes.removeSubrange(at...)
            default: bytes.insert(contentsOf: bytes[(bytes.count - at)...], at: at)
            }
        }
        return bytes
    }

    @Test(arguments: 1...4)
    func anyBytesAreReadOrRefused(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<20_000 {
            let bytes = Self.mutate(Self.seeds.randomElement(using: &random) ?? "", &random)
            bytes.withUnsafeBytes { raw in
                if let body = try? BodyScanner.scan(raw, salt: seed) {
                    #expect(body.model.quoted.lowerBound > 0 && body.model.quoted.upperBound < raw.count)
                    #expect(raw[body.model.quoted].first == UInt8(ascii: "\""))
                    if let tools = body.tools { #expect(raw[tools].first == UInt8(ascii: "[")) }
                }
                if let facts = try? AnswerScanner.scan(raw) {
                    // What was declared comes from outside too.
                    _ = facts.text.calls?.canBeMade(by: raw)
                    _ = facts.text.ending?.isLoop(isCut: true)
                }
            }
        }
    }

    @Test(arguments: 1...4)
    func streamsPassByteForByte(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<2_000 {
            let bytes = Self.mutate(Self.streams.randomElement(using: &random) ?? "", &random)
            var scanner = SSEScanner(dropsUsage: false)
            var input = ByteBuffer(bytes: bytes)
            var output: [UInt8] = []
            while input.readableBytes > 0 {
                let size = Int.random(in: 1...min(40, input.readableBytes), using: &random)
                guard let piece = input.readSlice(length: size) else { break }
                output += Array(buffer: scanner.feed(piece))
            }
            output += Array(buffer: scanner.rest())
            #expect(output == bytes)
        }
    }
}
