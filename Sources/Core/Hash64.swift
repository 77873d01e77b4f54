/// A 64-bit hash with an explicit salt, the same on every machine and in every release.
///
/// Source: xxHash, XXH64 (Yann Collet, specification version 0.2.0); the salt is its seed. Frozen by test vectors,
/// because who is in a canary and in which partition a session lives must not change with a release.
package enum Hash64 {
    private static let p1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let p2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let p3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let p4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let p5: UInt64 = 0x27D4_EB2F_1656_67C5

    package static func hash(_ text: String, salt: UInt64) -> UInt64 {
        var text = text
        return text.withUTF8 { hash(UnsafeRawBufferPointer($0), salt: salt) }
    }

    /// Maps a hash to `0..<1`, using its upper 53 bits.
    package static func unit(_ hash: UInt64) -> Double { Double(hash >> 11) * 0x1p-53 }

    package static func hash(_ bytes: UnsafeRawBufferPointer, salt: UInt64) -> UInt64 {
        var at = 0
        var state: UInt64
        if bytes.count >= 32 {
            var lanes = (salt &+ p1 &+ p2, salt &+ p2, salt, salt &- p1)
            while at + 32 <= bytes.count {
                lanes.0 = round(lanes.0, word(bytes, at))
                lanes.1 = round(lanes.1, word(bytes, at + 8))
                lanes.2 = round(lanes.2, word(bytes, at + 16))
                lanes.3 = round(lanes.3, word(bytes, at + 24))
                at += 32
            }
            state = rotate(lanes.0, 1) &+ rotate(lanes.1, 7) &+ rotate(lanes.2, 12) &+ rotate(lanes.3, 18)
            for lane in [lanes.0, lanes.1, lanes.2, lanes.3] { state = (state ^ round(0, lane)) &* p1 &+ p4 }
        } else {
            state = salt &+ p5
        }
        state = state &+ UInt64(bytes.count)
        while at + 8 <= bytes.count {
            state = rotate(state ^ round(0, word(bytes, at)), 27) &* p1 &+ p4
            at += 8
        }
        if at + 4 <= bytes.count {
            let half = UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            state = rotate(state ^ (half &* p1), 23) &* p2 &+ p3
            at += 4
        }
        while at < bytes.count {
            state = rotate(state ^ (UInt64(bytes[at]) &* p5), 11) &* p1
            at += 1
        }
        state = (state ^ (state >> 33)) &* p2
        state = (state ^ (state >> 29)) &* p3
        return state ^ (state >> 32)
    }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    private static func round(_ accumulator: UInt64, _ input: UInt64) -> UInt64 {
        rotate(accumulator &+ input &* p2, 31) &* p1
    }

    private static func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 { value << bits | value >> (64 - bits) }
}
