import Crypto
package import CurlClient
import Foundation
package import StateStore

/// An event as it is sent: by the Standard Webhooks specification, version 1.0.0.
///
/// The body of an event is the same at every attempt; the signature covers the time of the attempt, so that what was
/// overheard cannot be sent again later.
package enum WebhookRequest {
    /// - Parameters:
    ///   - now: milliseconds since the epoch.
    ///   - timeoutMs: for the whole attempt.
    package static func make(_ event: EventOutbox.Event, to webhook: WebhookSettings, now: Int64, timeoutMs: Int)
        -> OutboundRequest
    {
        let body = body(event)
        let seconds = now / 1_000
        var signature = HMAC<SHA256>(key: SymmetricKey(data: webhook.key))
        signature.update(data: Data("\(event.id).\(seconds).".utf8))
        signature.update(data: body)
        return OutboundRequest(
            url: webhook.url,
            headers: [
                ("content-type", "application/json"), ("webhook-id", event.id), ("webhook-timestamp", "\(seconds)"),
                ("webhook-signature", "v1,\(Data(signature.finalize()).base64EncodedString())"),
            ],
            body: body, timeoutMs: timeoutMs)
    }

    /// The names of types need no escaping, and a stored document is JSON.
    private static func body(_ event: EventOutbox.Event) -> [UInt8] {
        let second = Date(timeIntervalSince1970: Double(event.at / 1_000)).formatted(.iso8601).dropLast()
        let milliseconds = String(event.at % 1_000 + 1_000).dropFirst()
        return Array(
            #"{"type":"\#(event.type)","timestamp":"\#(second).\#(milliseconds)Z","data":\#(event.document)}"#.utf8)
    }
}
