package import NIOCore

/// Reads the HTTP/1.x messages of one side of a connection from its bytes, as RFC 9112 frames them.
///
/// Takes bytes as they come and gives parts as far as they are whole; what has not been asked for stays in it.
package struct HTTPReader {
    package enum Part {
        case head(HTTPHead)
        case body(ByteBuffer)
        case end
    }

    private enum State {
        /// The bytes before this offset hold no end of a head.
        case head(searched: Int)
        case fixed(left: Int)
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailers(left: Int)
        case untilClose
        case end
    }

    /// The longest line with a chunk's size, its extensions included.
    private static let chunkLineLimit = 1_024

    private let isResponse: Bool
    /// Bytes of a head with its start line, and of trailers.
    private let headLimit: Int
    private var buffer = ByteBuffer()
    private var state = State.head(searched: 0)

    package init(isResponse: Bool, headLimit: Int) {
        self.isResponse = isResponse
        self.headLimit = headLimit
    }

    /// Whether all bytes have been used.
    package var isEmpty: Bool { buffer.readableBytes == 0 }

    /// Whether the end of the connection is the regular end of the message.
    package var endsWithConnection: Bool {
        if case .untilClose = state { true } else { false }
    }

    package mutating func append(_ bytes: ByteBuffer) {
        if isEmpty {
            buffer = bytes
        } else {
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// The next part, or `nil` until more bytes have come.
    package mutating func next() throws(HTTPFault) -> Part? {
        while true {
            switch state {
            case .head(let searched):
                guard let head = try head(searched) else { return nil }
                if try begin(head) { return .head(head) }
            case .fixed(let left):
                guard let slice = take(left) else { return nil }
                state = slice.readableBytes == left ? .end : .fixed(left: left - slice.readableBytes)
                return .body(slice)
            case .chunk(let left):
                guard let slice = take(left) else { return nil }
                state = slice.readableBytes == left ? .chunkEnd : .chunk(left: left - slice.readableBytes)
                return .body(slice)
            case .untilClose: return take(.max).map(Part.body)
            case .chunkSize:
                guard let line = try line(limit: Self.chunkLineLimit) else { return nil }
                let size = try Self.chunkSize(line)
                state = size == 0 ? .trailers(left: headLimit) : .chunk(left: size)
            case .chunkEnd:
                guard let line = try line(limit: 2) else { return nil }
                guard line.readableBytes == 0 else { throw .malformed }
                state = .chunkSize
            case .trailers(let left):
                // They say nothing that anybody here acts on, and are not passed on.
                guard let line = try line(limit: left) else { return nil }
                state = line.readableBytes == 0 ? .end : .trailers(left: left - line.readableBytes - 2)
            case .end:
                state = .head(searched: 0)
                // Lets the socket's buffer be used again.
                if isEmpty { buffer = ByteBuffer() }
                return .end
            }
        }
    }

    /// Up to `count` bytes, `nil` if there are none.
    private mutating func take(_ count: Int) -> ByteBuffer? {
        isEmpty ? nil : buffer.readSlice(length: min(count, buffer.readableBytes))
    }

    // MARK: Heads

    private mutating func head(_ searched: Int) throws(HTTPFault) -> HTTPHead? {
        var searched = searched
        // Old clients send an empty line after a body (RFC 9112, section 2.2).
        while !isResponse, let byte = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self), byte == 13 {
            guard buffer.readableBytes >= 2 else { return nil }
            guard buffer.getInteger(at: buffer.readerIndex + 1, as: UInt8.self) == 10 else { throw .malformed }
            buffer.moveReaderIndex(forwardBy: 2)
            searched = 0
        }
        guard let first = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) else { return nil }
        // What does not begin like a message need not be waited for.
        guard isResponse ? first == UInt8(ascii: "H") : (0x41...0x5a).contains(first) else { throw .malformed }
        let end = try buffer.withUnsafeReadableBytes { bytes throws(HTTPFault) -> Int? in
            for at in searched..<bytes.count where bytes[at] == 10 {
                guard at > 0, bytes[at - 1] == 13 else { throw .malformed }
                if at >= 3, bytes[at - 2] == 10 { return at + 1 }
            }
            return nil
        }
        guard (end ?? buffer.readableBytes) <= headLimit else { throw .tooLarge }
        guard let end, let bytes = buffer.readBytes(length: end) else {
            state = .head(searched: buffer.readableBytes)
            return nil
        }
        return try HTTPHead(bytes, isResponse: isResponse)
    }

    /// Decides how the body ends (RFC 9112, section 6.3).
    ///
    /// - Returns: `false` for an interim answer, which is passed over.
    private mutating func begin(_ head: HTTPHead) throws(HTTPFault) -> Bool {
        if case .response(let status) = head.start {
            // Nobody has asked for another protocol.
            if status == 101 { throw .malformed }
            if status < 200 {
                state = .head(searched: 0)
                return false
            }
            if status == 204 || status == 304 {
                state = .end
                return true
            }
        }
        if head.isChunked {
            state = .chunkSize
        } else if let length = head.length {
            state = length == 0 ? .end : .fixed(left: length)
        } else {
            state = isResponse ? .untilClose : .end
        }
        return true
    }

    // MARK: Chunks

    /// A line without its end.
    private mutating func line(limit: Int) throws(HTTPFault) -> ByteBuffer? {
        guard let end = buffer.readableBytesView.prefix(limit).firstIndex(of: 10) else {
            guard buffer.readableBytes < limit else { throw .malformed }
            return nil
        }
        let length = end - buffer.readerIndex + 1
        guard length >= 2, buffer.getInteger(at: end - 1, as: UInt8.self) == 13,
            let line = buffer.readSlice(length: length - 2)
        else { throw .malformed }
        buffer.moveReaderIndex(forwardBy: 2)
        return line
    }

    private static func chunkSize(_ line: ByteBuffer) throws(HTTPFault) -> Int {
        var (size, digits) = (0, 0)
        for byte in line.readableBytesView {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46, 0x61...0x66: digit = (byte | 0x20) - 0x61 + 10
            // Extensions are passed over.
            case UInt8(ascii: ";") where digits > 0, 0x20 where digits > 0, 0x09 where digits > 0: return size
            default: throw .malformed
            }
            digits += 1
            // Fifteen digits stay far below what an Int holds.
            guard digits <= 15 else { throw .malformed }
            size = size << 4 | Int(digit)
        }
        guard digits > 0 else { throw .malformed }
        return size
    }
}
