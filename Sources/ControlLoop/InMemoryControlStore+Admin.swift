package import Core
package import Policy

extension InMemoryControlStore: AdminStore {
    package func keys() -> [VirtualKey] { virtualKeys.values.sorted { $0.name < $1.name } }

    package func create(_ key: VirtualKey, by actor: String) throws {
        guard virtualKeys[key.name] == nil else { throw Self.exists("key", key.name) }
        virtualKeys[key.name] = key
        audit(actor, "key.create", subject: key.name, now: key.createdAt)
        tell(.key, nil, key.name)
    }

    package func revokeKey(_ name: String, by actor: String, now: Int64) throws {
        guard let key = virtualKeys[name] else { throw Self.notFound("key", name) }
        guard key.revokedAt == nil else { return }
        virtualKeys[name]?.revokedAt = now
        audit(actor, "key.revoke", subject: name, now: now)
        tell(.key, nil, name)
    }

    package func tokens() -> [OperatorToken] { operatorTokens.values.sorted { $0.name < $1.name } }

    package func token(digest: String) -> OperatorToken? {
        operatorTokens.values.first { $0.digest == digest && $0.revokedAt == nil }
    }

    package func create(_ token: OperatorToken, by actor: String) throws {
        guard operatorTokens[token.name] == nil else { throw Self.exists("token", token.name) }
        operatorTokens[token.name] = token
        audit(actor, "token.create", subject: token.name, now: token.createdAt)
        tell(.token, nil, token.name)
    }

    package func revokeToken(_ name: String, by actor: String, now: Int64) throws {
        guard let token = operatorTokens[name] else { throw Self.notFound("token", name) }
        guard token.revokedAt == nil else { return }
        operatorTokens[name]?.revokedAt = now
        audit(actor, "token.revoke", subject: name, now: now)
        tell(.token, nil, name)
    }

    package func setPrices(_ prices: [String: TokenPrice?], by actor: String, now: Int64) -> PriceBook {
        for (key, price) in prices { book.prices[key] = price }
        book.id = book.nextID(now: now)
        audit(actor, "price.set", subject: book.id, now: now)
        tell(.price, nil, book.id)
        return book
    }

    /// What a gateway reports of itself.
    package func heartbeat(_ status: GatewayStatus) { gatewayStatus[status.id] = status }

    package func gateways() -> [GatewayStatus] { gatewayStatus.values.sorted { $0.id < $1.id } }

    package func changes() -> AsyncStream<Change> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Change.self, bufferingPolicy: .bufferingNewest(Change.bufferLimit))
        let id = nextListener
        nextListener += 1
        listeners[id] = continuation
        continuation.onTermination = { [weak self] _ in Task { await self?.forget(id) } }
        return stream
    }

    private func forget(_ id: Int) { listeners[id] = nil }

    package func ping() -> String? { nil }

    private static func exists(_ kind: String, _ name: String) -> TrimtabError {
        TrimtabError("store.exists", "There is a \(kind) named \(name) already.", remedy: "Choose another name.")
    }

    private static func notFound(_ kind: String, _ name: String) -> TrimtabError {
        TrimtabError("store.not_found", "There is no \(kind) named \(name).", remedy: "List them to see the names.")
    }
}
