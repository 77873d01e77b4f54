import Core
import NIOCore
import NIOHTTP1

/// Puts together the head of a message, in an array of its own: a `ByteBuffer` checks more at each write than the many
/// short pieces of a head are worth.
struct HeadWriter {
    private static let capacity = 1_024

    private var bytes: [UInt8] = []

    init(_ beginning: [UInt8] = []) {
        bytes.reserveCapacity(Self.capacity)
        bytes.append(contentsOf: beginning)
    }

    mutating func literal(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func raw(_ slice: ArraySlice<UInt8>) { bytes.append(contentsOf: slice) }

    mutating func byte(_ byte: UInt8) { bytes.append(byte) }

    /// A number of 0 or more.
    mutating func decimal(_ value: Int) {
        if value >= 10 { decimal(value / 10) }
        bytes.append(UInt8(48 + value % 10))
    }

    mutating func hex(_ value: Int) {
        if value >= 16 { hex(value >> 4) }
        bytes.append(hexDigit(UInt8(value & 15)))
    }

    /// A line: a name with its colon and space, and a value; what could end the line or is not plain text becomes `_`.
    mutating func field(_ name: StaticString, _ value: String) {
        literal(name)
        for byte in value.utf8 { bytes.append(byte >= 0x20 && byte != 0x7f ? byte : UInt8(ascii: "_")) }
        endLine()
    }

    mutating func field(_ name: StaticString, _ value: Int) {
        literal(name)
        decimal(value)
        endLine()
    }

    mutating func field(_ name: StaticString, _ value: UUIDv7) {
        literal(name)
        for index in 0..<32 {
            if index == 8 || index == 12 || index == 16 || index == 20 { bytes.append(UInt8(ascii: "-")) }
            let word = index < 16 ? value.high : value.low
            bytes.append(hexDigit(UInt8(truncatingIfNeeded: word >> (60 - 4 * UInt64(index & 15))) & 15))
        }
        endLine()
    }

    mutating func endLine() {
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
    }

    mutating func statusLine(_ status: Int) {
        guard status != 200 else { return literal("HTTP/1.1 200 OK\r\n") }
        literal("HTTP/1.1 ")
        decimal(status)
        byte(UInt8(ascii: " "))
        bytes.append(contentsOf: HTTPResponseStatus(statusCode: status).reasonPhrase.utf8)
        endLine()
    }

    /// US dollars with nine decimals.
    mutating func cost(_ cost: NanoUSD) {
        literal("x-trimtab-cost-usd: ")
        let value = Int(max(0, cost.value))
        decimal(value / 1_000_000_000)
        byte(UInt8(ascii: "."))
        var scale = 100_000_000
        while scale > 0 {
            byte(UInt8(48 + value / scale % 10))
            scale /= 10
        }
        endLine()
    }

    /// The head, with room behind it for `more` bytes.
    func buffer(more: Int = 0) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: bytes.count + more)
        buffer.writeBytes(bytes)
        return buffer
    }
}
