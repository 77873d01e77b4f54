import CSimdJSON
import Core

/// A parsed JSON document, laid out flat; the values of one parse are gone with the next.
///
/// Not `Sendable`: one for each thread of work. The pointers it holds are its own and are freed with it.
@safe package final class JSONDocument {
    /// What a document may be; one past a bound is refused.
    struct Limits: Sendable {
        var bytes: Int
        var nesting: Int
        var values: Int
        /// What the document is called in messages.
        var name: StaticString

        /// A record of ours is a few hundred bytes.
        static let event = Limits(bytes: 256 * 1024, nesting: 16, values: 4096, name: "event")
        /// Many spans, and texts in them that we do not read.
        static let export = Limits(bytes: 64 << 20, nesting: 64, values: 1 << 20, name: "export")
    }

    /// Longer texts are refused, in bytes.
    static let longestText = 4096
    /// Longer names are refused, in bytes: they become keys of indexes, which PostgreSQL bounds.
    static let longestName = 256

    private let limits: Limits
    private let parser: OpaquePointer
    /// A document is one thread's, and only `parse` replaces it: no two accesses can meet.
    @exclusivity(unchecked) private var tokens: UnsafeMutablePointer<tt_json_token>
    private var capacity = 4096
    /// Where the fields of a schema are.
    private let fields: UnsafeMutablePointer<UInt32>
    /// Touched by `name` alone, and a document is one thread's, so no two accesses can meet.
    @exclusivity(unchecked) private var interner = StringInterner()

    package convenience init() { self.init(limits: .event) }

    init(limits: Limits) {
        self.limits = limits
        unsafe parser = tt_json_parser_make(limits.bytes, limits.nesting)
        unsafe tokens = .allocate(capacity: capacity)
        unsafe tokens.initialize(repeating: tt_json_token(), count: capacity)
        unsafe fields = .allocate(capacity: Int(TT_JSON_MOST_FIELDS))
        unsafe fields.initialize(repeating: 0, count: Int(TT_JSON_MOST_FIELDS))
    }

    deinit {
        unsafe fields.deallocate()
        unsafe tt_json_parser_free(parser)
        unsafe tokens.deallocate()
    }

    /// Parses a document that must be an object; its fields start at index 1.
    package func parse(_ bytes: UnsafeRawBufferPointer) throws(EventError) {
        var count: UInt32 = 0
        try unsafe parse(bytes) { start in
            unsafe tt_json_parse(parser, start, bytes.count, tokens, UInt32(capacity), &count)
        }
    }

    /// Parses a document that must be an object, and finds the fields of a schema on the way.
    ///
    /// - Throws: also for a field that is given twice.
    package func parse<Field>(
        _ bytes: UnsafeRawBufferPointer, _ schema: DocumentSchema<Field>
    ) throws(EventError) {
        var repeated: UInt32 = 0
        try unsafe parse(bytes) { start in
            let result = unsafe tt_json_parse_fields(
                parser, schema.pointer, start, bytes.count, tokens, UInt32(capacity), fields, &repeated)
            return result
        } repeated: {
            Field.paths[Int(repeated)]
        }
    }

    private func parse(
        _ bytes: UnsafeRawBufferPointer, _ call: (UnsafePointer<UInt8>?) -> Int32, repeated: () -> String = { "" }
    ) throws(EventError) {
        let start = unsafe bytes.bindMemory(to: UInt8.self).baseAddress
        var result: Int
        repeat { result = Int(unsafe call(start)) } while result == TT_JSON_TOO_MANY_VALUES && grow()
        switch result {
        case TT_JSON_OK: break
        case TT_JSON_REPEATED: throw EventError(.repeatedField, "\(repeated()) is given twice.")
        case TT_JSON_TOO_DEEP: throw malformed("is nested deeper than \(limits.nesting) levels")
        case TT_JSON_TOO_LONG: throw malformed("is longer than \(limits.bytes) bytes")
        case TT_JSON_TOO_MANY_VALUES: throw malformed("holds more than \(limits.values) values")
        case TT_JSON_NO_MEMORY: throw malformed("could not be parsed for want of memory")
        default: throw malformed("is not JSON")
        }
        guard type(0) == TT_JSON_OBJECT else { throw malformed("is not an object") }
    }

    /// Where a field of the schema that was parsed with is; `nil` where it is absent or null.
    package func index<Field: DocumentField>(of field: Field) -> Int? {
        let index = Int(unsafe fields[field.rawValue])
        return index == 0 ? nil : index
    }

    /// Makes room for eight times as many values, up to the bound.
    private func grow() -> Bool {
        guard capacity < limits.values else { return false }
        unsafe tokens.deallocate()
        capacity = min(capacity * 8, limits.values)
        unsafe tokens = .allocate(capacity: capacity)
        unsafe tokens.initialize(repeating: tt_json_token(), count: capacity)
        return true
    }

    private func malformed(_ what: String) -> EventError {
        EventError(.malformedJSON, "The \(limits.name) \(what).")
    }

    // MARK: Values; `nil` where the value is of another type

    func type(_ index: Int) -> Int { Int(unsafe tokens[index].type) }

    /// The index behind a value and all that is in it.
    package func next(_ index: Int) -> Int { Int(unsafe tokens[index].next) }

    package func integer(_ index: Int) -> Int64? {
        unsafe type(index) == TT_JSON_INTEGER ? tokens[index].integer : nil
    }

    package func number(_ index: Int) -> Double? {
        unsafe type(index) == TT_JSON_INTEGER || type(index) == TT_JSON_NUMBER ? tokens[index].number : nil
    }

    func bool(_ index: Int) -> Bool? {
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

    /// A text that tends to come again: a name, a model, an outcome.
    func name(_ index: Int) -> String? {
        guard type(index) == TT_JSON_STRING, unsafe tokens[index].text_length <= Self.longestName else { return nil }
        return unsafe interner.string(text(index))
    }

    /// Puts a name into `target`, which costs nothing if it is there already; false where it is none.
    package func name(_ index: Int, into target: inout String) -> Bool {
        guard type(index) == TT_JSON_STRING, unsafe tokens[index].text_length <= Self.longestName else { return false }
        if unsafe StringInterner.holds(&target, text(index)) { return true }
        guard let name = unsafe interner.string(text(index)) else { return false }
        target = name
        return true
    }

    package func name(_ index: Int, into target: inout String?) -> Bool {
        if target != nil { return name(index, intoHeld: &target) }
        target = name(index)
        return target != nil
    }

    private func name(_ index: Int, intoHeld target: inout String?) -> Bool {
        guard type(index) == TT_JSON_STRING, unsafe tokens[index].text_length <= Self.longestName else { return false }
        if target?.withUTF8({ unsafe StringInterner.same($0, text(index)) }) == true { return true }
        target = unsafe interner.string(text(index))
        return target != nil
    }

    /// One of a closed list of names.
    func label<Label>(_ index: Int, _ table: FieldTable<Label>) -> Label? {
        guard type(index) == TT_JSON_STRING else { return nil }
        return unsafe table.find(text(index))?.field
    }

    /// A text that does not come again.
    func string(_ index: Int) -> String? {
        guard type(index) == TT_JSON_STRING, unsafe tokens[index].text_length <= Self.longestText else { return nil }
        return unsafe StringInterner.make(text(index))
    }

    /// The bytes of a field's name.
    package func key(_ index: Int) -> UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: tokens[index].key, count: Int(tokens[index].key_length))
    }

    private func text(_ index: Int) -> UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: tokens[index].text, count: Int(tokens[index].text_length))
    }
}

/// Walks the known fields of one object: unknown ones are passed over, `null` counts as absent, repeats are refused.
struct KnownFields<Field: RawRepresentable & CaseIterable & Sendable> where Field.RawValue == String {
    private let document: JSONDocument
    private let table: FieldTable<Field>
    /// The object's own name and a dot, for messages; empty at the top.
    private let prefix: StaticString
    private var at: Int
    private let end: Int
    private var seen: UInt64 = 0

    /// - Parameter object: Index of a value of type object.
    init(of object: Int, in document: JSONDocument, _ table: FieldTable<Field>, prefix: StaticString = "") {
        self.document = document
        self.table = table
        self.prefix = prefix
        at = object + 1
        end = document.next(object)
    }

    mutating func next() throws(EventError) -> (field: Field, value: Int)? {
        while at < end {
            let value = at
            at = document.next(value)
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
