import NIOCore
import Telemetry

/// A refusal in OpenAI's form, and what the record says of it.
struct Refusal {
    var status: Int
    var code: StaticString
    var message: String
    var param: String?
    /// OpenAI's coarse kind of error.
    var type: StaticString = "invalid_request_error"
    var error: ErrorClass = .badRequest
    /// Whether the connection ends with it, since the rest of the request is not worth reading.
    var closes = false
    /// One more header, with its line end.
    var header: StaticString?

    var body: ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeStaticString("{\"error\":{\"message\":")
        buffer.writeJSONString(message)
        buffer.writeStaticString(",\"type\":\"")
        buffer.writeStaticString(type)
        buffer.writeStaticString("\",\"param\":")
        if let param { buffer.writeJSONString(param) } else { buffer.writeStaticString("null") }
        buffer.writeStaticString(",\"code\":\"")
        buffer.writeStaticString(code)
        buffer.writeStaticString("\"}}")
        return buffer
    }
}

extension Refusal {
    static let missingKey = Refusal(
        status: 401, code: "missing_api_key",
        message: "No API key was given. Send one as 'Authorization: Bearer <key>'.", error: .auth)
    static let unknownKey = Refusal(
        status: 401, code: "invalid_api_key",
        message: "The API key is not known here. Check it, or ask an operator for a new one.", error: .auth)
    static let revokedKey = Refusal(
        status: 401, code: "revoked_api_key",
        message: "The API key has been revoked. Ask an operator for a new one.", error: .auth)
    static let slowClient = Refusal(
        status: 408, code: "request_timeout",
        message: "The request did not arrive in time. Send it again, without pauses.", error: .localLimit, closes: true)
    static let headerFlood = Refusal(
        status: 431, code: "headers_too_large", message: "The headers are larger than the gateway accepts.",
        error: .localLimit, closes: true)
    static let malformedHTTP = Refusal(
        status: 400, code: "malformed_request", message: "This is not an HTTP/1.1 request.", closes: true)
    static let tooManyConnections = Refusal(
        status: 503, code: "too_many_connections", message: "The gateway has as many connections as it accepts.",
        type: "server_error", error: .localLimit, closes: true, header: "retry-after: 1\r\n")

    static func bodyTooLarge(limit: Int) -> Refusal {
        Refusal(
            status: 413, code: "body_too_large", message: "The body is larger than the \(limit) bytes accepted here.",
            error: .localLimit, closes: true)
    }

    static func unknownRoute(_ name: String, known: [String]) -> Refusal {
        let shown = known.prefix(50).joined(separator: ", ") + (known.count > 50 ? " and \(known.count - 50) more" : "")
        let list = known.isEmpty ? "There are none yet." : "There are: \(shown)."
        return Refusal(
            status: 404, code: "model_not_found", message: "No route is named '\(name.prefix(128))'. \(list)",
            param: "model")
    }
}

extension ByteBuffer {
    /// Writes `text` as a JSON string.
    mutating func writeJSONString(_ text: String) {
        writeInteger(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                writeInteger(UInt8(ascii: "\\"))
                writeInteger(byte)
            case 0..<0x20:
                writeStaticString("\\u00")
                writeInteger(hexDigit(byte >> 4))
                writeInteger(hexDigit(byte & 15))
            default: writeInteger(byte)
            }
        }
        writeInteger(UInt8(ascii: "\""))
    }

    /// Writes a number of 0 or more in decimal.
    mutating func writeDecimal(_ value: Int) {
        if value >= 10 { writeDecimal(value / 10) }
        writeInteger(UInt8(48 + value % 10))
    }
}

@inline(__always)
func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 48 + nibble : 87 + nibble }
