import Core
package import Policy

/// What a collector knows of the installation, at one moment: keys, whose routes are whose, and prices.
package struct CollectorDirectory: Sendable {
    let keys: [String: VirtualKey]
    /// By route name; those of no project are not in it.
    let projects: [String: String]
    let prices: PriceBook

    package init(table: RoutingTable, keys: [VirtualKey], prices: PriceBook) {
        self.keys = Dictionary(keys.map { ($0.digest, $0) }, uniquingKeysWith: { $1 })
        projects = Dictionary(
            table.entries.values.compactMap { entry in
                entry.route.project.map { (entry.route.name.description, $0) }
            }, uniquingKeysWith: { $1 })
        self.prices = prices
    }
}
