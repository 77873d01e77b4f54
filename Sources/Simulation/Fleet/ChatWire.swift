import Core
import Foundation

/// What the fleet reads of a chat request; everything else in it is ignored.
struct ChatRequest: Decodable {
    var model: String
    var messages: [Message]
    var stream: Bool?
    var streamOptions: StreamOptions?
    var metadata: [String: String]?
    var temperature: Double?

    struct StreamOptions: Decodable {
        var includeUsage: Bool?
        enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
    }

    struct Message: Decodable {
        var content: Content?
    }

    /// A string, or a list of parts of which the text ones count.
    struct Content: Decodable {
        var text: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self.text = text
            } else {
                text = try container.decode([Part].self).compactMap(\.text).joined(separator: "\n")
            }
        }

        struct Part: Decodable { var text: String? }
    }

    enum CodingKeys: String, CodingKey {
        case model, messages, stream, metadata, temperature
        case streamOptions = "stream_options"
    }

    var simulated: SimulatedRequest {
        let texts = messages.compactMap(\.content?.text)
        let bytes = texts.reduce(0) { $0 + $1.utf8.count }
        var request = SimulatedRequest(
            prompt: metadata?["prompt_id"] ?? texts.last.flatMap(PromptText.id) ?? texts.last ?? "",
            inputTokens: (bytes + 3) / 4, outputTokens: metadata?["output_tokens"].flatMap { Int($0) })
        request.isFixed = temperature == 0
        return request
    }
}

/// The text of a simulated prompt. It carries its own id, so that the fleet knows it whatever metadata a proxy drops.
enum PromptText {
    /// Longer prompts are cut: what is simulated is the traffic, not the network.
    static let maximumBytes = 32 << 10
    private static let opening = "[prompt "
    private static let filler = "Please read the following customer message and answer it politely and briefly. "

    static func make(id: String, tokens: Int) -> String {
        var text = "\(opening)\(id)] "
        let wanted = min(tokens, maximumBytes / 4) * 4
        while text.utf8.count < wanted { text += filler }
        return String(text.prefix(max(wanted, opening.count + id.count + 2)))
    }

    static func id(in text: String) -> String? {
        guard text.hasPrefix(opening), let end = text.firstIndex(of: "]") else { return nil }
        return String(text.dropFirst(opening.count).prefix(upTo: end))
    }
}

/// The answers of the OpenAI chat completions protocol, as bytes.
enum ChatWire {
    /// At most so many content chunks a stream, whatever the answer's length.
    static let maximumChunks = 16
    private static let words = "This is a simulated answer to your question and it says nothing about any real model. "

    /// Text of roughly so many tokens, four bytes each, at most 64 KiB.
    static func text(_ answer: SimulatedAnswer) -> String {
        let bytes = max(1, min(answer.outputTokens, 16 << 10) * 4)
        let opening = answer.wording == 0 ? "" : String(answer.wording, radix: 36) + " "
        return opening + String(String(repeating: words, count: bytes / words.utf8.count + 1).prefix(bytes))
    }

    struct Identity {
        var id: String
        /// Seconds since the epoch.
        var created: Int64
        var model: String
    }

    static func completion(_ identity: Identity, _ answer: SimulatedAnswer) -> String {
        """
        {"id":\(quoted(identity.id)),"object":"chat.completion","created":\(identity.created),\
        "model":\(quoted(identity.model)),"choices":[{"index":0,"message":{"role":"assistant",\
        "content":\(quoted(text(answer))),"refusal":null},"logprobs":null,\
        "finish_reason":"stop"}],"usage":\(usage(answer)),"system_fingerprint":"fp_simulated"}
        """
    }

    /// The payloads of a streamed answer in order: role, content, finish reason, usage if asked, `[DONE]`.
    static func chunks(_ identity: Identity, _ answer: SimulatedAnswer, includeUsage: Bool) -> [String] {
        let content = Array(text(answer).utf8)
        let count = max(1, min(maximumChunks, answer.outputTokens))
        func chunk(_ delta: String, finish: String = "null") -> String {
            let trailer = includeUsage ? ",\"usage\":null" : ""
            return head(identity)
                + "[{\"index\":0,\"delta\":{\(delta)},\"logprobs\":null,\"finish_reason\":\(finish)}]\(trailer)}"
        }
        var payloads = [chunk("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null")]
        for part in 0..<count {
            let bytes = content[content.count * part / count..<content.count * (part + 1) / count]
            payloads.append(chunk("\"content\":\(quoted(String(decoding: bytes, as: UTF8.self)))"))
        }
        payloads.append(chunk("", finish: "\"stop\""))
        if includeUsage { payloads.append(head(identity) + "[],\"usage\":\(usage(answer))}") }
        return payloads + ["[DONE]"]
    }

    private static func head(_ identity: Identity) -> String {
        """
        {"id":\(quoted(identity.id)),"object":"chat.completion.chunk","created":\(identity.created),\
        "model":\(quoted(identity.model)),"system_fingerprint":"fp_simulated","choices":
        """
    }

    private static func usage(_ answer: SimulatedAnswer) -> String {
        """
        {"prompt_tokens":\(answer.inputTokens),"completion_tokens":\(answer.outputTokens),\
        "total_tokens":\(answer.inputTokens + answer.outputTokens),"prompt_tokens_details":{"cached_tokens":0},\
        "completion_tokens_details":{"reasoning_tokens":0}}
        """
    }

    static func error(_ message: String, type: String, code: String?, parameter: String? = nil) -> String {
        """
        {"error":{"message":\(quoted(message)),"type":\(quoted(type)),"param":\(parameter.map(quoted) ?? "null"),\
        "code":\(code.map(quoted) ?? "null")}}
        """
    }

    static func models(_ models: [SimulatedModel], created: Int64) -> String {
        let rows = models.map {
            "{\"id\":\(quoted($0.name)),\"object\":\"model\",\"created\":\(created),\"owned_by\":\(quoted($0.provider))}"
        }
        return "{\"object\":\"list\",\"data\":[\(rows.joined(separator: ","))]}"
    }

    /// A JSON string literal.
    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
