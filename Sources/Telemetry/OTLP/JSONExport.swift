import CSimdJSON

/// Reads an export in OTLP's JSON form: camelCase names, ids as hex digits, 64-bit numbers as text or as numbers.
struct JSONExport {
    private let document = JSONDocument(limits: .export)

    func read(_ bytes: [UInt8]) throws(OTLPError) -> [OTLPSpan] {
        // `withUnsafeBytes` does not carry a typed error through, so the outcome is carried as a value.
        let outcome = unsafe bytes.withUnsafeBytes { raw in
            Result { () throws(EventError) -> [OTLPSpan]? in
                unsafe try document.parse(raw)
                return try spans()
            }
        }
        switch outcome {
        case .success(let spans?): return spans
        case .success(nil): throw .tooManySpans(limit: TraceExport.mostSpans)
        case .failure(let error): throw .malformed(error.detail)
        }
    }

    /// `nil` if there are too many.
    private func spans() throws(EventError) -> [OTLPSpan]? {
        var spans: [OTLPSpan] = []
        for group in try elements(.resourceSpans, of: JSONDocument.root) {
            var resource: OTLPSpan.Attributes = [:]
            if let index = try field(.resource, of: group, TT_JSON_OBJECT) {
                for index in try elements(.attributes, of: index) { _ = try attribute(index, into: &resource) }
            }
            for scope in try elements(.scopeSpans, of: group) {
                let places = try elements(.spans, of: scope)
                guard spans.count + places.count <= TraceExport.mostSpans else { return nil }
                for index in places { spans.append(try span(index, resource: resource)) }
            }
        }
        return spans
    }

    private func span(_ object: Int, resource: OTLPSpan.Attributes) throws(EventError) -> OTLPSpan {
        var span = OTLPSpan()
        span.resource = resource
        var fields = KnownFields(of: object, in: document, Self.table)
        while let (field, index) = try fields.next() {
            switch field {
            case .traceId:
                let digits = document.string(index).flatMap { $0.utf8.count == 32 ? $0 : nil } ?? ""
                guard let high = UInt64(hex: digits.prefix(16)), let low = UInt64(hex: digits.suffix(16)) else { break }
                (span.traceHigh, span.traceLow) = (high, low)
            case .spanId: span.spanID = document.string(index).flatMap { UInt64(hex: $0[...]) } ?? 0
            case .kind: span.kind = try integer(index, field, fields)
            case .startTimeUnixNano: span.start = try nanoseconds(index, field, fields)
            case .endTimeUnixNano: span.end = try nanoseconds(index, field, fields)
            case .attributes:
                for index in try elements(index, field, fields) where try attribute(index, into: &span.attributes) {
                    span.isGenAI = true
                }
            case .events: for index in try elements(index, field, fields) { try event(index, of: &span) }
            case .status:
                if let code = try self.field(.code, of: index) { span.status = try integer(code, .code, fields) }
            default: break
            }
        }
        return span
    }

    private func event(_ object: Int, of span: inout OTLPSpan) throws(EventError) {
        var fields = KnownFields(of: object, in: document, Self.table)
        var (time, name): (UInt64, String?) = (0, nil)
        while let (field, index) = try fields.next() {
            switch field {
            case .timeUnixNano: time = try nanoseconds(index, field, fields)
            case .name: name = document.string(index)
            default: break
            }
        }
        if let name { span.note(event: name, at: time) }
    }

    /// Reads a KeyValue and keeps it if it is known.
    ///
    /// - Returns: whether its name begins with `gen_ai.`.
    private func attribute(_ object: Int, into attributes: inout OTLPSpan.Attributes) throws(EventError) -> Bool {
        guard let key = try field(.key, of: object), let name = document.string(key) else { return false }
        if let known = SpanAttribute(rawValue: name), let value = try field(.value, of: object, TT_JSON_OBJECT) {
            if let read = try self.value(value) { attributes[known] = read }
        }
        return name.utf8.starts(with: SpanAttribute.genAIPrefix.utf8)
    }

