import ArgumentParser
import Core

struct Prices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What models cost.", subcommands: [List.self, Set.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List prices, US dollars per million tokens.")
        @OptionGroup var client: ClientOptions

        func run() async throws {
            client.show(try await client.send("GET", "prices")) { book in
                let rows = book["prices"].fields.map { JSON.object(["model": .string($0.key), "price": $0.value]) }
                let columns =
                    [Column("model", "model")]
                    + [("input", "input"), ("output", "output"), ("cached", "cached_input"), ("write", "cache_write")]
                    .map { title, key in
                        Column(title, right: true) { Prices.dollars($0["price"]["\(key)_nano_usd_per_mtok"]) }
                    }
                return Table.render(rows, columns, empty: "No prices are known.")
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Set a model's price.")
        @Argument(help: "provider/model.") var model: String
        @Option(help: "US dollars per million input tokens.") var inputPrice: Double?
        @Option(help: "US dollars per million output tokens.") var outputPrice: Double?
        @Option(help: "US dollars per million cached input tokens.") var cachedInputPrice: Double?
        @Option(help: "US dollars per million tokens written to the cache.") var cacheWritePrice: Double?
        @Flag(help: "The price is not known.") var unknown = false
        @OptionGroup var client: ClientOptions

        func validate() throws {
            let prices = [inputPrice, outputPrice, cachedInputPrice, cacheWritePrice]
            if unknown ? prices.contains(where: { $0 != nil }) : inputPrice == nil || outputPrice == nil {
                throw ValidationError("Give --input-price and --output-price, or --unknown alone.")
            }
        }

        func run() async throws {
            var price: [String: JSON] = [:]
            for (name, value) in [
                ("input", inputPrice), ("output", outputPrice), ("cached_input", cachedInputPrice),
                ("cache_write", cacheWritePrice),
            ] {
                guard let value else { continue }
                guard value.isFinite, (0...1_000_000).contains(value) else {
                    throw Failure(status: .usage, text: "\(value) is not a price in dollars per million tokens.")
                }
                price["\(name)_nano_usd_per_mtok"] = .integer(Int64((value * 1e9).rounded()))
            }
            let body: JSON = .object(["prices": .object([model: unknown ? .null : .object(price)])])
            client.show(try await client.send("PUT", "prices", body: body)) {
                "Price book \($0["id"].text) is in force."
            }
        }
    }

    private static func dollars(_ value: JSON) -> String {
        value.number.map { number in
            let text = Table.decimal(.number(number / 1e9), 4)
            return text.hasSuffix("00") ? String(text.dropLast(2)) : text
        } ?? ""
    }
}
