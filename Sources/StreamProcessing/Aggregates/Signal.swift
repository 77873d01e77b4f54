import Telemetry

/// What is true of some requests and windows count.
package enum Signal: String, Sendable, CaseIterable {
    /// The answer reached its limit of length.
    case truncated
    /// The client hung up.
    case abandoned
    /// Another target was tried before.
    case retried
    case refused, empty
    /// Not the JSON that was asked for, of those checked.
    case badSchema = "bad_schema"
    case schemaChecked = "schema_checked"
    /// A tool call that cannot be made, of those checked.
    case badTools = "bad_tools"
    case toolsChecked = "tools_checked"
    /// The answer repeats itself.
    case repetitive
    /// The prompt of another request was sent again soon.
    case regenerated
    /// The provider read a part of the prompt from its cache.
    case cached
    /// Neither streamed nor of a session or a user: nobody seems to wait for it.
    case unattended

    /// What stands for it in stored aggregates, below `codes`. A code is never given to another signal.
    var code: Int {
        switch self {
        case .truncated: 0
        case .abandoned: 1
        case .retried: 2
        case .refused: 3
        case .empty: 4
        case .badSchema: 5
        case .schemaChecked: 6
        case .badTools: 7
        case .toolsChecked: 8
        case .repetitive: 9
        case .regenerated: 10
        case .cached: 11
        case .unattended: 12
        }
    }

    static let codes = 13

    /// By code.
    static let coded = allCases.sorted { $0.code < $1.code }

    /// The signals of a request, a bit for each code.
    @inline(__always)
    static func bits(of record: borrowing RequestRecord) -> UInt16 {
        var bits: UInt16 = 0
        if record.outcome == .clientGone { bits |= 1 << 1 }
        if !record.attempts.isEmpty { bits |= 1 << 2 }
        if record.regenerates != nil { bits |= 1 << 10 }
        if let tokens = record.tokens, tokens.cachedRead > 0 { bits |= 1 << 11 }
        if record.finish == "length" { bits |= 1 << 0 }
        if !record.stream, record.session == nil, record.user == nil { bits |= 1 << 12 }
        if let checks = record.checks {
            if checks.refusal == true { bits |= 1 << 3 }
            if checks.empty == true { bits |= 1 << 4 }
            if let schema = checks.schema { bits |= schema ? 1 << 6 : 1 << 6 | 1 << 5 }
            if let tools = checks.tools { bits |= tools ? 1 << 8 : 1 << 8 | 1 << 7 }
            if checks.repetition == true { bits |= 1 << 9 }
        }
        return bits
    }
}
