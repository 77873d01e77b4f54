import Core
import NIOCore
import Policy
import Telemetry

/// Writing down what an answer says.
extension RequestRecord {
    mutating func note(_ facts: AnswerFacts) {
        finish = facts.finish
        tokens = facts.usage
        if facts.usage == nil {
            // Four characters to a token is the usual rule of thumb for English.
            var estimate = TokenUsage(
                input: ((prompt?.chars ?? 0) + 3) / 4, output: (facts.characters + 3) / 4)
            estimate.source = .estimated
            tokens = estimate
        }
    }

    /// What can be said of a whole answer without knowing what is good.
    ///
    /// - Parameter body: what `chat` was read from.
    mutating func check(_ facts: AnswerFacts, of chat: ChatBody, body: ByteBuffer) {
        var checks = Checks()
        checks.empty = !facts.hasContent && !facts.toolCalls
        checks.refusal = facts.refusal
        // A tool call's arguments and a refusal follow no response format.
        if chat.asksJSON, !facts.toolCalls, !facts.refusal {
            checks.schema = facts.content.map { $0.withUnsafeBytes(JSONCursor.isDocument) }
        }
        checks.tools = body.withUnsafeReadableBytes { bytes in
            facts.text.calls?.canBeMade(by: chat.tools.map { UnsafeRawBufferPointer(rebasing: bytes[$0]) })
        }
        checks.repetition = facts.text.ending?.isLoop(isCut: facts.finish == "length")
        self.checks = checks
    }

    /// Works out what the answer costs, if its tokens and the price are known.
    mutating func price(by prices: PriceBook, _ target: Target) {
        guard cost == nil, let tokens, let listed = prices[target.modelKey] else { return }
        cost = listed.cost(
            input: tokens.input, cachedRead: tokens.cachedRead, cacheWrite: tokens.cacheWrite, output: tokens.output)
        price = prices.id
    }
}
