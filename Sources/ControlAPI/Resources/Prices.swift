import ControlLoop
import Core
import Hummingbird
import Policy

extension ControlAPI {
    static let priceEndpoints: [Endpoint] = [
        Endpoint("GET", "/api/v1/prices", .viewer, "The price book in force.") { api, call in
            Answer.resource(try await api.store.prices(), for: call)
        },
        Endpoint("PUT", "/api/v1/prices", .operator, "Sets prices by model; `null` makes one unknown.") { api, call in
            let body = try call.decode(PriceBody.self)
            var errors: [Violation] = []
            for (model, price) in body.prices.sorted(by: { $0.key < $1.key }) {
                let pointer = "/prices/" + Shape.escaped(model)
                if model.utf8.count > 256 || Target(parsing: model) == nil {
                    errors.append(.init(pointer, "'\(model)' is not written as provider/model."))
                }
                for (name, value) in price?.parts ?? [] where !(0...1_000_000_000_000_000).contains(value) {
                    errors.append(.init("\(pointer)/\(name)", "\(value) is outside 0 to a million dollars."))
                }
            }
            guard errors.isEmpty else { throw Problem.invalid(errors) }
            return Answer.json(try await api.store.setPrices(body.prices, by: call.actor, now: api.hooks.now()))
        },
    ]
}

private struct PriceBody: RequestBody {
    let prices: [String: TokenPrice?]

    static let shape = Shape.object([
        "id": .value,
        "prices": .map(
            .object([
                "input_nano_usd_per_mtok": .value, "output_nano_usd_per_mtok": .value,
                "cached_input_nano_usd_per_mtok": .value, "cache_write_nano_usd_per_mtok": .value,
            ])),
    ])
}

extension TokenPrice {
    fileprivate var parts: [(String, Int64)] {
        [
            ("input_nano_usd_per_mtok", input), ("output_nano_usd_per_mtok", output),
            ("cached_input_nano_usd_per_mtok", cachedInput ?? 0), ("cache_write_nano_usd_per_mtok", cacheWrite ?? 0),
        ]
    }
}
