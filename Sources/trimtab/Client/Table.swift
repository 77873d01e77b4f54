import Foundation

/// One column of a table for people.
struct Column: Sendable {
    let title: String
    let right: Bool
    let value: @Sendable (JSON) -> String

    init(_ title: String, right: Bool = false, _ value: @escaping @Sendable (JSON) -> String) {
        self.title = title
        self.right = right
        self.value = value
    }

    init(_ title: String, _ key: String, right: Bool = false) {
        self.init(title, right: right) { $0[key].text }
    }
}

enum Table {
    /// Columns as wide as their widest cell; the last one is left ragged.
    static func render(_ rows: [JSON], _ columns: [Column], empty: String) -> String {
        guard !rows.isEmpty else { return empty }
        let cells = [columns.map { $0.title.uppercased() }] + rows.map { row in columns.map { $0.value(row) } }
        let widths = columns.indices.map { index in cells.map { $0[index].count }.max() ?? 0 }
        return cells.map { row in
            columns.indices.map { index -> String in
                let space = String(repeating: " ", count: widths[index] - row[index].count)
                if columns[index].right { return space + row[index] }
                return index == columns.count - 1 ? row[index] : row[index] + space
            }.joined(separator: "  ").trimmingSuffix()
        }.joined(separator: "\n")
    }

    /// A list answer, with a word when there is more of it.
    ///
    /// - Parameter more: how to see the rest.
    static func page(
        _ answer: JSON, _ columns: [Column], empty: String, more: String = "the control API pages through all of them"
    ) -> String {
        let table = render(answer["items"].list, columns, empty: empty)
        return answer["next_cursor"] == .null ? table : table + "\n… and more; \(more)."
    }

    /// Names and values, one a line.
    static func fields(_ pairs: [(String, String)]) -> String {
        let width = pairs.map(\.0.count).max() ?? 0
        return pairs.filter { !$0.1.isEmpty }.map { name, value in
            name + String(repeating: " ", count: width - name.count) + "  " + value
        }.joined(separator: "\n")
    }

    /// As much of a sentence as a column has room for.
    static func short(_ text: String) -> String {
        text.count <= 60 ? text : String(text.prefix(59)).trimmingSuffix() + "…"
    }

    static func time(_ value: JSON) -> String {
        guard let milliseconds = value.number else { return "" }
        return Date(timeIntervalSince1970: milliseconds / 1_000).formatted(
            Date.ISO8601FormatStyle(dateTimeSeparator: .space, timeZone: .current).dateSeparator(.dash))
    }

    static func percent(_ value: JSON) -> String {
        value.number.map { number in
            let percent = number * 100
            return percent == percent.rounded() ? "\(Int(percent)) %" : String(format: "%.1f %%", percent)
        } ?? ""
    }

    static func decimal(_ value: JSON, _ digits: Int) -> String {
        value.number.map { String(format: "%.\(digits)f", $0) } ?? ""
    }
}

extension String {
    fileprivate func trimmingSuffix() -> String {
        var text = self
        while text.hasSuffix(" ") { text.removeLast() }
        return text
    }
}
