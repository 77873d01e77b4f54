package import Telemetry
import Core

/// Hashes a prompt's text where the scanner finds it, so that equal and similar prompts are told apart and nobody can read
/// them: salted, in a few words of memory, whatever the length.
///
/// The text is hashed as it stands in the document, escapes and all: who sends a prompt again sends it the same way.
package struct PromptFingerprint {
    /// Bytes of text in which words are looked for.
    package static let textLimit = 16 << 10
    /// Bytes of the beginning, some 1,024 tokens: what providers cache at least.
    package static let prefixBytes = 4_096
    /// Shorter words, most of which every text has, say nothing of its kind; in bytes.
    package static let kindWordBytes: UInt64 = 4

    private let salt: UInt64
    private var prefix: UInt64
    private var prefixRead = 0
    private var textRead = 0
    /// Hashes of the last three words, the latest first.
    private var recent: (UInt64, UInt64, UInt64) = (0, 0, 0)
    private var words = 0
    /// The smallest hash of a shingle.
    private var least = UInt64.max
    /// For each bit of the kind, how many words have it set: 21 bits each, three to a number.
    private var votes: (UInt64, UInt64) = (0, 0)
    private var voters: UInt64 = 0

    /// - Parameter salt: The installation's own, so that hashes of known texts cannot be prepared.
    package init(salt: UInt64) {
        self.salt = salt
        prefix = salt &+ 1
    }

    /// Adds a piece of text.
    package mutating func add(_ text: UnsafeRawBufferPointer) {
        if prefixRead < Self.prefixBytes {
            let piece = UnsafeRawBufferPointer(rebasing: text.prefix(Self.prefixBytes - prefixRead))
            prefix = Hash64.hash(piece, salt: prefix)
            prefixRead += piece.count
        }
        guard textRead < Self.textLimit else { return }
        let piece = UnsafeRawBufferPointer(rebasing: text.prefix(Self.textLimit - textRead))
        textRead += piece.count
        readWords(piece)
    }

    /// - Parameter messages: The whole array of messages: two prompts are the same if all of it is.
    package func features(messages: UnsafeRawBufferPointer) -> PromptFeatures {
        let shortest = recent.0 &* Self.odd.0 &+ recent.1 &* Self.odd.1 &+ recent.2 &* Self.odd.2
        let template = mix(words < 4 ? shortest : least, salt)
        var kind: UInt8 = 0
        for bit in 0..<UInt64(6) {
            let count = (bit < 3 ? votes.0 : votes.1) >> (bit % 3 * 21) & 0x1f_ffff
            if count * 2 > voters { kind |= 1 << UInt8(bit) }
        }
        return PromptFeatures(
            exact: Hash64.hash(messages, salt: salt), template: UInt32(truncatingIfNeeded: template >> 32),
            prefix: prefixRead < Self.prefixBytes ? nil : prefix, kind: kind)
    }

    // MARK: Words

    /// What a byte is for words: itself, a letter in lower case; or one of these.
    private enum Symbol {
        static let separator: UInt8 = 0
        static let digit: UInt8 = 1
        static let escape: UInt8 = 2
    }

    private static let symbols: [UInt8] = (0...255).map { byte in
        switch UInt8(byte) {
        case 48...57: Symbol.digit
        case UInt8(ascii: "\\"): Symbol.escape
        case 65...90: UInt8(byte) | 0x20
        // Bytes of other scripts are letters.
        case 97...122, 128...255: UInt8(byte)
        default: Symbol.separator
        }
    }

    /// No word goes over from one piece to the next.
    private mutating func readWords(_ text: UnsafeRawBufferPointer) {
        Self.symbols.withUnsafeBufferPointer { symbols in
            var word = Word()
            var at = 0
            while at < text.count {
                let symbol = symbols[Int(text[at])]
                at &+= 1
                if symbol > Symbol.escape {
                    word.take(symbol)
                } else if symbol == Symbol.separator {
                    end(&word)
                } else if symbol == Symbol.digit {
                    // A number is one symbol, however long.
                    while at < text.count, symbols[Int(text[at])] == Symbol.digit { at &+= 1 }
                    word.take(symbol)
                } else if at < text.count, text[at] == UInt8(ascii: "u") {
                    // The digits of \u… name a letter and are no number.
                    for byte in text[at..<min(at + 5, text.count)] { word.take(byte) }
                    at = min(at + 5, text.count)
                } else {
                    end(&word)
                    at &+= 1
                }
            }
            end(&word)
        }
    }

    /// A word in work.
    private struct Word {
        var hash: UInt64 = 0
        var bytes: UInt64 = 0

        @inline(__always)
        mutating func take(_ symbol: UInt8) {
            hash = (hash &<< 9 | hash &>> 55) ^ UInt64(symbol)
            bytes &+= 1
        }
    }

    private static let odd: (UInt64, UInt64, UInt64) = (
        0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9
    )

    @inline(__always)
    private mutating func end(_ word: inout Word) {
        guard word.bytes > 0 else { return }
        add(word)
        word = Word()
    }

    private mutating func add(_ word: Word) {
        let hash = mix(word.hash ^ word.bytes &<< 56, salt)
        if word.bytes >= Self.kindWordBytes {
            // SimHash (Charikar, "Similarity estimation techniques from rounding algorithms", 2002), six bits of it: three
            // bits to a number, for which there is room since there are at most 2^14 words.
            votes.0 &+= Self.spread(hash)
            votes.1 &+= Self.spread(hash &>> 3)
            voters &+= 1
        }
        words &+= 1
        if words >= 4 {
            // MinHash (Broder, "On the resemblance and containment of documents", 1997): the shingle of this word and
            // the three before it.
            let shingle = hash &+ recent.0 &* Self.odd.0 &+ recent.1 &* Self.odd.1 &+ recent.2 &* Self.odd.2
            least = min(least, mix(shingle, salt))
        }
        recent = (hash, recent.0, recent.1)
    }

    /// The lowest three bits, 21 apart.
    @inline(__always)
    private static func spread(_ bits: UInt64) -> UInt64 { bits & 1 | (bits & 2) &<< 20 | (bits & 4) &<< 40 }

    /// Spreads a number over all bits: both halves of a product.
    @inline(__always)
    private func mix(_ value: UInt64, _ salt: UInt64) -> UInt64 {
        let product = (value ^ salt).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        let folded = product.high ^ product.low
        return (folded ^ folded &>> 32) &* 0xE703_7ED1_A0B4_28DB ^ folded &>> 29
    }
}
