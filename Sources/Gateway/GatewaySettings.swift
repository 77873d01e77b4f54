package import Core

/// How the gateway listens and what it bears.
package struct GatewaySettings: Sendable, Equatable {
    package var host = "127.0.0.1"
    /// 0 takes any free port.
    package var port = 8080
    package var tls: TLS?
    package var limits = Limits()
    package var timeouts = Timeouts()
    /// How long a stop waits for answers in flight.
    package var drainSeconds = 25.0
    /// Serves requests whose model is no route; `nil` refuses them.
    package var defaultRoute: RouteName?
    /// Without it a request with no key, or an unknown one, is served too and recorded without a key.
    package var requireKeys = true
    /// How many of a policy's fallbacks one request may use.
    package var fallbackLimit = 1
    /// Without one nothing is judged.
    package var judge: JudgeSettings?

    package init() {}

    /// Everything that a client could grow is bounded.
    package struct Limits: Sendable, Equatable {
        package var bodyBytes = 10 << 20
        package var headerBytes = 16 << 10
        /// Client connections, all event loops together.
        package var connections = 10_000
        /// An answer that is not streamed is held back to read its usage up to this size; larger ones pass through.
        package var answerBytes = 4 << 20
        /// Requests of one event loop that wait for a connection to one provider.
        package var waiting = 1_024
        /// Copies of requests that one event loop has under way for shadow rollouts; further ones are dropped.
        package var mirrors = 32
        package init() {}
    }

    /// In milliseconds; for clients, since those of upstreams are the policy's.
    package struct Timeouts: Sendable, Equatable {
        /// From the first byte of a request, or from connecting, to the end of its headers.
        package var headerMs = 10_000
        /// From the end of the headers to the end of the body.
        package var bodyMs = 60_000
        package var keepAliveMs = 75_000
        package init() {}
    }

    /// PEM files.
    package struct TLS: Sendable, Equatable {
        package var certificateFile: String
        package var keyFile: String
        package init(certificateFile: String, keyFile: String) {
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }
}

/// One OpenAI-compatible upstream.
package struct ProviderSettings: Sendable, Equatable, CustomStringConvertible {
    package var id: String
    /// With the path that `/chat/completions` is appended to, for example `https://api.openai.com/v1`.
    package var baseURL: String
    /// Sent as `Authorization: Bearer …`; never logged, never shown.
    package var apiKey: String?
    /// Whether it knows `stream_options.include_usage`.
    package var includeUsage = true
    package var maxConnectionsPerLoop = 256
    /// An unused connection is closed after this.
    package var idleTimeoutMs = 30_000
    package var models: [String] = []
    /// PEM file of certificate authorities to trust instead of the system's.
    package var trustRootsFile: String?

    /// What is appended to the base URL, without the slashes at its end.
    static let chatPath = "/chat/completions"

    /// Where chat requests to it go.
    package var chatURL: String {
        var base = baseURL[...]
        while base.last == "/" { base = base.dropLast() }
        return base + Self.chatPath
    }

    package init(id: String, baseURL: String, apiKey: String? = nil) {
        self.id = id
        self.baseURL = baseURL
        self.apiKey = apiKey
    }

    package var description: String { "provider \(id) at \(baseURL)" }
}
