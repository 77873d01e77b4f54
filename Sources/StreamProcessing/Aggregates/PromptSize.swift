package import Telemetry

/// How long a prompt is, in input tokens: requests are compared with others of about their size.
package enum PromptSize: String, Sendable, CaseIterable {
    case under256 = "0_256"
    case under1k = "256_1k"
    case under4k = "1k_4k"
    case under16k = "4k_16k"
    case under64k = "16k_64k"
    case longer = "64k_up"

    package init(tokens: Int) {
        switch tokens {
        case ..<256: self = .under256
        case ..<1_024: self = .under1k
        case ..<4_096: self = .under4k
        case ..<16_384: self = .under16k
        case ..<65_536: self = .under64k
        default: self = .longer
        }
    }

    /// By the tokens that the provider counted, else by the prompt's characters, four to a token; `nil` where neither is
    /// known.
    package init?(of record: borrowing RequestRecord) {
        if let tokens = record.tokens {
            self.init(tokens: tokens.input)
        } else if let prompt = record.prompt {
            self.init(tokens: prompt.chars / 4)
        } else {
            return nil
        }
    }
}
