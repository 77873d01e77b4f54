/// A fixed set of header names, looked up without allocation and without regard to case.
struct HeaderSet: Sendable {
    /// By length.
    private let names: [[[UInt8]]]

    init(_ names: [String]) {
        var table = [[[UInt8]]](repeating: [], count: 1 + (names.map(\.utf8.count).max() ?? 0))
        for name in names { table[name.utf8.count].append(Array(name.utf8)) }
        self.names = table
    }

    func contains(_ name: ArraySlice<UInt8>) -> Bool {
        guard name.count < names.count else { return false }
        // Setting bit 5 folds letters; no header name in these sets has another byte it could confuse.
        return names[name.count].contains { $0.elementsEqual(name) { $0 == $1 | 0x20 } }
    }
}

/// Which headers pass through the gateway.
enum HeaderRules {
    private static let hopByHop = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length", "http2-settings",
    ]
    /// The client's credentials and whereabouts are not the provider's business. `accept-encoding` stays here because
    /// the gateway reads the answer.
    private static let privateToGateway =
        hopByHop + [
            "host", "authorization", "api-key", "x-api-key", "cookie", "expect", "accept-encoding", "content-type",
            "x-request-id", "openai-organization", "openai-project", "forwarded", "x-forwarded-for",
            "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via", "x-trimtab-session", "x-trimtab-arm",
            "x-trimtab-tags",
        ]
    private static let notForUpstream = HeaderSet(privateToGateway)
    /// A provider would take a copy for the original sent again.
    private static let notForCopies = HeaderSet(privateToGateway + ["idempotency-key"])
    private static let notForClient = HeaderSet(
        hopByHop + [
            "set-cookie", "x-request-id", "x-trimtab-policy", "x-trimtab-arm", "x-trimtab-target",
            "x-trimtab-cost-usd", "alt-svc", "strict-transport-security",
        ])

    static func writeRequestHeaders(_ head: HTTPHead, isCopy: Bool, into writer: inout HeadWriter) {
        write(head, without: isCopy ? notForCopies : notForUpstream, into: &writer)
    }

    static func writeResponseHeaders(_ head: HTTPHead, into writer: inout HeadWriter) {
        write(head, without: notForClient, into: &writer)
        guard let id = head.first("x-request-id") else { return }
        writer.literal("x-upstream-request-id: ")
        writer.raw(head.bytes[id])
        writer.endLine()
    }

    private static func write(_ head: HTTPHead, without dropped: HeaderSet, into writer: inout HeadWriter) {
        // A sender may name further headers that are for its neighbour only (RFC 9110, section 7.6.1).
        var named: [ArraySlice<UInt8>] = []
        for field in head.fields where head.reads(field.name, "connection") {
            named += head.options(field.value).prefix(64).map { head.bytes[$0] }
        }
        for field in head.fields {
            let name = head.bytes[field.name]
            if dropped.contains(name) || named.contains(where: { equalTokens($0, name) }) { continue }
            writer.raw(name)
            writer.literal(": ")
            writer.raw(head.bytes[field.value])
            writer.endLine()
        }
    }

    /// Whether two names are the same but for the case of letters.
    private static func equalTokens(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
        func folded(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }
        return a.elementsEqual(b) { folded($0) == folded($1) }
    }
}
