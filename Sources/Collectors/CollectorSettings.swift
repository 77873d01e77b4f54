package import Core

/// `collector`: where spans of traffic that the gateway never saw come from.
package struct CollectorSettings: Sendable, Equatable {
    package var http = HTTP()
    /// `nil`: no topic is read.
    package var kafka: Kafka?
    /// The route of spans that name neither one nor their service.
    package var defaultRoute: RouteName
    /// Spans taken a second, in the mean; twice as many at once.
    package var spansPerSecond = 10_000

    /// OTLP over HTTP.
    package struct HTTP: Sendable, Equatable {
        package enum Auth: String, Sendable, CaseIterable { case keys, none }

        package var enabled = false
        package var host = "127.0.0.1"
        package var port = 4318
        package var auth = Auth.keys
        /// Of one export, compressed and not.
        package var bodyBytes = 16 << 20
        package init() {}
    }

    /// OTLP from a Kafka topic.
    package struct Kafka: Sendable, Equatable {
        package var topic: String
        package var group: String
        /// Passed to librdkafka as they are.
        package var properties: [String: String]

        package init(topic: String, group: String, properties: [String: String]) {
            self.topic = topic
            self.group = group
            self.properties = properties
        }
    }

    package init(defaultRoute: RouteName) { self.defaultRoute = defaultRoute }
}
