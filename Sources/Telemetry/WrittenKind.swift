import Foundation

extension LogEvent.Kind {
    /// The kind of an event that begins as `EventEncoder` writes it; `nil` for any other, however good.
    ///
    /// It spares a reader of Kafka the record's headers, which cost it as much as fetching the record. Only the beginning is
    /// looked at: whether the event can be read is the decoder's to say.
    package init?(written event: UnsafeRawBufferPointer) {
        var place = 0
        func passes(_ text: StaticString) -> Bool {
            guard event.count - place >= text.utf8CodeUnitCount, let base = event.baseAddress,
                unsafe memcmp(base + place, text.utf8Start, text.utf8CodeUnitCount) == 0
            else { return false }
            place += text.utf8CodeUnitCount
            return true
        }
        /// Up to the quote that ends it.
        func passesText(_ length: Int) -> Bool {
            place += length
            return passes("\"")
        }
        func passesText() -> Bool {
            guard let base = event.baseAddress else { return false }
            let text = unsafe base + place
            guard let quote = unsafe memchr(text, Int32(UInt8(ascii: "\"")), event.count - place) else { return false }
            let length = unsafe UnsafeRawPointer(quote) - text
            return unsafe memchr(text, Int32(UInt8(ascii: "\\")), length) == nil && passesText(length)
        }
        // An id has 36 characters. What is none after all is the decoder's to refuse, whichever kind it has.
        guard passes(#"{"v":1,"id":""#), passesText(36) else { return nil }
        if passes(#","producer":""#), !passesText() { return nil }
        if passes(#","seq":"#) {
            let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
            while place < event.count, unsafe digits.contains(event[place]) { place += 1 }
        }
        if passes(#","at":"#) {
            self = .request
        } else if passes(#","request":"#) {
            self = .feedback
        } else {
            return nil
        }
    }
}
