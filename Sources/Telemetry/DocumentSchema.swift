#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import CSimdJSON

/// The fields of one kind of document: numbered from 0, each with its path.
package protocol DocumentField: RawRepresentable<Int>, CaseIterable, Sendable {
    /// In the order of the numbers; a field inside an object is `object.field`, after the object.
    static var paths: [String] { get }
}

/// What finds those fields while a document is parsed.
///
/// `@unchecked Sendable`: the C schema behind the pointer never changes once it is made.
@safe package final class DocumentSchema<Field: DocumentField>: @unchecked Sendable {
    let pointer: OpaquePointer

    package init() {
        let copies = unsafe Field.paths.map { unsafe strdup($0) }
        defer { unsafe copies.forEach { unsafe free($0) } }
        var paths = unsafe copies.compactMap { unsafe $0.map { unsafe UnsafePointer($0) } }
        guard let made = unsafe tt_json_schema_make(&paths, UInt32(paths.count)) else {
            // The paths are constants of the program and every schema of ours is made in the tests, so this is the end of
            // memory at start.
            preconditionFailure("A schema has at most \(TT_JSON_MOST_FIELDS) fields.")
        }
        unsafe pointer = made
    }

    deinit { unsafe tt_json_schema_free(pointer) }
}
