import CSimdJSON
import Core

/// Reads events from their wire form, checking every field: nothing that passes can hurt the stream behind it.
///
/// Not `Sendable`: one for each thread of work.
@safe package final class EventDecoder {
    /// Event times, milliseconds since the epoch: from the year 2000, so that seconds are not taken for milliseconds.
    package static let times: ClosedRange<Int64> = 946_684_800_000...253_402_300_799_999
    /// Durations, milliseconds: up to a year.
    static let durations: ClosedRange<Double> = 0...31_536_000_000
    static let mostTags = 64
    static let mostAttempts = 64

    let document = JSONDocument()
    /// The request in work; kept so that texts which come again stay in place, and behind a pointer of its own so that it
    /// is never copied. Only the reading of a request touches it, and a decoder is one thread's, so no two accesses can meet.
    let scratch: UnsafeMutablePointer<RequestRecord>
    /// Which names it holds, by field; as `JSONDocument.name` has it.
    let held: UnsafeMutablePointer<TextEnds>

    package init() {
        unsafe scratch = .allocate(capacity: 1)
        unsafe scratch.initialize(to: .blank)
        unsafe held = .allocate(capacity: RequestField.allCases.count)
        unsafe held.initialize(repeating: TextEnds(), count: RequestField.allCases.count)
    }

    deinit {
        unsafe scratch.deinitialize(count: 1)
        unsafe scratch.deallocate()
        unsafe held.deallocate()
    }

    package func decode(_ bytes: [UInt8], kind: LogEvent.Kind) throws(EventError) -> LogEvent {
        try decode(bytes, bytes.indices, kind: kind)
    }

    /// Decodes the event that lies in a part of a batch's bytes.
    package func decode(_ bytes: [UInt8], _ part: Range<Int>, kind: LogEvent.Kind) throws(EventError) -> LogEvent {
        // `withUnsafeBytes` does not carry a typed error through, so the outcome is carried as a value.
        let outcome = unsafe bytes.withUnsafeBytes { raw in
            Result { () throws(EventError) in
                unsafe try decode(UnsafeRawBufferPointer(rebasing: raw[part]), kind: kind)
            }
        }
        return try outcome.get()
    }

    /// Decodes a request and hands it to `body` where it lies, because a record is large to copy.
    package func withRequest(
        _ bytes: [UInt8], _ part: Range<Int>, _ body: (borrowing RequestRecord) -> Void
    ) throws(EventError) {
        let outcome = unsafe bytes.withUnsafeBytes { raw in
            Result { () throws(EventError) in
                unsafe try document.parse(UnsafeRawBufferPointer(rebasing: raw[part]), Self.requestSchema)
            }
        }
        try outcome.get()
        try unsafe request(into: &scratch.pointee)
        unsafe Self.lend(&scratch.pointee, to: body)
    }

    /// Read through its pointer, or inlined, the record would be copied first.
    @inline(never)
    private static func lend(_ record: inout RequestRecord, to body: (borrowing RequestRecord) -> Void) {
        body(record)
    }

    package func decode(_ bytes: UnsafeRawBufferPointer, kind: LogEvent.Kind) throws(EventError) -> LogEvent {
        switch kind {
        case .request:
            unsafe try document.parse(bytes, Self.requestSchema)
            unsafe try request(into: &scratch.pointee)
            return .request(unsafe scratch.pointee)
        case .feedback:
            unsafe try document.parse(bytes)
            return .feedback(try feedback())
        }
    }

    func feedback() throws(EventError) -> Feedback {
        var fields = KnownFields(of: JSONDocument.root, in: document, Self.feedbackFields)
        var version: Int64?
        var id: UUIDv7?, request: UUIDv7?, at: Int64?, name: String?, value: Double?, source: Feedback.Source?
        var pair: UUIDv7?, comment: String?, key: String?, producer = "", seq: Int64 = 0
        while let (field, index) = try fields.next() {
            switch field {
            case .v: version = try integer(index, 0...Int64.max, "a whole number") { fields.bad(field, $0) }
            case .id: id = try self.id(index) { fields.bad(field, $0) }
            case .request: request = try self.id(index) { fields.bad(field, $0) }
            case .pair: pair = try self.id(index) { fields.bad(field, $0) }
            case .at: at = try time(index) { fields.bad(field, $0) }
            case .name:
                name = document.name(index)
                guard name.map(Feedback.isName) == true else { throw fields.bad(field, "1 to 64 of a-z 0-9 _") }
            case .value: value = try number(index, 0...1, "a number in 0...1") { fields.bad(field, $0) }
            case .source:
                source = document.name(index).flatMap(Feedback.Source.init)
                guard source != nil else { throw fields.bad(field, "user, check, judge or outcome") }
            case .comment: comment = try text(index) { fields.bad(field, $0) }
            case .key: key = try self.name(index) { fields.bad(field, $0) }
            case .producer: producer = try self.name(index) { fields.bad(field, $0) }
            case .seq: seq = try integer(index, 0...Int64.max, "a whole number of at least 0") { fields.bad(field, $0) }
            }
        }
        try check(version, missing: fields.missing(.v))
        guard let id else { throw fields.missing(.id) }
        guard let request else { throw fields.missing(.request) }
        guard let at else { throw fields.missing(.at) }
        guard let name else { throw fields.missing(.name) }
        guard let value else { throw fields.missing(.value) }
        guard let source else { throw fields.missing(.source) }
        var feedback = Feedback(id: id, request: request, at: at, name: name, value: value, source: source)
        feedback.pair = pair
        feedback.comment = comment
        feedback.key = key
        feedback.producer = producer
        feedback.seq = seq
        return feedback
    }

    func check(_ version: Int64?, missing: @autoclosure () -> EventError) throws(EventError) {
        guard let version else { throw missing() }
        guard version == 1 else {
            throw EventError(.unsupportedVersion, "v is \(version); this release reads version 1.")
        }
    }

    enum FeedbackField: String, CaseIterable, Sendable {
        case v, id, request, at, name, value, source, pair, comment, key, producer, seq
    }
    static let feedbackFields = FieldTable<FeedbackField>()
}

