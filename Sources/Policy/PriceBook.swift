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
