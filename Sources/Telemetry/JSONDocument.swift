import CSimdJSON
import Core

/// A parsed JSON document; the values of one parse are gone with the next.
///
/// A value is named by its place on the tape that the parser writes. Not `Sendable`: one for each thread of work. The
/// pointers it holds are its own and are freed with it, or its parser's, which replaces what they lead to at the next parse.
@safe package final class JSONDocument {
    /// What a document may be; one past a bound is refused.
    struct Limits: Sendable {
        var bytes: Int
        var nesting: Int
        /// What the document is called in messages.
        var name: StaticString

        /// A record of ours is a few hundred bytes.
        static let event = Limits(bytes: 256 * 1024, nesting: 16, name: "event")
        /// Many spans, and texts in them that we do not read.
        static let export = Limits(bytes: 64 << 20, nesting: 64, name: "export")
    }

    /// Longer texts are refused, in bytes.
    static let longestText = 4096
    /// Longer names are refused, in bytes: they become keys of indexes, which PostgreSQL bounds.
    static let longestName = 256
    /// The document itself, an object.
    package static let root = 0

    private let limits: Limits
    private let parser: OpaquePointer
    /// A document is one thread's, and only `parse` replaces them: no two accesses can meet.
    @exclusivity(unchecked) private var tape: UnsafePointer<UInt64>
    @exclusivity(unchecked) private var bytes: UnsafePointer<UInt8>
    /// What stands for a tape before the first parse: `null`.
    private let blank: UnsafeMutablePointer<UInt64>
    /// Where the fields of a schema are.
    private let fields: UnsafeMutablePointer<UInt32>
    /// Touched by `name` alone, and a document is one thread's, so no two accesses can meet.
    @exclusivity(unchecked) private var interner = StringInterner()

    package convenience init() { self.init(limits: .event) }

    init(limits: Limits) {
        self.limits = limits
        unsafe parser = tt_json_parser_make(limits.bytes, limits.nesting)
        unsafe blank = .allocate(capacity: Self.root + 1)
        unsafe blank.initialize(repeating: UInt64(TT_JSON_NULL) << 56, count: Self.root + 1)
        unsafe tape = UnsafePointer(blank)
        unsafe bytes = UnsafePointer(UnsafeRawPointer(blank).assumingMemoryBound(to: UInt8.self))
        unsafe fields = .allocate(capacity: Int(TT_JSON_MOST_FIELDS))
        unsafe fields.initialize(repeating: 0, count: Int(TT_JSON_MOST_FIELDS))
    }

    deinit {
        unsafe fields.deallocate()
        unsafe blank.deallocate()
        unsafe tt_json_parser_free(parser)
    }

    /// Parses a document that must be an object.
    package func parse(_ bytes: UnsafeRawBufferPointer) throws(EventError) {
        _ = unsafe try parse(bytes, nil)
    }

    /// Parses a document that must be an object, and finds the fields of a schema on the way.
    ///
    /// - Throws: also for a field that is given twice.
    package func parse<Field>(
        _ bytes: UnsafeRawBufferPointer, _ schema: DocumentSchema<Field>
    ) throws(EventError) {
        if let repeated = unsafe try parse(bytes, schema.pointer) {
            throw EventError(.repeatedField, "\(Field.paths[repeated]) is given twice.")
        }
    }

    /// - Returns: the number of a field that is given twice.
    private func parse(_ bytes: UnsafeRawBufferPointer, _ schema: OpaquePointer?) throws(EventError) -> Int? {
        var document = unsafe tt_json_document()
        var repeated: UInt32 = 0
        let start = unsafe bytes.bindMemory(to: UInt8.self).baseAddress
        let result = unsafe tt_json_parse(parser, schema, start, bytes.count, &document, fields, &repeated)
        switch Int(result) {
        case TT_JSON_OK: break
        case TT_JSON_REPEATED: return Int(repeated)
        case TT_JSON_TOO_DEEP: throw malformed("is nested deeper than \(limits.nesting) levels")
        case TT_JSON_TOO_LONG: throw malformed("is longer than \(limits.bytes) bytes")
        case TT_JSON_NO_MEMORY: throw malformed("could not be parsed for want of memory")
        case TT_JSON_NO_OBJECT: throw malformed("is not a JSON object")
        default: throw malformed("is not JSON")
        }
        if let tape = unsafe document.tape, let start = unsafe document.bytes {
            unsafe self.tape = tape
            unsafe self.bytes = start
        }
        return nil
    }

    private func malformed(_ what: String) -> EventError {
        EventError(.malformedJSON, "The \(limits.name) \(what).")
    }

    // MARK: Places

    /// Where a field of the schema that was parsed with is; `nil` where it is absent or null.
    @inline(__always)
    package func index<Field: DocumentField>(of field: Field) -> Int? {
        let index = Int(unsafe fields[field.rawValue])
        return index == 0 ? nil : index
    }

    /// The values of an object's fields, whose names are before them, or of an array's elements; none for other types.
    package func values(of container: Int) -> Values { Values(document: self, container) }

    package struct Values: Sequence, IteratorProtocol {
        private let document: JSONDocument
        private var at: Int
        private let end: Int
        /// Words of a name before each value.
        private let name: Int

        fileprivate init(document: JSONDocument, _ container: Int) {
            self.document = document
            let type = document.type(container)
            name = type == TT_JSON_OBJECT ? 1 : 0
            at = container + 1
            end = type == TT_JSON_OBJECT || type == TT_JSON_ARRAY ? document.after(container) : at
        }

        package mutating func next() -> Int? {
            guard at < end else { return nil }
            let value = at + name
            at = document.after(value)
            return value
        }
    }

    /// The place behind a value and all that is in it.
    private func after(_ index: Int) -> Int {
        switch type(index) {
        case TT_JSON_INTEGER, TT_JSON_UNSIGNED, TT_JSON_NUMBER: index + 2
        case TT_JSON_ARRAY, TT_JSON_OBJECT: Int(UInt32(truncatingIfNeeded: unsafe tape[index]))
        default: index + 1
        }
    }

    // MARK: Values; `nil` where the value is of another type

    package func type(_ index: Int) -> Int { Int(unsafe tape[index] >> 56) }

    package func integer(_ index: Int) -> Int64? {
        type(index) == TT_JSON_INTEGER ? Int64(bitPattern: unsafe tape[index + 1]) : nil
    }

    package func number(_ index: Int) -> Double? {
        switch type(index) {
        case TT_JSON_INTEGER: Double(Int64(bitPattern: unsafe tape[index + 1]))
        case TT_JSON_UNSIGNED: Double(unsafe tape[index + 1])
        case TT_JSON_NUMBER: Double(bitPattern: unsafe tape[index + 1])
        default: nil
        }
    }

    package func bool(_ index: Int) -> Bool? {
        switch type(index) {
        case TT_JSON_TRUE: true
        case TT_JSON_FALSE: false
        default: nil
        }
    }

    func id(_ index: Int) -> UUIDv7? {
        guard type(index) == TT_JSON_STRING else { return nil }
        return unsafe UUIDv7(utf8: text(index))
    }

    func features(_ index: Int) -> PromptFeatures? {
        guard type(index) == TT_JSON_STRING else { return nil }
        return unsafe PromptFeatures(utf8: text(index))
    }

    /// A text that tends to come again: a name, a model, an outcome.
    func name(_ index: Int) -> String? {
        guard let text = unsafe text(index, atMost: Self.longestName) else { return nil }
        return unsafe interner.string(text, TextEnds(text))
    }

    /// Puts a name into `target`, which costs nothing if it is there already; false where it is none.
    ///
    /// - Parameter held: What this has set it to for the name in `target`.
    @inline(__always)
    package func name(_ index: Int, into target: inout String, held: inout TextEnds) -> Bool {
        put(index, &target, &held) { $0 }
    }

    @inline(__always)
    package func name(_ index: Int, into target: inout String?, held: inout TextEnds) -> Bool {
        put(index, &target, &held) { $0 }
    }

    @inline(__always)
    private func put<Target>(
        _ index: Int, _ target: inout Target, _ held: inout TextEnds, _ made: (String) -> Target
    ) -> Bool {
        guard let text = unsafe text(index, atMost: Self.longestName) else { return false }
        let ends = unsafe TextEnds(text)
        if ends == held, ends.isWhole { return true }
        guard let name = unsafe interner.string(text, ends) else { return false }
        (target, held) = (made(name), ends)
        return true
    }

    /// One of a closed list of names.
    func label<Label>(_ index: Int, _ table: FieldTable<Label>) -> Label? {
        guard type(index) == TT_JSON_STRING else { return nil }
        return unsafe table.find(text(index))?.field
    }

    /// A text that does not come again.
    func string(_ index: Int) -> String? {
        guard let text = unsafe text(index, atMost: Self.longestText) else { return nil }
        return unsafe StringInterner.make(text)
    }

    /// A text of any length.
    package func anyString(_ index: Int) -> String? {
        type(index) == TT_JSON_STRING ? unsafe String(decoding: text(index), as: UTF8.self) : nil
    }

    /// The bytes of the name of the field whose value is at a place.
    package func key(_ index: Int) -> UnsafeBufferPointer<UInt8> { unsafe text(index - 1) }

    private func text(_ index: Int, atMost longest: Int) -> UnsafeBufferPointer<UInt8>? {
        guard type(index) == TT_JSON_STRING else { return nil }
        let text = unsafe text(index)
        return text.count <= longest ? unsafe text : nil
    }

    private func text(_ index: Int) -> UnsafeBufferPointer<UInt8> {
        let word = Int(truncatingIfNeeded: unsafe tape[index])
        return unsafe UnsafeBufferPointer(start: bytes + (word & 0xFFF_FFFF), count: word >> 28 & 0xFFF_FFFF)
    }
}

