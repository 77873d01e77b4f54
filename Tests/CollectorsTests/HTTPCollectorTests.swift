import Collectors
import Compression
import Core
import EventLog
import Foundation
import Telemetry
import Testing

@Suite(.serialized) struct HTTPCollectorTests {
    private static let export = SpanExport(spans: [
        .chat(1), .chat(2), .init([("http.method", .text("GET"))]), .chat(0),
        .chat(3, more: [("trimtab.route", .text("theirs"))]),
    ])

    /// Accepted spans are in the log's file when the exporter hears of it; the others are named.
    @Test func anExportBecomesRecords() async throws {
        let stage = try Stage()
        try await stage.serve { client in
            let reply = try await client.post(Self.export.protobuf)
            #expect(reply.status == 200 && reply.headers["content-type"] == "application/x-protobuf")
            let message =
                "1 of bad_id: trace id and span id must be 16 and 8 bytes, not all zero; "
                + "1 of forbidden_route: the route belongs to another project than the key"
            #expect(reply.body == ExportAnswer(rejected: 2, message: message).encoded(as: .protobuf))
            let records = try await stage.records()
            #expect(records.count == 2)
            let record = try #require(records.first)
            #expect(record.route == "shop" && record.key == "ann" && record.project == "a")
            // 512 × 0.15 + 187 × 0.60 dollars a million tokens.
            #expect(record.cost == NanoUSD(189_000) && record.price == "2026-07-02#4")

            // The same in JSON is the same: nothing is counted twice.
            let again = try await client.post(Self.export.json, type: "application/json; charset=utf-8")
            #expect(again.status == 200)
            #expect(again.text.hasPrefix(#"{"partialSuccess":{"rejectedSpans":"2","#))
            #expect(try await stage.records().count == 2)
            let counts = stage.ingest.statistics.spans[.http]
            #expect(counts == [.accepted: 2, .duplicate: 2, .ignored: 2, .rejected: 4])
            let whole = try await client.post(SpanExport(spans: [.chat(9)]).json, type: "application/json")
            #expect(whole.status == 200 && whole.text == "{}")
        }
    }

    @Test func refusals() async throws {
        let stage = try Stage { $0.http.bodyBytes = 4_096 }
        let bytes = SpanExport(spans: [.chat()]).protobuf
        try await stage.serve { client in
            #expect(try await client.post(bytes, key: nil).status == 401)
            let unknown = try await client.post(bytes, key: "tt-other")
            #expect(unknown.status == 401 && unknown.headers["www-authenticate"] == "Bearer")
            #expect(try await client.post(bytes, type: "text/plain").status == 415)
            #expect(try await client.post(bytes, type: nil).status == 415)
            let encoding = try await client.post(bytes, encoding: "zstd")
            #expect(encoding.status == 415 && encoding.text.contains("gzip"))
            #expect(try await client.post([1, 2, 3]).status == 400)
            let json = try await client.post(Array("{".utf8), type: "application/json")
            #expect(json.status == 400 && json.text.hasPrefix(#"{"code":3,"message":"The export is malformed"#))
            #expect(try await client.post(Array(repeating: 0, count: 5_000)).status == 413)
            #expect(try await client.post([], path: "/v1/metrics").status == 404)
            let method = try await client.post([], method: "GET")
            #expect(method.status == 405 && method.headers["allow"] == "POST")
            #expect(try await client.post(bytes).status == 200)
            #expect(try await client.post([]).status == 200)
        }
        #expect(try await stage.records().count == 1)
    }

    @Test func gzipIsReadWithABound() async throws {
        let stage = try Stage { $0.http.bodyBytes = 65_536 }
        try await stage.serve { client in
            let packed = try Self.gzip(SpanExport(spans: [.chat()]).protobuf)
            #expect(try await client.post(packed, encoding: "gzip").status == 200)
            #expect(try await client.post(Array(packed.dropLast(4)), encoding: "gzip").status == 400)
            #expect(try await client.post([1, 2, 3], encoding: "gzip").status == 400)
            let bomb = try Self.gzip(Array(repeating: 0, count: 10_000_000))
            #expect(bomb.count < 20_000)
            #expect(try await client.post(bomb, encoding: "gzip").status == 413)
        }
        #expect(try await stage.records().count == 1)
    }

