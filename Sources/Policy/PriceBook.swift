package import Core

/// Prices by `provider/model`. A model that is not in it has no known price, which is not zero.
package struct PriceBook: Codable, Sendable, Equatable {
    /// `<date>#<revision>`, written into every record that it priced.
    package var id: String
    package var prices: [String: TokenPrice]

    package init(id: String = "none#0", prices: [String: TokenPrice] = [:]) {
        self.id = id
        self.prices = prices
    }

    package subscript(modelKey: String) -> TokenPrice? { prices[modelKey] }
}

extension PriceBook {
    /// The id of the next revision: `<date>#<revision>`, revisions rising over all dates.
    ///
    /// - Parameter now: milliseconds since the epoch.
    package func nextID(now: Int64) -> String {
        let revision = id.split(separator: "#").last.flatMap { Int($0) } ?? 0
        return "\(CivilDate(milliseconds: now))#\(revision + 1)"
    }
}
