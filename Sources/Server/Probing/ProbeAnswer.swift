import Analysis
import Core
import CurlClient
import Gateway
import Telemetry

/// What became of a fixed prompt that was due; a metric's label.
package enum ProbeOutcome: String, Sendable, CaseIterable {
    case answered
    /// By the provider, with a status other than 200.
    case refused
    /// No connection, or no whole answer in time.
    case unanswered
    /// What came is no chat completion with one text.
    case unreadable
    /// Not sent: the model's price is not known, so neither is what it would spend.
    case price
    /// Not sent: the day's budget does not reach.
    case budget
}

/// What came back for a fixed prompt.
struct ProbeAnswer {
    var outcome: ProbeOutcome
    /// `nil` unless it was answered.
    var result: ProbeResult?
    /// What it may have cost.
    var cost: NanoUSD
    /// For people.
    var detail = ""

    /// Our own number for what it was never asked, and libcurl's for a wrong address, no host, no connection, no TLS and no trust: nothing has gone out then.
    private static let unsent: Set<Int32> = [0, 3, 5, 6, 7, 35, 60]

    /// Of what was not asked.
    init(_ outcome: ProbeOutcome) {
        self.outcome = outcome
        cost = .zero
    }

    /// - Parameter most: what it can have cost, where nothing says what it did.
    init(_ error: CurlError, most: NanoUSD) {
        outcome = .unanswered
        cost = Self.unsent.contains(error.code) ? .zero : most
        detail = error.description
    }

    init(_ response: OutboundResponse, probe: String, price: TokenPrice, most: NanoUSD) {
        guard response.status == 200 else {
            // What was refused is not charged.
            (outcome, cost, detail) = (.refused, .zero, "status \(response.status)")
            return
        }
        let facts = response.body.withUnsafeBytes { try? AnswerScanner.scan($0, keepsContent: true) }
        let usage = facts?.usage
        cost =
            usage.map {
                price.cost(
                    input: $0.input, cachedRead: $0.cachedRead, cacheWrite: $0.cacheWrite, output: $0.output)
            } ?? most
        guard let facts, facts.choices > 0, !facts.failed, let text = facts.content else {
            (outcome, detail) = (.unreadable, "the answer is no chat completion with one text")
            return
        }
        outcome = .answered
        result = ProbeResult(
            probe: probe, digest: Self.digest(text), outputTokens: Int64(usage?.output ?? (facts.characters + 3) / 4))
    }

    /// Without the white space around the text.
    static func digest(_ text: [UInt8]) -> UInt64 {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
        let first = text.firstIndex { !isSpace($0) } ?? text.endIndex
        let end = text.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? first
        return text[first..<end].withUnsafeBytes { Hash64.hash($0, salt: 0) }
    }
}
