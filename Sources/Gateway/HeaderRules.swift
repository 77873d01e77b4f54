import NIOCore
import NIOHTTP1

/// A fixed set of header names, looked up without allocation and without regard to case.
struct HeaderSet: Sendable {
    /// By length.
    private let names: [[[UInt8]]]

    init(_ names: [String]) {
        var table = [[[UInt8]]](repeating: [], count: 1 + (names.map(\.utf8.count).max() ?? 0))
        for name in names { table[name.utf8.count].append(Array(name.utf8)) }
        self.names = table
    }

    func contains(_ name: String) -> Bool {
        let utf8 = name.utf8
        guard utf8.count < names.count else { return false }
        return names[utf8.count].contains { candidate in
            // Setting bit 5 folds letters; no header name in these sets has another byte it could confuse.
            utf8.elementsEqual(candidate) { $0 | 0x20 == $1 }
        }
    }
}

/// Which headers pass through the gateway.
enum HeaderRules {
    private static let hopByHop = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length", "http2-settings",
    ]
    /// The client's credentials and whereabouts are not the provider's business. `accept-encoding` stays here because
    /// the gateway reads the answer.
    private static let notForUpstream = HeaderSet(
        hopByHop + [
            "host", "authorization", "api-key", "x-api-key", "cookie", "expect", "accept-encoding", "content-type",
            "x-request-id", "openai-organization", "openai-project", "forwarded", "x-forwarded-for",
            "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via", "x-trimtab-session", "x-trimtab-arm",
        ])
    private static let notForClient = HeaderSet(
        hopByHop + [
            "set-cookie", "x-request-id", "x-trimtab-policy", "x-trimtab-arm", "x-trimtab-target",
            "x-trimtab-cost-usd", "alt-svc", "strict-transport-security",
        ])

    static func writeRequestHeaders(_ headers: HTTPHeaders, into buffer: inout ByteBuffer) {
        write(headers, without: notForUpstream, into: &buffer)
    }

    static func writeResponseHeaders(_ headers: HTTPHeaders, into buffer: inout ByteBuffer) {
        write(headers, without: notForClient, into: &buffer)
        if let id = headers.first(name: "x-request-id") { buffer.writeHeader("x-upstream-request-id: ", id) }
    }

    private static func write(_ headers: HTTPHeaders, without dropped: HeaderSet, into buffer: inout ByteBuffer) {
        var named: [Substring] = []
        if headers.contains(name: "connection") {
            named = headers[canonicalForm: "connection"].filter { $0.utf8.count <= 64 }
        }
        for (name, value) in headers where !dropped.contains(name) {
            if !named.isEmpty, named.contains(where: { $0.lowercased() == name.lowercased() }) { continue }
            buffer.writeString(name)
            buffer.writeStaticString(": ")
            buffer.writeHeaderValue(value)
            buffer.writeStaticString("\r\n")
        }
    }
}

extension ByteBuffer {
    /// Writes a line of a head: a name with its colon and space, and a value.
    mutating func writeHeader(_ name: StaticString, _ value: String) {
        writeStaticString(name)
        writeHeaderValue(value)
        writeStaticString("\r\n")
    }

    mutating func writeStatusLine(_ status: Int) {
        switch status {
        case 200: writeStaticString("HTTP/1.1 200 OK\r\n")
        default:
            writeStaticString("HTTP/1.1 ")
            writeDecimal(status)
            writeInteger(UInt8(ascii: " "))
            writeString(HTTPResponseStatus(statusCode: status).reasonPhrase)
            writeStaticString("\r\n")
        }
    }
}
