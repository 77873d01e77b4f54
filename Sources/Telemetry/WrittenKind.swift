import Foundation

extension LogEvent.Kind {
    /// The kind of an event that begins as `EventEncoder` writes it; `nil` for any other, however good.
    ///
    /// It spares a reader of Kafka the record's headers, which cost it as much as fetching the record. Only the beginning is
    /// looked at: whether the event can be read is the decoder's to say.
    package init?(written event: UnsafeRawBufferPointer) {
        var rest = unsafe Unread(event)
        // An id has 36 characters. What is none after all is the decoder's to refuse, whichever kind it has.
        guard rest.passes(#"{"v":1,"id":""#), rest.passes(36), rest.passes("\"") else { return nil }
        if rest.passes(#","producer":""#), !rest.passesText() { return nil }
        if rest.passes(#","seq":"#) { rest.passDigits() }
        if rest.passes(#","at":"#) {
            self = .request
        } else if rest.passes(#","request":"#) {
            self = .feedback
        } else {
            return nil
        }
    }
}

/// What of an event was not passed yet.
///
/// A value with methods, since variables that local functions share are watched by the runtime at every access.
@safe private struct Unread {
    private var bytes: Slice<UnsafeRawBufferPointer>

    init(_ event: UnsafeRawBufferPointer) { unsafe bytes = event[...] }

    mutating func passes(_ count: Int) -> Bool {
        guard unsafe bytes.count >= count else { return false }
        unsafe bytes.removeFirst(count)
        return true
    }

    mutating func passes(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard unsafe bytes.count >= count, let base = unsafe bytes.base.baseAddress,
            unsafe memcmp(base + bytes.startIndex, text.utf8Start, count) == 0
        else { return false }
        return passes(count)
    }

    /// Up to and past the quote that ends a text; false where there is none, or a backslash before it.
    mutating func passesText() -> Bool {
        guard let end = unsafe bytes.firstIndex(where: { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) else {
            return false
        }
        return unsafe passes(end - bytes.startIndex) && passes("\"")
    }

    mutating func passDigits() {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        unsafe bytes = bytes.drop { digits.contains($0) }
    }
}
