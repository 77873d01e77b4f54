package import Logging
package import StreamProcessing

package struct ControlAPISettings: Sendable {
    package var host = "127.0.0.1"
    /// 0 takes any free port.
    package var port = 8081
    /// Health and metrics alone, for a process without the control role.
    package var systemOnly = false
    /// Larger request bodies are refused with 413, bytes.
    package var bodyLimit = 256 * 1024
    /// Marks the console's cookie `Secure`; set where TLS ends in front of this port.
    package var secureCookie = false
    /// The providers of the configuration, without their secrets.
    package var providers: [ProviderSummary] = []
    /// The declared windows, `requests` first.
    package var windows = StreamSettings().definitions
    package var version = "0"
    package var logger = Logger(label: "trimtab.api")

    package init() {}
}

/// A configured provider as shown to people.
package struct ProviderSummary: Codable, Sendable, Equatable {
    package var name: String
    package var baseURL: String
    package var models: [String]

    package init(name: String, baseURL: String, models: [String] = []) {
        self.name = name
        self.baseURL = baseURL
        self.models = models
    }

    enum CodingKeys: String, CodingKey {
        case name, models
        case baseURL = "base_url"
    }
}
