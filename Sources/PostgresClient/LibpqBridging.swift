import CPostgres
import Glibc

/// The server's last words on a connection, on one line.
func message(of handle: OpaquePointer) -> String {
    guard let text = unsafe PQerrorMessage(handle) else { return "" }
    return oneLine(unsafe String(cString: text))
}

private func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).joined(separator: " ")
}

extension PostgresError {
    init(result: OpaquePointer) {
        func field(_ code: Character) -> String? {
            guard let value = code.asciiValue, let text = unsafe PQresultErrorField(result, Int32(value)) else {
                return nil
            }
            return oneLine(unsafe String(cString: text))
        }
        // The letters are libpq's PG_DIAG codes, macros that Swift does not see.
        let state = field("C")
        let text = unsafe field("M") ?? String(cString: PQresultErrorMessage(result))
        self.init(
            state.map { .server($0) } ?? .connection, text, detail: field("D"),
            constraint: field("n") ?? field("t") ?? field("c"))
    }
}

extension PostgresResult {
    init(copying raw: OpaquePointer) {
        let columnCount = Int(unsafe PQnfields(raw))
        let rowCount = Int(unsafe PQntuples(raw))
        var columns: [String: Int] = [:]
        for column in (0..<columnCount).reversed() {
            if let name = unsafe PQfname(raw, Int32(column)) { columns[unsafe String(cString: name)] = column }
        }
        var bytes: [UInt8] = []
        var fields: [Range<Int>?] = []
        fields.reserveCapacity(columnCount * rowCount)
        for row in 0..<Int32(rowCount) {
            for column in 0..<Int32(columnCount) {
                guard unsafe PQgetisnull(raw, row, column) == 0, let value = unsafe PQgetvalue(raw, row, column) else {
                    fields.append(nil)
                    continue
                }
                let start = bytes.count
                let length = Int(unsafe PQgetlength(raw, row, column))
                unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: value, count: length))
                fields.append(start..<bytes.count)
            }
        }
        let affected = unsafe PQcmdTuples(raw).flatMap { unsafe Int(String(cString: $0)) } ?? 0
        self.init(columns: columns, columnCount: columnCount, bytes: bytes, fields: fields, affected: affected)
    }
}

/// Calls `body` with a NULL-terminated array of C strings that live as long as the call.
func withCStrings<Value>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Value) -> Value {
    let copies = unsafe strings.map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    var pointers = unsafe copies.map { unsafe UnsafePointer<CChar>($0) }
    unsafe pointers.append(nil)
    return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
}

/// Calls `body` with libpq's arrays of values, lengths and formats (0 text, 1 binary), which live as long as the call.
func withParameters<Value>(
    _ values: [PostgresValue],
    _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> Value
) -> Value {
    var block: [UInt8] = []
    var starts: [Int?] = []
    var lengths: [Int32] = []
    var formats: [Int32] = []
    for value in values {
        let start = block.count
        switch value {
        case .null: starts.append(nil)
        case .text(let text):
            starts.append(start)
            block.append(contentsOf: text.utf8)
        case .bytes(let bytes):
            starts.append(start)
            block.append(contentsOf: bytes)
        }
        lengths.append(Int32(clamping: block.count - start))
        if case .bytes = value { formats.append(1) } else { formats.append(0) }
        block.append(0)
    }
    return unsafe block.withUnsafeBytes { bytes in
        let base = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        let pointers = unsafe starts.map { start in
            unsafe start.flatMap { offset in unsafe base.map { unsafe $0 + offset } }
        }
        return unsafe pointers.withUnsafeBufferPointer { pointers in
            unsafe lengths.withUnsafeBufferPointer { lengths in
                unsafe formats.withUnsafeBufferPointer { formats in
                    unsafe body(pointers.baseAddress, lengths.baseAddress, formats.baseAddress)
                }
            }
        }
    }
}

/// Whether the socket had something to read before the time was over.
func waitUntilReadable(_ socket: Int32, milliseconds: Int) -> Bool {
    var descriptor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&descriptor, 1, Int32(clamping: milliseconds)) > 0
}
