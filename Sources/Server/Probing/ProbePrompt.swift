package import Core
import Foundation

/// A question that is asked in the same words again and again.
package struct ProbePrompt: Sendable, Equatable, Decodable {
    package var name: String
    package var prompt: String

    package init(name: String, prompt: String) {
        self.name = name
        self.prompt = prompt
    }

    package static let mostNameBytes = 64
    package static let mostBytes = 4 << 10
    /// An answer is cut off there: its beginning tells models apart.
    static let answerTokens = 64

    /// Short answers that models word, order, work out or lay out differently.
    package static let builtIn = [
        ("continuation", "Continue with one sentence and say nothing else: The lighthouse keeper opened the door and"),
        ("arithmetic", "What is 48271 * 6397? Reply with the number and nothing else."),
        ("list", "Name seven rivers of South America, separated by commas, as they come to you."),
        ("format", "Write the date of 3 March 2019 in five different ways, one a line, and nothing else."),
        ("letters", "Spell the word thermodynamics backwards. Reply with the letters and nothing else."),
        ("rhyme", "Write two lines about copper that rhyme. Reply with the two lines and nothing else."),
        ("translation", "Reply with the French for this and nothing else: The early bird may well regret it."),
        ("code", "Reply with one Python expression for the sum of the squares of the even numbers in xs."),
    ].map { ProbePrompt(name: $0, prompt: $1) }

    /// Names what is asked: other words are another probe.
    var probe: String {
        let digits = String(Hash64.hash("\(Self.answerTokens)\n\(prompt)", salt: 0), radix: 16)
        return "\(name)-\(String(repeating: "0", count: 16 - digits.count))\(digits)"
    }

    /// The body of a chat completion.
    func body(model: String) throws -> [UInt8] {
        struct Body: Encodable {
            struct Message: Encodable {
                var role = "user"
                var content: String
            }
            var model: String
            var messages: [Message]
            var temperature = 0
            var maxTokens = ProbePrompt.answerTokens

            enum CodingKeys: String, CodingKey {
                case model, messages, temperature
                case maxTokens = "max_tokens"
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(Body(model: model, messages: [Body.Message(content: prompt)])))
    }

    /// A bound of what one answer costs: no tokenizer makes more than a token of three bytes of plain text.
    package func mostCost(_ price: TokenPrice) -> NanoUSD {
        price.cost(input: prompt.utf8.count / 3 + 32, output: Self.answerTokens)
    }
}