// MARK: One value; `bad` makes the error from what was expected

extension EventDecoder {
    typealias Bad = (StaticString) -> EventError

    @inline(__always)
    func integer(
        _ index: Int, _ range: ClosedRange<Int64>, _ expected: StaticString, _ bad: Bad
    ) throws(EventError) -> Int64 {
        guard let value = document.integer(index), range.contains(value) else { throw bad(expected) }
        return value
    }

    /// A count: a whole number in 0...2⁴⁰.
    @inline(__always)
    func count(_ index: Int, _ bad: Bad) throws(EventError) -> Int {
        Int(try integer(index, 0...(1 << 40), "a whole number in 0...2^40", bad))
    }

    @inline(__always)
    func number(
        _ index: Int, _ range: ClosedRange<Double>, _ expected: StaticString, _ bad: Bad
    ) throws(EventError) -> Double {
        guard let value = document.number(index), range.contains(value) else { throw bad(expected) }
        return value
    }

    @inline(__always)
    func duration(_ index: Int, _ bad: Bad) throws(EventError) -> Double {
        try number(index, Self.durations, "milliseconds, at least 0 and at most a year", bad)
    }

    @inline(__always)
    func share(_ index: Int, _ bad: Bad) throws(EventError) -> Double {
        try number(index, 0...1, "a number in 0...1", bad)
    }

    @inline(__always)
    func time(_ index: Int, _ bad: Bad) throws(EventError) -> Int64 {
        try integer(index, Self.times, "milliseconds since the epoch, after 2000-01-01", bad)
    }

    @inline(__always)
    func id(_ index: Int, _ bad: Bad) throws(EventError) -> UUIDv7 {
        guard let id = document.id(index) else { throw bad("a UUID") }
        return id
    }

    @inline(__always)
    func text(_ index: Int, _ bad: Bad) throws(EventError) -> String {
        guard let text = document.string(index) else { throw bad("a text of at most 4096 bytes without U+0000") }
        return text
    }

    @inline(__always)
    func name(_ index: Int, _ bad: Bad) throws(EventError) -> String {
        guard let name = document.name(index) else { throw bad("a text of at most 256 bytes without U+0000") }
        return name
    }

    @inline(__always)
    func bool(_ index: Int, _ bad: Bad) throws(EventError) -> Bool {
        guard let value = document.bool(index) else { throw bad("true or false") }
        return value
    }
}

extension Feedback {
    /// Whether a text is a feedback name: `[a-z][a-z0-9_]{0,63}`.
    package static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, (97...122).contains(first), text.utf8.count <= 64 else { return false }
        return text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 }
    }
}
