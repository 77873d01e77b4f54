import Core
import Foundation
import Hummingbird
import NIOCore

/// Makes responses.
enum Answer {
    static func json(_ value: some Encodable, status: Int = 200) -> Response {
        // What is answered is made of our own types, whose numbers are finite; should one not be, the client sees `null`.
        let bytes = (try? encode(value)) ?? Data("null".utf8)
        return Response(
            status: .init(code: status), headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// A single resource with its entity tag; 304 when the client has it already.
    static func resource(_ value: some Encodable, for call: Call) -> Response {
        let bytes = (try? encode(value)) ?? Data("null".utf8)
        return tagged(Array(bytes), type: "application/json", for: call)
    }

    static func tagged(_ bytes: [UInt8], type: String, for call: Call) -> Response {
        let hash = bytes.withUnsafeBytes { Hash64.hash($0, salt: 0) }
        let tag = "\"\(String(hash, radix: 16))\""
        let asked = call.header("If-None-Match")?.split(separator: ",").map { $0.trimming(while: { $0 == " " }) } ?? []
        let headers: HTTPFields = [.contentType: type, .eTag: tag, .cacheControl: "no-cache"]
        if asked.contains(where: { $0 == tag || $0 == "W/" + tag || $0 == "*" }) {
            return Response(status: .notModified, headers: [.eTag: tag, .cacheControl: "no-cache"])
        }
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    static func text(_ text: String, type: String = "text/plain; charset=utf-8") -> Response {
        Response(status: .ok, headers: [.contentType: type], body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    static var empty: Response { Response(status: .noContent) }

    static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }
}

extension Substring {
    func trimming(while matches: (Character) -> Bool) -> Substring {
        var rest = drop(while: matches)
        while let last = rest.last, matches(last) { rest.removeLast() }
        return rest
    }
}

/// Keeps browsers from running, framing or guessing anything that this port serves.
enum SecurityHeaders {
    /// The page runs and styles itself from its own files only, and talks to nobody else.
    static let page =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    static func add(to response: inout Response) {
        func set(_ name: String, _ value: String) {
            if let name = HTTPFields.Element.Name(name), response.headers[name] == nil {
                response.headers[name] = value
            }
        }
        let isPage = response.headers[.contentType]?.hasPrefix("text/html") == true
        set("Content-Security-Policy", isPage ? page : "default-src 'none'; frame-ancestors 'none'")
        set("X-Content-Type-Options", "nosniff")
        set("X-Frame-Options", "DENY")
        set("Referrer-Policy", "no-referrer")
        set("Cross-Origin-Opener-Policy", "same-origin")
        set("Cross-Origin-Resource-Policy", "same-origin")
        set("Cache-Control", "no-store")
    }
}
