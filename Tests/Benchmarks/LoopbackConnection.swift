import BlockingExecutors
import Core
import Foundation

/// One kept-alive HTTP/1.1 connection to a loopback port. It has a thread of its own, so it may block.
actor LoopbackConnection {
    private nonisolated let executor = ThreadExecutor(name: "bench-http")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let port: Int
    private var descriptor: Int32 = -1
    private var buffer = [UInt8](repeating: 0, count: 1 << 20)

    struct Answer: Sendable {
        var status: Int
        var body: Data
    }

    init(port: Int) { self.port = port }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// A port that was free a moment ago.
    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard bound else { throw TrimtabError("bench.port", "There is no free port.", remedy: "Run it again.") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// The bytes of a request.
    static func request(
        _ method: String, _ path: String, token: String? = nil, body: String = ""
    ) -> [UInt8] {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.utf8.count)\r\n"
        if !body.isEmpty { head += "Content-Type: application/json\r\n" }
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        return Array("\(head)\r\n\(body)".utf8)
    }

    /// Sends a request and reads its answer; a connection that broke is made anew for the next one.
    func exchange(_ request: [UInt8]) throws -> Answer {
        do {
            if descriptor < 0 { descriptor = try Self.connect(port: port) }
            try write(request)
            return try read()
        } catch {
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
            throw error
        }
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// A connected socket without Nagle's delay.
    static func connect(port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = loopback(port: port)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            close(descriptor)
            throw failure(port, "does not answer")
        }
        return descriptor
    }

    private func write(_ bytes: [UInt8]) throws {
        let sent = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard sent == bytes.count else { throw Self.failure(port, "broke") }
    }

    /// Reads an answer whose length is told.
    private func read() throws -> Answer {
        var filled = 0
        var wanted: (head: Int, total: Int)?
        while true {
            let got = buffer.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress.map { $0 + filled }, $0.count - filled, 0)
            }
            guard got > 0 else { throw Self.failure(port, "broke") }
            filled += got
            if wanted == nil { wanted = try head(filled) }
            if let wanted, filled >= wanted.total {
                let status = Int(String(decoding: buffer[9..<12], as: UTF8.self)) ?? 0
                return Answer(status: status, body: Data(buffer[wanted.head..<wanted.total]))
            }
        }
    }

    private func head(_ filled: Int) throws -> (head: Int, total: Int)? {
        let mark = Array("\r\n\r\n".utf8)
        guard filled >= 16,
            let end = (0...filled - 4).first(where: { buffer[$0] == 13 && buffer[$0..<$0 + 4].elementsEqual(mark) })
        else { return nil }
        let text = String(decoding: buffer[..<end], as: UTF8.self).lowercased()
        guard let field = text.firstRange(of: "content-length:") else {
            throw Self.failure(port, "gave an answer of unknown length")
        }
        let digits = text[field.upperBound...].drop { $0 == " " }.prefix { $0.isNumber }
        let total = end + 4 + (Int(digits) ?? 0)
        guard total <= buffer.count else { throw Self.failure(port, "gave too long an answer") }
        return (end + 4, total)
    }

    private static func failure(_ port: Int, _ what: String) -> TrimtabError {
        TrimtabError("bench.http", "Port \(port) \(what).", remedy: "Run it again.")
    }
}
