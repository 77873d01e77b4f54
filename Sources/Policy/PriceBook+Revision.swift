package import Core

extension PriceBook {
    /// A new revision with `changes` by model key; `nil` makes a price unknown.
    ///
    /// - Parameter now: milliseconds since the epoch; the new id begins with its day (UTC).
    package func setting(_ changes: [String: TokenPrice?], revision: Int64, now: Int64) -> PriceBook {
        var book = self
        book.id = "\(Self.day(now))#\(revision)"
        for (model, price) in changes { book.prices[model] = price }
        return book
    }

    /// `YYYY-MM-DD`, by the day count of the proleptic Gregorian calendar (Howard Hinnant's `civil_from_days`).
    private static func day(_ milliseconds: Int64) -> String {
        let days = Int((Double(milliseconds) / 86_400_000).rounded(.down)) + 719_468
        let era = (days >= 0 ? days : days - 146_096) / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let two = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)-\(two(month))-\(two(dayOfYear - (153 * shifted + 2) / 5 + 1))"
    }
}
