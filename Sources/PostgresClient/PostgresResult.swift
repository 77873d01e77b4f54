/// All rows of one statement, copied out of libpq into one block.
package struct PostgresResult: Sendable {
    /// Column name to index; of two columns with one name the first counts.
    let columns: [String: Int]
    let columnCount: Int
    /// The fields one after the other in the text format, and where each begins and ends; `nil` is NULL.
    let bytes: [UInt8]
    let fields: [Range<Int>?]
    /// Rows that an INSERT, UPDATE, DELETE, COPY or SELECT touched.
    package let affected: Int

    package var count: Int { columnCount == 0 ? 0 : fields.count / columnCount }
    package var isEmpty: Bool { count == 0 }
    package var rows: some RandomAccessCollection<PostgresRow> & Sendable {
        (0..<count).lazy.map { PostgresRow(result: self, index: $0) }
    }
    package var first: PostgresRow? { isEmpty ? nil : PostgresRow(result: self, index: 0) }
}

/// One row; `let n: Int64 = try row["n"]` decodes a column as the type that is asked for.
package struct PostgresRow: Sendable {
    let result: PostgresResult
    let index: Int

    package subscript<Value: PostgresDecodable>(_ column: String) -> Value {
        get throws {
            guard let at = result.columns[column] else {
                throw PostgresError(.decoding, "There is no column '\(column)' in the result.")
            }
            let field = result.fields[index * result.columnCount + at].map { result.bytes[$0] }
            guard let value = Value(postgresField: field) else {
                let shown = field.map { "'\(String(decoding: $0.prefix(40), as: UTF8.self))'" } ?? "NULL"
                throw PostgresError(.decoding, "Column '\(column)' holds \(shown), which is no \(Value.self).")
            }
            return value
        }
    }
}

/// A type that a column can be read as.
package protocol PostgresDecodable {
    /// - Parameter field: the text form, `nil` for NULL. `nil` comes back when it is not of this type.
    init?(postgresField field: ArraySlice<UInt8>?)
}

extension String: PostgresDecodable {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let field else { return nil }
        self.init(decoding: field, as: UTF8.self)
    }
}
extension Int64: PostgresDecodable {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let text = String(postgresField: field) else { return nil }
        self.init(text)
    }
}
extension Int: PostgresDecodable {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let text = String(postgresField: field) else { return nil }
        self.init(text)
    }
}
extension UInt64: PostgresDecodable {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let text = String(postgresField: field) else { return nil }
        self.init(text)
    }
}
extension Double: PostgresDecodable {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let text = String(postgresField: field) else { return nil }
        self.init(text)
    }
}
extension Bool: PostgresDecodable {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let field, field.count == 1, let byte = field.first else { return nil }
        switch byte {
        case UInt8(ascii: "t"): self = true
        case UInt8(ascii: "f"): self = false
        default: return nil
        }
    }
}
/// A `bytea` in the hex format.
extension Array: PostgresDecodable where Element == UInt8 {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let field, field.starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "x")]), field.count % 2 == 0 else {
            return nil
        }
        self = []
        reserveCapacity(field.count / 2 - 1)
        var at = field.startIndex + 2
        while at < field.endIndex {
            guard let high = nibble(field[at]), let low = nibble(field[at + 1]) else { return nil }
            append(high << 4 | low)
            at += 2
        }
    }
}
extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let field else {
            self = .none
            return
        }
        guard let value = Wrapped(postgresField: field) else { return nil }
        self = value
    }
}

private func nibble(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 48...57: digit - 48
    case 97...102: digit - 87
    default: nil
    }
}
