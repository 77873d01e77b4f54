import CZlib

/// Why compressed bytes cannot be had back.
package enum GzipError: Error, Sendable, Equatable {
    case malformed
    /// More than the limit would come out.
    case tooLarge
}

/// Reads gzip (RFC 1952), with a bound on what comes out: a few kilobytes can stand for gigabytes.
package enum Gzip {
    private static let step = 64 * 1024
    /// Window of 2¹⁵ bytes, and 16 for a gzip header.
    private static let windowBits: Int32 = 15 + 16

    package static func inflate(_ bytes: [UInt8], limit: Int) throws(GzipError) -> [UInt8] {
        guard let count = UInt32(exactly: bytes.count) else { throw .tooLarge }
        // In a place of its own, because zlib remembers where it is.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        defer { unsafe stream.deallocate() }
        guard unsafe inflateInit2_(stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .malformed
        }
        defer { unsafe inflateEnd(stream) }
        var input = bytes
        // `withUnsafe…` does not carry a typed error through, so the outcome is carried as a value.
        let outcome = unsafe input.withUnsafeMutableBufferPointer { buffer in
            unsafe stream.pointee.next_in = buffer.baseAddress
            unsafe stream.pointee.avail_in = count
            return Result { () throws(GzipError) in unsafe try drain(stream, limit: limit) }
        }
        return try outcome.get()
    }

    private static func drain(_ stream: UnsafeMutablePointer<z_stream>, limit: Int) throws(GzipError) -> [UInt8] {
        var output: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: step)
        while true {
            let (code, made) = unsafe piece.withUnsafeMutableBufferPointer { buffer in
                unsafe stream.pointee.next_out = buffer.baseAddress
                unsafe stream.pointee.avail_out = UInt32(buffer.count)
                let code = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
                return (code, buffer.count - Int(unsafe stream.pointee.avail_out))
            }
            guard output.count + made <= limit else { throw .tooLarge }
            output += piece[..<made]
            switch code {
            case Z_STREAM_END:
                if unsafe stream.pointee.avail_in == 0 { return output }
                // Another member follows.
                guard unsafe inflateReset(stream) == Z_OK else { throw .malformed }
            // Without progress it is cut off.
            case Z_OK: if made == 0, unsafe stream.pointee.avail_in == 0 { throw .malformed }
            default: throw .malformed
            }
        }
    }
}
