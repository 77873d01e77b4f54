package import Policy
package import Telemetry

/// Where request records and feedback go. Never blocks: it is called on an event loop.
package protocol RecordSink: Sendable {
    func append(_ event: LogEvent)
}

/// All that the gateway decides by, at one moment. Immutable; replaced whole.
package final class GatewaySnapshot: Sendable {
    package let table: RoutingTable
    package let prices: PriceBook
    package let epoch: Int64
    let keys: [String: VirtualKey]

    package init(table: RoutingTable, keys: [VirtualKey] = [], prices: PriceBook = PriceBook()) {
        self.table = table
        self.prices = prices
        self.keys = Dictionary(keys.map { ($0.digest, $0) }, uniquingKeysWith: { _, last in last })
        epoch = table.epoch
    }

    /// The routes that a key may use, in order: those of its project and those of none. Without keys, all.
    func routes(for caller: Caller) -> [Route] {
        table.entries.values.map(\.route).filter { caller.mayUse($0) }.sorted { $0.name < $1.name }
    }
}

/// Who asks.
enum Caller {
    case anonymous
    case key(VirtualKey)

    var key: VirtualKey? {
        switch self {
        case .anonymous: nil
        case .key(let key): key
        }
    }

    func mayUse(_ route: Route) -> Bool {
        switch self {
        case .anonymous: true
        case .key(let key): route.project == nil || route.project == key.project
        }
    }
}