    @Test func severalMembersOfGzipAreOne() throws {
        let packed = try Self.gzip([1, 2, 3]) + Self.gzip([4])
        #expect(try Gzip.inflate(packed, limit: 4) == [1, 2, 3, 4])
        #expect(throws: GzipError.tooLarge) { try Gzip.inflate(packed, limit: 3) }
        #expect(throws: GzipError.malformed) { try Gzip.inflate([], limit: 3) }
    }

    /// Past the rate exporters hear when to come back, and then are heard.
    @Test func theRateIsBounded() async throws {
        let stage = try Stage { $0.spansPerSecond = 10 }
        try await stage.serve { client in
            let many = SpanExport(spans: (1...30).map { .chat(UInt64($0)) })
            #expect(try await client.post(many.protobuf).status == 200)
            let refused = try await client.post(many.protobuf)
            #expect(refused.status == 429)
            #expect(refused.headers["retry-after"].flatMap { Int($0) }.map { (1...2).contains($0) } == true)
        }
        #expect(stage.ingest.statistics.exports[.http]?[.rateLimited] == 1)
    }

    /// A full disk loses no span: exporters are kept away, and nothing that was confirmed is missing.
    @Test func aLogThatCannotWriteOpensTheBreaker() async throws {
        let stage = try Stage(pageLimit: 24)
        try await stage.serve { client in
            var confirmed: UInt64 = 0
            var refused: Stage.Reply?
            for batch in 0..<UInt64(400) where refused == nil {
                let spans = (1...20).map { SpanExport.Span.chat(batch * 20 + $0) }
                let reply = try await client.post(SpanExport(spans: spans).protobuf)
                if reply.status == 200 { confirmed += 20 } else { refused = reply }
            }
            #expect(refused?.status == 503)
            #expect(refused?.headers["retry-after"].flatMap { Int($0) }.map { $0 >= 1 } == true)
            #expect(stage.ingest.statistics.isOpen)
            #expect(stage.log.statistics.written >= confirmed)
            #expect(stage.log.statistics.dropped.isEmpty)
        }
        await stage.log.close()
    }

    /// One export larger than the log's queue is taken piece by piece.
    @Test func anExportMayBeLargerThanTheQueue() async throws {
        let stage = try Stage(queueLimit: 100)
        let spans = (1...1_000).map { SpanExport.Span.chat(UInt64($0)) }
        let read = try TraceExport.read(SpanExport(spans: spans).protobuf, as: .protobuf)
        let receipt = try await stage.ingest.take(read, from: .http, key: nil)
        try await stage.ingest.settle()
        #expect(receipt.accepted == 1_000)
        #expect(Set(try await stage.records().map(\.id)).count == 1_000)
    }

    @Test func beyondTheBoundASpanIsTakenAgain() async throws {
        let stage = try Stage()
        let ingest = SpanIngest(log: stage.log, settings: stage.settings, remembered: 10)
        func take(_ numbers: ClosedRange<UInt64>) async throws -> SpanIngest.Receipt {
            let export = SpanExport(spans: numbers.map { .chat($0) }).protobuf
            return try await ingest.take(TraceExport.read(export, as: .protobuf), from: .http, key: nil)
        }
        #expect(try await take(1...10).accepted == 10)
        #expect(try await take(1...10).duplicates == 10)
        _ = try await take(11...40)
        #expect(try await take(1...10).accepted == 10)
        #expect(try await take(31...40).duplicates == 10)
    }

    static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/gzip")
        process.arguments = ["-c"]
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        let writer = Thread {
            try? input.fileHandleForWriting.write(contentsOf: Data(bytes))
            try? input.fileHandleForWriting.close()
        }
        writer.start()
        let packed = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Array(packed)
    }
}
