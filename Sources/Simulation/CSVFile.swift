import Core
import Foundation

/// Reads a comma-separated file with a header row and no quoting, plain or gzip-compressed.
///
/// The whole file is read at once, on the caller's thread: meant for start-up, not for serving.
struct CSVFile {
    let path: String
    private let columns: [String: Int]
    private let lines: [Substring]

    /// Larger files are refused, unpacked.
    static let maximumBytes = 512 << 20

    /// - Parameter required: columns without which the file is useless.
    /// - Throws: `simulation.file_unreadable`, `simulation.file_empty`, `simulation.column_missing`.
    init(path: String, required: [String]) throws {
        self.path = path
        let text = String(decoding: try Self.contents(of: path), as: UTF8.self)
        // By bytes: as a Character, CRLF is one and no "\n".
        lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Substring($0) }
        guard let header = lines.first, !header.isEmpty else {
            throw TrimtabError(
                "simulation.file_empty", "\(path):1: the file has no header row.",
                remedy: "Give a file whose first line names its columns.")
        }
        let names = Self.fields(header)
        columns = Dictionary(names.enumerated().map { (String($1), $0) }, uniquingKeysWith: { first, _ in first })
        let missing = required.filter { columns[$0] == nil }
        guard missing.isEmpty else {
            throw TrimtabError(
                "simulation.column_missing",
                "\(path):1: no column \(missing.map { "'\($0)'" }.joined(separator: ", ")); it has \(names.joined(separator: ", ")).",
                remedy: "Name the columns in the first line, separated by commas.")
        }
    }

    /// Calls `body` for every row, in order.
    func forEachRow(_ body: (Row) throws -> Void) throws {
        for (index, line) in lines.enumerated().dropFirst() where !line.isEmpty && line != "\r" {
            let fields = Self.fields(line)
            guard fields.count >= columns.count else {
                throw TrimtabError(
                    "simulation.row_short",
                    "\(path):\(index + 1): \(fields.count) fields where the header names \(columns.count).",
                    remedy: "Complete or remove the line; an unknown value is an empty field.")
            }
            try body(Row(path: path, line: index + 1, columns: columns, fields: fields))
        }
    }

    private static func fields(_ line: Substring) -> [Substring] {
        let end = line.utf8.last == UInt8(ascii: "\r") ? line.utf8.dropLast() : line.utf8
        return end.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Substring($0) }
    }

    struct Row {
        let path: String
        let line: Int
        fileprivate let columns: [String: Int]
        fileprivate let fields: [Substring]

        /// `nil` for an empty field or a column the file does not have.
        func text(_ column: String) -> String? {
            guard let index = columns[column], !fields[index].isEmpty else { return nil }
            return String(fields[index])
        }

        /// - Throws: `simulation.value` with file and line when it is missing.
        func requiredText(_ column: String) throws -> String {
            guard let value = text(column) else { throw fault(column, "is empty", "Give every row a value there.") }
            return value
        }

        /// `nil` for an empty field. - Throws: `simulation.value` when it is no number in `range`.
        func number(_ column: String, in range: ClosedRange<Double>) throws -> Double? {
            guard let index = columns[column], !fields[index].isEmpty else { return nil }
            guard let value = Double(fields[index]), range.contains(value) else {
                throw fault(
                    column, "is '\(fields[index].prefix(40))'",
                    "Give a number from \(range.lowerBound) to \(range.upperBound), or nothing if it is not known.")
            }
            return value
        }

        func requiredNumber(_ column: String, in range: ClosedRange<Double>) throws -> Double {
            guard let value = try number(column, in: range) else {
                throw fault(column, "is empty", "Give every row a number there.")
            }
            return value
        }

        func fault(_ column: String, _ what: String, _ remedy: String) -> TrimtabError {
            TrimtabError("simulation.value", "\(path):\(line): column '\(column)' \(what).", remedy: remedy)
        }
    }

    private static func contents(of path: String) throws -> Data {
        let unreadable = { (why: String) in
            TrimtabError(
                "simulation.file_unreadable", "\(path): \(why).",
                remedy: "Check the path and that this user may read the file.")
        }
        guard FileManager.default.isReadableFile(atPath: path) else {
            throw unreadable("there is no readable file here")
        }
        let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
        guard size <= maximumBytes else { throw unreadable("\(size) bytes are more than \(maximumBytes)") }
        guard path.hasSuffix(".gz") else {
            do { return try Data(contentsOf: URL(fileURLWithPath: path)) } catch { throw unreadable("\(error)") }
        }
        let gzip = Process()
        gzip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        gzip.arguments = ["gzip", "-dc", "--", path]
        let output = Pipe()
        gzip.standardOutput = output
        gzip.standardError = FileHandle.nullDevice
        do { try gzip.run() } catch { throw unreadable("gzip could not be started (\(error))") }
        var data = Data()
        while let part = try output.fileHandleForReading.read(upToCount: 1 << 20), !part.isEmpty {
            data.append(part)
            if data.count > maximumBytes {
                gzip.terminate()
                throw unreadable("unpacked it has more than \(maximumBytes) bytes")
            }
        }
        gzip.waitUntilExit()
        guard gzip.terminationStatus == 0 else { throw unreadable("gzip says it is damaged") }
        return data
    }
}
