import Core
import Gateway
import NIOCore
import Testing

/// Messages are read the same however their bytes are cut, and nothing that two readers could take differently is read
/// at all.
@Suite struct HTTPReaderTests {
    /// The parts of a connection's bytes as text, bodies joined, with what went wrong at the end.
    private static func read(
        _ text: String, isResponse: Bool = false, cuts: [Int] = [], limit: Int = 1 << 14
    ) -> [String] {
        var reader = HTTPReader(isResponse: isResponse, headLimit: limit)
        var parts: [String] = []
        var body = ""
        let bytes = Array(text.utf8)
        var last = 0
        for cut in cuts + [bytes.count] {
            reader.append(ByteBuffer(bytes: bytes[last..<cut]))
            last = cut
            do throws(HTTPFault) {
                while let part = try reader.next() {
                    switch part {
                    case .head(let head): parts.append(describe(head))
                    case .body(let bytes): body += String(buffer: bytes)
                    case .end:
                        parts.append("[\(body)]")
                        body = ""
                    }
                }
            } catch {
                return parts + ["\(error)"]
            }
        }
        if reader.endsWithConnection { parts.append("[\(body)] until close") }
        return parts + (reader.isEmpty ? [] : ["unread"])
    }

    private static func describe(_ head: HTTPHead) -> String {
        let start =
            switch head.start {
            case .request(let method, let target): "\(head.text(method)) \(head.text(target))"
            case .response(let status): "\(status)"
            }
        let fields = head.fields.map { "\(head.text($0.name))=\(head.text($0.value))" }
        return ([start, head.keepAlive ? "keep" : "close"] + fields).joined(separator: " ")
    }

    static let requests: [(String, [String])] = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["GET / keep Host=a", "[]"]),
        ("GET /x?y=1 HTTP/1.0\r\n\r\n", ["GET /x?y=1 close", "[]"]),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ["GET / keep Connection=Keep-Alive", "[]"]),
        ("GET / HTTP/1.1\r\nconnection: x , close\r\n\r\n", ["GET / close connection=x , close", "[]"]),
        ("\r\n\r\nGET / HTTP/1.1\r\nA:\t b \t\r\nEmpty:\r\n\r\n", ["GET / keep A=b Empty=", "[]"]),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n\r\n",
            ["POST / keep Content-Length=3", "[abc]", "GET /2 keep", "[]"]
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            ["POST / keep Transfer-Encoding=Chunked", "[abc0123456789]", "GET / keep", "[]"]
        ),
        ("GET / HTTP/1.1\r\nHost", ["unread"]),
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", ["POST / keep Content-Length=5"]),
    ]

    static let responses: [(String, [String])] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", ["200 keep Content-Length=2", "[ab]"]),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ["200 keep Content-Length=0", "[]"]),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 X\r\n\r\n",
            ["204 keep", "[]"]
        ),
        ("HTTP/1.0 200 OK\r\n\r\nall of it", ["200 close", "[all of it] until close"]),
    ]

    @Test func messagesAreReadHoweverTheyAreCut() {
        var random = SplitMix64(seed: 11)
        for (isResponse, cases) in [(false, Self.requests), (true, Self.responses)] {
            for (text, expected) in cases {
                #expect(Self.read(text, isResponse: isResponse) == expected)
                let count = text.utf8.count
                #expect(Self.read(text, isResponse: isResponse, cuts: Array(0..<count)) == expected)
                for _ in 0..<50 {
                    let cuts = (0..<3).map { _ in Int(random.next() % UInt64(count + 1)) }.sorted()
                    #expect(Self.read(text, isResponse: isResponse, cuts: cuts) == expected)
                }
            }
        }
    }

    @Test(
        arguments: [
            "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rC\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nA: \u{0}\r\n\r\n",
            "GET / HTTP/1.1\r\nÄ: b\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.2\r\n\r\n", "GET /\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
            "GET / x HTTP/1.1\r\n\r\n", "G(T / HTTP/1.1\r\n\r\n", " GET / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na", "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ])
    func whatCouldBeReadInTwoWaysIsRefused(_ text: String) {
        #expect(Self.read(text) == ["malformed"])
        #expect(Self.read(text, cuts: Array(0..<text.utf8.count)) == ["malformed"])
    }

    @Test(
        arguments: [
            "x\r\n", "\r\n", "3\nabc\r\n", "3\r\nabcd\r\n", "3\r\nabc\n", "-1\r\n", "0x3\r\n", " 3\r\n",
            "1000000000000000\r\n", "3" + String(repeating: ";", count: 2_000),
        ])
    func chunksThatAreNotAreRefused(_ chunks: String) {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(Self.read(head + chunks).last == "malformed")
    }

    @Test(arguments: [
        "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n", "HTTX/1.1 200 OK\r\n\r\n",
    ])
    func answersThatAreNoneAreRefused(_ text: String) {
        #expect(Self.read(text, isResponse: true) == ["malformed"])
    }

    @Test func headsAreBounded() {
        let long = "GET / HTTP/1.1\r\nA: " + String(repeating: "x", count: 2_000)
        #expect(Self.read(long, limit: 1_000) == ["tooLarge"])
        #expect(Self.read(long + "\r\n\r\n", limit: 1_000) == ["tooLarge"])
        let many = "GET / HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 257) + "\r\n"
        #expect(Self.read(many) == ["tooLarge"])
        let trailers = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        #expect(Self.read(trailers + String(repeating: "a: b\r\n", count: 500), limit: 1_000).last == "malformed")
    }

    /// Any bytes are read or refused; none crash, and none are kept beyond the bounds.
    @Test func garbageIsReadOrRefused() {
        var random = SplitMix64(seed: 5)
        let seeds = Self.requests.map(\.0) + Self.responses.map(\.0)
        for round in 0..<20_000 {
            var bytes = Array(seeds[round % seeds.count].utf8)
            for _ in 0..<(1 + random.next() % 6) {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: at)
                default: bytes.removeSubrange(at..<min(bytes.count, at + 1 + Int(random.next() % 8)))
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            _ = Self.read(text, isResponse: round % 2 == 0)
            _ = Self.read(text, isResponse: round % 2 == 0, cuts: [text.utf8.count / 2])
        }
    }
}
