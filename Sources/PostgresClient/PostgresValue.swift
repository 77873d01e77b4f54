/// A parameter as it goes to the server: in the text format, or as bytes.
package enum PostgresValue: Sendable, Equatable {
    case null
    case text(String)
    case bytes([UInt8])

    /// The text form, as it stands inside an array literal or a COPY field; `nil` is NULL.
    var text: String? {
        switch self {
        case .null: nil
        case .text(let text): text
        case .bytes(let bytes): "\\x" + hexadecimal(bytes)
        }
    }
}

/// A type that can be a parameter.
package protocol PostgresEncodable: Sendable {
    var postgresValue: PostgresValue { get }
}

extension String: PostgresEncodable {
    /// U+0000 cannot be in a text value; it becomes U+FFFD, the sign of an unreadable character.
    package var postgresValue: PostgresValue {
        .text(utf8.contains(0) ? String(map { $0 == "\0" ? "\u{fffd}" : $0 }) : self)
    }
}
extension Int: PostgresEncodable {
    package var postgresValue: PostgresValue { .text(String(self)) }
}
extension Int64: PostgresEncodable {
    package var postgresValue: PostgresValue { .text(String(self)) }
}
/// For `numeric(20)`: `bigint` is too small for half of the values.
extension UInt64: PostgresEncodable {
    package var postgresValue: PostgresValue { .text(String(self)) }
}
extension Double: PostgresEncodable {
    package var postgresValue: PostgresValue { .text(description) }
}
extension Bool: PostgresEncodable {
    package var postgresValue: PostgresValue { .text(self ? "t" : "f") }
}
/// Bytes are a `bytea`; any other array is a `PostgresArray`.
extension Array: PostgresEncodable where Element == UInt8 {
    package var postgresValue: PostgresValue { .bytes(self) }
}
extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    package var postgresValue: PostgresValue { self?.postgresValue ?? .null }
}

/// A one-dimensional array parameter, for `unnest($1::bigint[])`: many rows in one statement.
package struct PostgresArray: PostgresEncodable {
    package let postgresValue: PostgresValue

    package init(_ elements: [some PostgresEncodable]) {
        // In bytes: the stream's checkpoints pass megabytes through here each second.
        let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
        var literal = [UInt8(ascii: "{")]
        for index in elements.indices {
            if index > 0 { literal.append(UInt8(ascii: ",")) }
            switch elements[index].postgresValue {
            case .null: literal += "NULL".utf8
            case .bytes(let bytes):
                literal += [quote, backslash, backslash, UInt8(ascii: "x")]
                appendHexadecimal(bytes, to: &literal)
                literal.append(quote)
            case .text(let text):
                literal.append(quote)
                appendEscaped(text, to: &literal) { $0 == quote || $0 == backslash ? $0 : nil }
                literal.append(quote)
            }
        }
        literal.append(UInt8(ascii: "}"))
        postgresValue = .text(String(decoding: literal, as: UTF8.self))
    }
}

/// Rows for `COPY … FROM STDIN`, in COPY's text format.
package struct CopyRows: Sendable {
    package private(set) var bytes: [UInt8] = []
    package private(set) var count = 0

    package init() {}

    package mutating func append(_ fields: [any PostgresEncodable]) {
        for (index, field) in fields.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "\t")) }
            append(field.postgresValue.text)
        }
        bytes.append(UInt8(ascii: "\n"))
        count += 1
    }

    private mutating func append(_ field: String?) {
        guard let field else { return bytes += [UInt8(ascii: "\\"), UInt8(ascii: "N")] }
        appendEscaped(field, to: &bytes) { byte in
            switch byte {
            case UInt8(ascii: "\\"): byte
            case UInt8(ascii: "\t"): UInt8(ascii: "t")
            case UInt8(ascii: "\n"): UInt8(ascii: "n")
            case UInt8(ascii: "\r"): UInt8(ascii: "r")
            default: nil
            }
        }
    }
}

/// - Parameter escape: What follows the backslash that stands for a byte; `nil` where the byte stands for itself.
@inline(__always)
private func appendEscaped(_ text: String, to bytes: inout [UInt8], _ escape: (UInt8) -> UInt8?) {
    // Hardly any text has such a byte, so it goes in whole.
    guard text.utf8.contains(where: { escape($0) != nil }) else { return bytes += text.utf8 }
    for byte in text.utf8 {
        guard let escaped = escape(byte) else {
            bytes.append(byte)
            continue
        }
        bytes += [UInt8(ascii: "\\"), escaped]
    }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    appendHexadecimal(bytes, to: &text)
    return String(decoding: text, as: UTF8.self)
}

private let hexadecimalDigits = Array("0123456789abcdef".utf8)

private func appendHexadecimal(_ bytes: [UInt8], to text: inout [UInt8]) {
    let digits = hexadecimalDigits
    text += unsafe [UInt8](unsafeUninitializedCapacity: 2 * bytes.count) { buffer, count in
        for place in bytes.indices {
            unsafe buffer[2 * place] = digits[Int(bytes[place] >> 4)]
            unsafe buffer[2 * place + 1] = digits[Int(bytes[place] & 15)]
        }
        count = 2 * bytes.count
    }
}
