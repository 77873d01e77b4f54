/// Matches `text` against a pattern in which `*` stands for any run of characters and `?` for one.
package func globMatches(_ pattern: String, _ text: String) -> Bool {
    let pattern = Array(pattern.utf8), text = Array(text.utf8)
    var (p, t) = (0, 0)
    var star: (pattern: Int, text: Int)?
    while t < text.count {
        if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
            star = (p, t)
            p += 1
        } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == text[t] {
            (p, t) = (p + 1, t + 1)
        } else if let last = star {
            (p, t) = (last.pattern + 1, last.text + 1)
            star = (last.pattern, last.text + 1)
        } else {
            return false
        }
    }
    return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
}
