import Core
import Hummingbird
import ControlLoop
import Policy

/// One page of a list. `next_cursor` goes into `?cursor=` for the next one and is `null` on the last.
struct Page<Item: Encodable>: Encodable {
    let items: [Item]
    let nextCursor: String?

    enum CodingKeys: String, CodingKey {
        case items
        case nextCursor = "next_cursor"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}

extension Call {
    static let pageLimit = 1...200

    /// How many entries a page has; default 50.
    func limit() throws -> Int {
        guard let text = query["limit"] else { return 50 }
        guard let limit = Int(text), Self.pageLimit.contains(limit) else {
            throw Violation("?limit", "'\(text)' is not a number from 1 to 200.")
        }
        return limit
    }

    /// A page of a short list that is held whole, sorted by `key`; the cursor is the last key of the page before.
    func page<Item>(_ items: [Item], key: (Item) -> String) throws -> Page<Item> {
        let limit = try limit()
        let sorted = items.map { (key($0), $0) }.sorted { $0.0 < $1.0 }
        let rest = query["cursor"].map { cursor in sorted.drop { $0.0 <= cursor } } ?? sorted[...]
        let page = rest.prefix(limit)
        return Page(items: page.map(\.1), nextCursor: rest.count > limit ? page.last?.0 : nil)
    }

    /// A page of what the store keeps by id, newest first.
    func page<Item, View>(
        state: String? = nil, id: (Item) -> UUIDv7, view: (Item) -> View,
        fetch: (PageQuery) async throws -> [Item]
    ) async throws -> Page<View> {
        let limit = try limit()
        var query = PageQuery(state: state, limit: limit + 1)
        query.route = try self.query["route"].map { try routeName($0, at: "?route") }
        if let cursor = self.query["cursor"] {
            guard let before = UUIDv7(cursor) else {
                throw Violation("?cursor", "'\(cursor)' is not a cursor. Use 'next_cursor' of the page before.")
            }
            query.before = before
        }
        let found = try await fetch(query)
        let items = found.prefix(limit)
        return Page(
            items: items.map(view), nextCursor: found.count > limit ? items.last.map { id($0).description } : nil)
    }

    func routeName(_ text: String, at pointer: String) throws -> RouteName {
        guard let name = RouteName(text) else {
            throw Violation(pointer, "'\(text)' is not a route name.")
        }
        return name
    }

    /// The route named in the path.
    func route() throws -> RouteName { try routeName(parameters["name"] ?? "", at: "{name}") }

    /// The id named in the path.
    func id(_ what: String) throws -> UUIDv7 {
        let text = parameters["id"] ?? ""
        guard let id = UUIDv7(text) else {
            throw Problem.notFound("'\(text)' is not the id of a \(what).", remedy: "Ids are UUIDs; list them first.")
        }
        return id
    }

    /// One of a closed list of values in the query.
    func choice(_ name: String, _ allowed: [String]) throws -> String? {
        guard let text = query[name], !allowed.contains(text) else { return query[name] }
        throw Violation("?\(name)", "'\(text)' is not one of \(allowed.joined(separator: ", ")).")
    }

    func choice<Value: RawRepresentable & CaseIterable>(_ name: String) throws -> Value?
    where Value.RawValue == String {
        try choice(name, Value.allCases.map(\.rawValue)).flatMap(Value.init)
    }

    /// A whole number of the query.
    func number(_ name: String) throws -> Int64? {
        guard let text = query[name] else { return nil }
        // Far beyond any time or version, and small enough to be reckoned with.
        guard let number = Int64(text), (0...1_000_000_000_000_000).contains(number) else {
            throw Violation("?\(name)", "'\(text)' is not a whole number from 0 to 10^15.")
        }
        return number
    }
}
