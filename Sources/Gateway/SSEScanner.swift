package import NIOCore
import Telemetry

/// Follows a streamed answer (server-sent events) as its bytes come by, and passes on whole events unchanged.
///
/// Lines end in LF or CRLF. An unfinished event waits for its end, up to `eventLimit`; a larger one is passed on as it
/// comes and not read.
package struct SSEScanner {
    package static let eventLimit = 1 << 20

    package private(set) var facts = AnswerFacts()
    /// `[DONE]` has been seen.
    package private(set) var done = false
    /// An event had content, or a tool call.
    package private(set) var hasContent = false
    package private(set) var malformed = false
    /// Leaves out the chunk that carries nothing but the usage, since the client did not ask for it.
    private let dropsUsage: Bool
    private var pending = ByteBuffer()
    /// Bytes of `pending`, from its reader index, in which no event ends.
    private var scanned = 0
    private var oversized = false

    /// - Parameter keepsContent: whether all that is said is to be kept.
    package init(dropsUsage: Bool, keepsContent: Bool = false) {
        self.dropsUsage = dropsUsage
        facts.text = AnswerText(keepsContent: keepsContent)
    }

    /// Takes the next bytes and gives those that can go to the client; may be empty.
    package mutating func feed(_ bytes: ByteBuffer) -> ByteBuffer {
        if pending.readableBytes == 0 {
            pending = bytes
        } else {
            var bytes = bytes
            pending.writeBuffer(&bytes)
        }
        var output: ByteBuffer?
        var passed = 0
        while let end = nextEventEnd(from: passed) {
            let keep = oversized || !isDropped(pending.readerIndex + passed..<pending.readerIndex + end)
            oversized = false
            if !keep {
                // Rare, once a stream: what came before it is copied out, so that the rest can stay where it is.
                var kept = output ?? ByteBuffer()
                if let slice = pending.getSlice(at: pending.readerIndex, length: passed) {
                    kept.writeImmutableBuffer(slice)
                }
                output = kept
                pending.moveReaderIndex(forwardBy: end)
                passed = 0
            } else {
                passed = end
            }
            scanned = passed
        }
        if pending.readableBytes - passed > Self.eventLimit {
            oversized = true
            facts.text.lose()
            passed = pending.readableBytes
            scanned = passed
        }
        scanned -= passed
        guard let whole = pending.readSlice(length: passed) else { return output ?? ByteBuffer() }
        if pending.readableBytes == 0 { pending = ByteBuffer() }
        guard var joined = output else { return whole }
        joined.writeImmutableBuffer(whole)
        return joined
    }

    /// What is left when the upstream has ended in the middle of an event.
    package mutating func rest() -> ByteBuffer {
        defer { pending = ByteBuffer() }
        return pending
    }

    /// The offset just after the next blank line, from the reader index.
    private mutating func nextEventEnd(from start: Int) -> Int? {
        let from = max(start, scanned)
        let found: Int? = pending.withUnsafeReadableBytes { bytes in
            var at = from
            while at < bytes.count {
                if bytes[at] == 0x0a {
                    if at + 1 < bytes.count, bytes[at + 1] == 0x0a { return at + 2 }
                    if at + 2 < bytes.count, bytes[at + 1] == 0x0d, bytes[at + 2] == 0x0a { return at + 3 }
                }
                at += 1
            }
            return nil
        }
        // The last two bytes may be the start of a blank line.
        if found == nil { scanned = max(start, pending.readableBytes - 2) }
        return found
    }

    private mutating func isDropped(_ range: Range<Int>) -> Bool {
        guard let event = pending.getSlice(at: range.lowerBound, length: range.count) else { return false }
        return event.withUnsafeReadableBytes { bytes in
            let data = Self.data(bytes)
            switch data {
            case .none: return false
            case .one(let range): return read(UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .many(let joined): return joined.withUnsafeBytes { read($0) }
            }
        }
    }

    /// - Returns: whether the event is to be left out.
    private mutating func read(_ data: UnsafeRawBufferPointer) -> Bool {
        if data.elementsEqual("[DONE]".utf8) {
            done = true
            return false
        }
        guard let chunk = try? AnswerScanner.scan(data, chunkOf: &facts) else {
            malformed = true
            facts.text.lose()
            return false
        }
        if chunk.characters > 0 || chunk.toolCalls { hasContent = true }
        return dropsUsage && chunk.usage != nil && chunk.choices == 0
    }

    private enum EventData {
        case none
        case one(Range<Int>)
        case many([UInt8])
    }

    /// The `data` lines of one event; more than one are joined by line feeds, as the standard says.
    private static func data(_ bytes: UnsafeRawBufferPointer) -> EventData {
        var result = EventData.none
        var start = 0
        while start < bytes.count {
            var end = start
            while end < bytes.count, bytes[end] != 0x0a { end += 1 }
            let line = start..<(end > start && bytes[end - 1] == 0x0d ? end - 1 : end)
            start = end + 1
            guard line.count >= 5, bytes[line.prefix(5)].elementsEqual("data:".utf8) else { continue }
            var value = line.dropFirst(5)
            if let first = value.first, bytes[first] == 0x20 { value = value.dropFirst() }
            switch result {
            case .none: result = .one(value)
            case .one(let first): result = .many(Array(bytes[first]) + [0x0a] + Array(bytes[value]))
            case .many(let lines): result = .many(lines + [0x0a] + Array(bytes[value]))
            }
        }
        return result
    }
}