    /// Reads an AnyValue; of an array its first element, because the only lists wanted are as good as one value.
    private func value(_ object: Int, inArray: Bool = false) throws(EventError) -> OTLPSpan.Value? {
        var fields = KnownFields(of: object, in: document, Self.table)
        var value: OTLPSpan.Value?
        while let (field, index) = try fields.next() {
            switch field {
            case .stringValue: value = document.string(index).map(OTLPSpan.Value.text)
            case .boolValue: value = document.bool(index).map(OTLPSpan.Value.flag)
            case .intValue: value = .integer(try integer(index, field, fields))
            case .doubleValue:
                value = (document.number(index) ?? document.string(index).flatMap(Double.init))
                    .map(OTLPSpan.Value.number)
            case .arrayValue where !inArray:
                for index in try elements(.values, of: index) {
                    value = document.type(index) == TT_JSON_OBJECT ? try self.value(index, inArray: true) : nil
                    if value != nil { break }
                }
            default: break
            }
        }
        return value
    }
}

extension JSONExport {
    /// Every name that is read, of all messages together: none means two things.
    private enum Field: String, CaseIterable, Sendable {
        case resourceSpans, resource, scopeSpans, spans, attributes, events, status, code, key, value, name, kind
        case traceId, spanId, startTimeUnixNano, endTimeUnixNano, timeUnixNano
        case stringValue, boolValue, intValue, doubleValue, arrayValue, values
    }
    private static let table = FieldTable<Field>()

    /// One field of an object.
    private func field(_ wanted: Field, of object: Int, _ type: Int? = nil) throws(EventError) -> Int? {
        guard document.type(object) == TT_JSON_OBJECT else {
            throw EventError(.badValue, "what holds \(wanted.rawValue) must be an object")
        }
        var fields = KnownFields(of: object, in: document, Self.table)
        var found: Int?
        // To the end, so that one given twice is found.
        while let (field, index) = try fields.next() {
            guard field == wanted else { continue }
            guard type.map({ $0 == document.type(index) }) ?? true else { throw fields.bad(field, "an object") }
            found = index
        }
        return found
    }

    private func elements(_ wanted: Field, of object: Int) throws(EventError) -> [Int] {
        guard let index = try field(wanted, of: object) else { return [] }
        return try elements(index, wanted, KnownFields(of: object, in: document, Self.table))
    }

    /// The objects of an array.
    private func elements(_ array: Int, _ field: Field, _ fields: KnownFields<Field>) throws(EventError) -> [Int] {
        guard document.type(array) == TT_JSON_ARRAY else { throw fields.bad(field, "an array of objects") }
        var places: [Int] = []
        for index in document.values(of: array) {
            guard document.type(index) == TT_JSON_OBJECT else { throw fields.bad(field, "an array of objects") }
            places.append(index)
        }
        return places
    }

    private func integer(_ index: Int, _ field: Field, _ fields: KnownFields<Field>) throws(EventError) -> Int64 {
        guard let value = document.integer(index) ?? document.string(index).flatMap({ Int64($0) }) else {
            throw fields.bad(field, "a whole number")
        }
        return value
    }

    private func nanoseconds(_ index: Int, _ field: Field, _ fields: KnownFields<Field>) throws(EventError) -> UInt64 {
        let value =
            document.integer(index).flatMap { UInt64(exactly: $0) } ?? document.string(index).flatMap { UInt64($0) }
        guard let value else { throw fields.bad(field, "nanoseconds since the epoch") }
        return value
    }
}

extension UInt64 {
    /// Reads exactly sixteen hex digits.
    fileprivate init?(hex digits: Substring) {
        guard digits.utf8.count == 16, digits.utf8.first != UInt8(ascii: "+"), digits.utf8.first != UInt8(ascii: "-"),
            let value = UInt64(digits, radix: 16)
        else { return nil }
        self = value
    }
}
