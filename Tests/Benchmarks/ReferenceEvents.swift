import Core
import Foundation

/// The reference event of the stream benchmarks, as newline-delimited JSON: one request to a language model, in 14
/// fields and exactly 268 bytes, its newline not counted (the id takes up what the numbers leave).
///
/// `ts` (event time, milliseconds), `id`, `route`, `model`, `provider`, `project`, `key`, `status`, `latency_ms`,
/// `ttft_ms`, `tokens_in`, `tokens_out`, `cost_usd`, `stream`. There are 50 keys of (`route`, `model`), drawn evenly.
/// Event time moves on by 10 s with every 100,000 events, each at most 1.5 s behind. The same count gives the same
/// bytes everywhere, and every peer reads them.
enum ReferenceEvents {
    static let bytesPerEvent = 268
    static let windowMs: Int64 = 10_000
    /// No event is further behind the latest one.
    static let disorderMs: Int64 = 1_500
    static let start: Int64 = 1_763_650_020_000

    private static let eventsPerWindow: Int64 = 100_000
    private static let chunk = 20_000
    private static let routes = ["support", "search", "code", "draft", "triage"]
    private static let models: [(provider: String, name: String)] = [
        ("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("openai", "gpt-4.1"), ("anthropic", "haiku-3.5"),
        ("anthropic", "sonnet-4"), ("google", "flash-2.0"), ("google", "flash-2.5"), ("mistral", "small-3"),
        ("meta", "llama-70b"), ("qwen", "qwen-72b"),
    ]
    private static let projects = ["shop", "help", "labs", "docs"]

    static func write(count: Int, to file: URL) throws {
        _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        let handle = try FileHandle(forWritingTo: file)
        var random = SplitMix64(seed: 268)
        for first in stride(from: 0, to: count, by: chunk) {
            var bytes: [UInt8] = []
            for number in first..<min(first + chunk, count) { append(number, &random, to: &bytes) }
            try handle.write(contentsOf: bytes)
        }
        try handle.close()
    }

    static func bytes(count: Int) -> [UInt8] {
        var random = SplitMix64(seed: 268)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * (bytesPerEvent + 1))
        for number in 0..<count { append(number, &random, to: &bytes) }
        return bytes
    }

    private static func append(_ number: Int, _ random: inout SplitMix64, to bytes: inout [UInt8]) {
        let latest = start + Int64(number) * windowMs / eventsPerWindow
        let at = latest - Int64(random.next() % UInt64(disorderMs))
        let drawn = Int(random.next() % 2_000)
        let model = models[drawn % 10]
        // Tenths of a millisecond, log-normal with a median of 800 ms.
        let latency = Int((8_000 * exp(random.normal() * 0.6)).rounded()), ttft = latency / 5 + 1
        let input = Int(random.next() % 4_000), output = Int(random.next() % 900)
        let cost = String(format: "%06d", min(999_999, input * 3 + output * 12))
        let head = "{\"ts\":\(at),\"id\":\""
        let tail = """
            ","route":"\(routes[drawn / 10 % 5])","model":"\(model.name)","provider":"\(model.provider)",\
            "project":"\(projects[drawn / 50 % 4])","key":"key-\(drawn / 200)","status":\(drawn % 97 == 0 ? 503 : 200),\
            "latency_ms":\(latency / 10).\(latency % 10),"ttft_ms":\(ttft / 10).\(ttft % 10),"tokens_in":\(input),\
            "tokens_out":\(output),"cost_usd":0.\(cost),"stream":\(drawn % 3 == 0 ? "false" : "true")}

            """
        bytes += head.utf8
        // The newline at the end is one more.
        for _ in 0..<(bytesPerEvent + 1 - head.utf8.count - tail.utf8.count) {
            bytes.append(UInt8(ascii: "a") + UInt8(random.next() % 26))
        }
        bytes += tail.utf8
    }
}
