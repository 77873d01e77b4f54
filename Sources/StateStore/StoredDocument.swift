package import Core
import Foundation
package import PostgresClient

/// The one way that documents go into JSONB and come back.
enum StoredDocument {
    private static let encoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }()
    private static let decoder = {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return decoder
    }()

    static func encode(_ value: some Encodable) throws -> String {
        String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func decode<Value: Decodable>(_ text: String, as type: Value.Type = Value.self) throws -> Value {
        do {
            return try decoder.decode(type, from: Data(text.utf8))
        } catch {
            throw TrimtabError(
                "store.unreadable", "A stored document is no \(type): \(error)",
                remedy: "Use the program's version that wrote it, or restore the row from a backup.")
        }
    }
}

extension PostgresRow {
    /// The column `document` as `Value`.
    func document<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try StoredDocument.decode(try self["document"])
    }
}

extension UUIDv7: PostgresEncodable, PostgresDecodable {
    package var postgresValue: PostgresValue { .text(description) }
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let text = String(postgresField: field) else { return nil }
        self.init(text)
    }
}

extension RouteName: PostgresEncodable, PostgresDecodable {
    package var postgresValue: PostgresValue { .text(description) }
    package init?(postgresField field: ArraySlice<UInt8>?) {
        guard let text = String(postgresField: field) else { return nil }
        self.init(text)
    }
}

/// Runs `body` and says in a person's words when the database is away.
func storing<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
    do {
        return try await body()
    } catch let error as PostgresError where error.isConnectionLost || error.kind == .poolExhausted {
        throw TrimtabError(
            "store.unavailable", "PostgreSQL does not answer: \(error.message)",
            remedy: "See that the server of `state.postgres.url` runs and takes connections.")
    } catch let error as PostgresError where error.isRefused {
        throw TrimtabError(
            "store.refused", "PostgreSQL refuses the connection: \(error.message)",
            remedy: "Correct `state.postgres.url`, or make the database and the role that it names.")
    }
}

func enumerated<Value: RawRepresentable<String>>(_ text: String, as type: Value.Type = Value.self) throws -> Value {
    guard let value = Value(rawValue: text) else {
        throw TrimtabError(
            "store.unreadable", "'\(text)' in the database is no \(type).",
            remedy: "Use the program's version that wrote it, or a newer one.")
    }
    return value
}
