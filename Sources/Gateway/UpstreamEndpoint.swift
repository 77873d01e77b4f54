import Core
import NIOCore
import NIOSSL

/// A provider's address, taken apart once, with everything a request to it always says.
struct UpstreamEndpoint: Sendable {
    let settings: ProviderSettings
    let host: String
    let port: Int
    /// Set when the host is an IP address, so that nothing has to be looked up.
    let address: SocketAddress?
    let tls: NIOSSLContext?
    /// `POST … HTTP/1.1`, host, credentials and content type.
    let head: [UInt8]

    init(_ settings: ProviderSettings) throws {
        self.settings = settings
        let url = try Self.parse(settings)
        (host, port) = (url.host, url.port)
        address = try? SocketAddress(ipAddress: url.host, port: url.port)
        tls = url.secure ? try Self.context(settings) : nil
        var head = "POST \(url.path)\(ProviderSettings.chatPath) HTTP/1.1\r\nhost: \(url.authority)\r\n"
        if let key = settings.apiKey {
            guard key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw TrimtabError(
                    "gateway.provider_key",
                    "The key of provider '\(settings.id)' holds bytes that cannot be sent in a header.",
                    remedy: "Look for a line end or a space in the secret.")
            }
            head += "authorization: Bearer \(key)\r\n"
        }
        self.head = Array((head + "content-type: application/json\r\n").utf8)
    }

    private static func parse(
        _ settings: ProviderSettings
    ) throws -> (secure: Bool, host: String, port: Int, path: String, authority: String) {
        let url = settings.baseURL
        let fault = TrimtabError(
            "gateway.provider_url", "'\(url)' is not an address that provider '\(settings.id)' can have.",
            remedy: "Give http:// or https://, a host, a port if need be, and a path, as in https://api.openai.com/v1.")
        let secure = url.hasPrefix("https://")
        guard secure || url.hasPrefix("http://"), url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw fault }
        let rest = url.dropFirst(secure ? 8 : 7)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = rest[..<slash]
        var path = rest[slash...]
        while path.last == "/" { path = path.dropLast() }
        var host = authority
        var port = secure ? 443 : 80
        // In [::1]:8080 only what follows the bracket is a port.
        let tail = authority.lastIndex(of: "]") ?? authority.startIndex
        if let colon = authority[tail...].lastIndex(of: ":") {
            guard let given = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(given) else {
                throw fault
            }
            port = given
            host = authority[..<colon]
        }
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !authority.contains("@"), !path.contains("?"), !path.contains("#") else { throw fault }
        return (secure, String(host), port, String(path), String(authority))
    }

    private static func context(_ settings: ProviderSettings) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = ["http/1.1"]
        if let file = settings.trustRootsFile { configuration.trustRoots = .file(file) }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw TrimtabError(
                "gateway.provider_tls", "TLS for provider '\(settings.id)' cannot be set up: \(error).",
                remedy: "Check that its trust roots file is there and holds PEM certificates.")
        }
    }
}