/// Walks the known fields of one object: unknown ones are passed over, `null` counts as absent, repeats are refused.
struct KnownFields<Field: RawRepresentable & CaseIterable & Sendable> where Field.RawValue == String {
    private let document: JSONDocument
    private let table: FieldTable<Field>
    /// The object's own name and a dot, for messages; empty at the top.
    private let prefix: StaticString
    private var values: JSONDocument.Values
    private var seen: UInt64 = 0

    /// - Parameter object: Place of a value of type object.
    init(of object: Int, in document: JSONDocument, _ table: FieldTable<Field>, prefix: StaticString = "") {
        self.document = document
        self.table = table
        self.prefix = prefix
        values = document.values(of: object)
    }

    mutating func next() throws(EventError) -> (field: Field, value: Int)? {
        while let value = values.next() {
            guard let (field, bit) = unsafe table.find(document.key(value)) else { continue }
            if seen & bit != 0 { throw EventError(.repeatedField, "\(prefix)\(field.rawValue) is given twice.") }
            seen |= bit
            if document.type(value) != TT_JSON_NULL { return (field, value) }
        }
        return nil
    }

    func bad(_ field: Field, _ expected: StaticString) -> EventError {
        EventError(.badValue, "\(prefix)\(field.rawValue) must be \(expected).")
    }

    func missing(_ field: Field) -> EventError {
        EventError(.missingField, "\(prefix)\(field.rawValue) is missing.")
    }
}
