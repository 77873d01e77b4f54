/// The end of an answer's text, to tell whether the model fell into a loop.
///
/// It did if the text ends in one unit of at most `longestUnit` bytes, at least `leastRepeats` times in a row without any
/// difference, over at least `leastBytes`. That is how Holtzman and others measure repetition ("The Curious Case of Neural
/// Text Degeneration", 2020): the text ends in a phrase, over and over. They ask for two repeats of three words; tables and
/// lists end like that too, so this asks for more, and for twice as much where the model ended by itself: it may have been
/// asked to write a ruler.
///
/// What differs in each round, such as a number that counts, is no loop, and neither is one that the text has left again.
/// An answer that was asked to repeat itself at length cannot be told from one that should not.
///
/// Bytes are those of the document, escapes and all. Taking them copies each at most three times; looking takes time
/// linear in `limit`, and in `longestUnit` for text that does not repeat.
package struct TextEnding: Equatable {
    /// Bytes that are looked at; up to twice as many are kept.
    package static let limit = 2_048
    package static let leastRepeats = 4
    package static let longestUnit = limit / leastRepeats
    /// Of answers that were cut off at their limit of length, and of those that ended by themselves.
    package static let leastBytes = (cut: 512, ended: 1_024)

    private var bytes: [UInt8] = []

    package init() {}

    package mutating func add(_ text: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: text.suffix(Self.limit)))
        if bytes.count > 2 * Self.limit { bytes.removeFirst(bytes.count - Self.limit) }
    }

    /// Whether it is a loop; `nil` for a text that is too short to tell.
    ///
    /// - Parameter isCut: whether the answer was cut off at its limit of length.
    package func isLoop(isCut: Bool) -> Bool? {
        let least = isCut ? Self.leastBytes.cut : Self.leastBytes.ended
        let count = min(bytes.count, Self.limit)
        guard count >= least else { return nil }
        return bytes.withUnsafeBufferPointer { bytes in
            // Backwards, so that every prefix is an end of the text: the border of each (Knuth, Morris and Pratt, "Fast
            // pattern matching in strings", 1977) gives its shortest period.
            func byte(_ index: Int) -> UInt8 { bytes[bytes.count &- 1 &- index] }
            var borders = [Int16](repeating: 0, count: count)
            var border = 0
            for index in 1..<count {
                while border > 0, byte(index) != byte(border) { border = Int(borders[border &- 1]) }
                if byte(index) == byte(border) { border &+= 1 }
                borders[index] = Int16(truncatingIfNeeded: border)
                let length = index &+ 1
                let period = length &- border
                // A longer end has no shorter period.
                if period > Self.longestUnit { return false }
                if length >= least, length >= Self.leastRepeats &* period { return true }
            }
            return false
        }
    }
}
