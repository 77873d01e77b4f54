/// What is kept of a prompt's text: hashes, from which equal and similar prompts are told, and the text is not.
///
/// The wire form is 32 hex digits in lower case: 12 of `exact`, 8 of `template`, 10 of `prefix`, 2 of `kind`.
package struct PromptFeatures: Sendable, Hashable {
    /// Where the fields meet: `exact`, then the upper half of `template`.
    private let high: UInt64
    /// The lower half of `template`, then `prefix` and `kind`.
    private let low: UInt64

    /// Of higher bits than a field has nothing is kept.
    ///
    /// - Parameters:
    ///   - exact: 48 bits, of all messages.
    ///   - template: One MinHash: two prompts share it as often as they share their words.
    ///   - prefix: 40 bits of the beginning; `nil` for a text too short to be worth a provider's cache.
    ///   - kind: A SimHash of the words: prompts of a similar vocabulary have the same or one near it.
    package init(exact: UInt64, template: UInt32, prefix: UInt64?, kind: UInt8) {
        high = exact << 16 | UInt64(template >> 16)
        // 0 says that there is none, so that a hash of 0 becomes 1.
        let beginning = prefix.map { max(1, $0 & Self.prefixMask) } ?? 0
        low = UInt64(template & 0xffff) << 48 | beginning << 8 | UInt64(kind)
    }

    private static let prefixMask: UInt64 = (1 << 40) - 1

    package var exact: UInt64 { high >> 16 }
    package var template: UInt32 { UInt32(truncatingIfNeeded: high << 16 | low >> 48) }
    package var prefix: UInt64? {
        let prefix = low >> 8 & Self.prefixMask
        return prefix == 0 ? nil : prefix
    }
    package var kind: UInt8 { UInt8(truncatingIfNeeded: low) }
}

// MARK: Hex digits

extension PromptFeatures {
    /// `nil` unless it is 32 hex digits in lower case.
    package init?(hex: String) {
        var hex = hex
        guard let features = hex.withUTF8({ unsafe PromptFeatures(utf8: $0) }) else { return nil }
        self = features
    }

    init?(utf8: UnsafeBufferPointer<UInt8>) {
        guard utf8.count == 32 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for index in 0..<32 {
            let digit: UInt8
            switch unsafe utf8[index] {
            case let byte where (48...57).contains(byte): digit = byte - 48
            case let byte where (97...102).contains(byte): digit = byte - 87
            default: return nil
            }
            if index < 16 { words.0 = words.0 << 4 | UInt64(digit) } else { words.1 = words.1 << 4 | UInt64(digit) }
        }
        (high, low) = words
    }

    package var hex: String { Self.digits(high, 16) + Self.digits(low, 16) }
    /// The fields by themselves, as the wire form has them.
    package var exactHex: String { Self.digits(exact, 12) }
    package var templateHex: String { Self.digits(UInt64(template), 8) }
    package var prefixHex: String? { prefix.map { Self.digits($0, 10) } }
    package var kindHex: String { Self.digits(UInt64(kind), 2) }

    private static func digits(_ value: UInt64, _ count: Int) -> String {
        unsafe String(unsafeUninitializedCapacity: count) { digits in
            for index in 0..<count {
                let nibble = UInt8(truncatingIfNeeded: value >> UInt64(4 * (count - 1 - index))) & 15
                unsafe digits[index] = nibble < 10 ? 48 + nibble : 87 + nibble
            }
            return count
        }
    }
}
