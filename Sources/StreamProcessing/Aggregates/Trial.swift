import Core
import Telemetry

/// What one request of a rollout, or one piece of feedback on it, tells of its arm.
///
/// Evidence keeps them one by one and not as sums, because what counts is known only where all partitions meet: the
/// first failure of a user and not the tenth, a cost once the provider's cache is warm, an answer slower than a bound
/// that is frozen for this rollout.
package struct Trial: Sendable, Equatable {
    /// Hash of the session, key or user that assignment stuck to; `nil` where the request was assigned by itself.
    package var unit: UInt32?
    /// When the request ended or the feedback was given, milliseconds since the epoch.
    package var at: Int64
    /// Hash of the request that a shadow repeats, the same for both sides; `nil` where there cannot be two.
    package var pair: UInt32?
    package var observation: Observation

    package init(unit: UInt32? = nil, at: Int64, pair: UInt32? = nil, _ observation: Observation) {
        self.unit = unit
        self.at = at
        self.pair = pair
        self.observation = observation
    }

    package enum Observation: Sendable, Equatable {
        case request(Answer)
        /// Feedback named `quality`, 0...1.
        case quality(Double)
    }

    /// How a request ended.
    package struct Answer: Sendable, Equatable {
        package var marks: Marks
        /// To the last byte and to the first token, milliseconds; `nil` unless the answer is complete.
        package var latencyMs: Float?
        package var ttftMs: Float?
        /// Nano-dollars; `nil` where unknown.
        package var cost: Int64?
        /// Output tokens; `nil` where unknown.
        package var tokens: Int64?

        package init(
            _ marks: Marks = [], latencyMs: Float? = nil, ttftMs: Float? = nil, cost: Int64? = nil, tokens: Int64? = nil
        ) {
            self.marks = marks
            self.latencyMs = latencyMs
            self.ttftMs = ttftMs
            self.cost = cost
            self.tokens = tokens
        }
    }

    /// What is true of an answer. The values are stored and never given to another meaning.
    package struct Marks: OptionSet, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        package static let failed = Marks(rawValue: 1 << 0)
        package static let timedOut = Marks(rawValue: 1 << 1)
        /// The provider's rate limit or quota refused it.
        package static let overQuota = Marks(rawValue: 1 << 2)
        /// The model refused to answer; meaningful only with `refusalChecked`. An empty answer counts as one.
        package static let refused = Marks(rawValue: 1 << 3)
        package static let refusalChecked = Marks(rawValue: 1 << 4)
        /// Not the JSON that was asked for; meaningful only with `schemaChecked`.
        package static let malformed = Marks(rawValue: 1 << 5)
        package static let schemaChecked = Marks(rawValue: 1 << 6)
    }
}

extension Trial {
    init(_ record: borrowing RequestRecord) {
        var marks: Marks = []
        if record.outcome.isFailure { marks.insert(.failed) }
        if record.outcome == .timeout { marks.insert(.timedOut) }
        if record.outcome.isFailure, record.error == .rateLimited || record.error == .quota {
            marks.insert(.overQuota)
        }
        if let refusal = record.checks?.refusal {
            marks.insert(.refusalChecked)
            if refusal || record.checks?.empty == true { marks.insert(.refused) }
        }
        if let schema = record.checks?.schema {
            marks.insert(.schemaChecked)
            if !schema { marks.insert(.malformed) }
        }
        let isWhole = record.outcome == .complete
        self.init(
            unit: record.unit, at: record.at,
            pair: Self.pair(arm: record.arm, id: record.id, shadowOf: record.shadowOf),
            .request(
                Answer(
                    marks, latencyMs: isWhole ? Float(record.totalMs) : nil,
                    ttftMs: isWhole ? record.ttftMs.map { Float($0) } : nil, cost: record.cost?.value,
                    tokens: record.tokens.map { Int64($0.output) })))
    }

    /// Whether stable's request has a copy is not known where it is counted, so it always may be a side of a pair.
    static func pair(arm: Arm, id: UUIDv7, shadowOf: UUIDv7?) -> UInt32? {
        let shared = arm == .stable ? id : arm == .shadow ? shadowOf : nil
        return shared.map { UInt32(truncatingIfNeeded: (($0.low ^ $0.high) &* 0x9E37_79B9_7F4A_7C15) >> 32) }
    }
}

// MARK: Stored form

extension EvidencePane {
    private static let version: UInt8 = 3
    /// The form without pairs.
    private static let earlier: UInt8 = 2

    /// The trials as bytes: a version, their number, then each with its time since the one before; some 15 to 30 bytes
    /// a request.
    package var encodedTrials: [UInt8] {
        var writer = ByteWriter(version: Self.version)
        var last: Int64 = 0
        writer.append(UInt64(trials.count))
        for trial in trials {
            writer.append(trial.at - last)
            last = trial.at
            switch trial.observation {
            case .request(let answer): answer.append(to: &writer, of: trial)
            case .quality(let value):
                trial.append(to: &writer, head: Self.isQuality)
                writer.append(value)
            }
        }
        return writer.bytes
    }

    // What a trial has, above the sixteen bits of its marks.
    fileprivate static let isQuality: UInt32 = 1 << 16
    fileprivate static let hasUnit: UInt32 = 1 << 17
    fileprivate static let hasLatency: UInt32 = 1 << 18
    fileprivate static let hasTTFT: UInt32 = 1 << 19
    fileprivate static let hasCost: UInt32 = 1 << 20
    fileprivate static let hasTokens: UInt32 = 1 << 21
    fileprivate static let hasPair: UInt32 = 1 << 22

    /// `nil` for bytes of another version, cut short, with something behind, or that make no sense.
    package static func trials(encoded bytes: some Collection<UInt8>) -> [Trial]? {
        guard var reader = ByteReader(bytes, version: version) ?? ByteReader(bytes, version: earlier),
            let count = reader.count()
        else { return nil }
        var trials: [Trial] = []
        trials.reserveCapacity(count)
        var at: Int64 = 0
        for _ in 0..<count {
            guard let step = reader.signed(), let trial = reader.trial(at: at &+ step) else { return nil }
            at = trial.at
            trials.append(trial)
        }
        return reader.isAtEnd ? trials : nil
    }
}

extension Trial {
    fileprivate func append(to writer: inout ByteWriter, head: UInt32) {
        var head = head
        if unit != nil { head |= EvidencePane.hasUnit }
        if pair != nil { head |= EvidencePane.hasPair }
        writer.append(UInt64(head))
        if let unit { writer.append(UInt64(unit)) }
        if let pair { writer.append(UInt64(pair)) }
    }
}

extension Trial.Answer {
    fileprivate func append(to writer: inout ByteWriter, of trial: Trial) {
        var head = UInt32(marks.rawValue)
        if latencyMs != nil { head |= EvidencePane.hasLatency }
        if ttftMs != nil { head |= EvidencePane.hasTTFT }
        if cost != nil { head |= EvidencePane.hasCost }
        if tokens != nil { head |= EvidencePane.hasTokens }
        trial.append(to: &writer, head: head)
        if let latencyMs { writer.append(UInt64(latencyMs.bitPattern)) }
        if let ttftMs { writer.append(UInt64(ttftMs.bitPattern)) }
        if let cost { writer.append(cost) }
        if let tokens { writer.append(tokens) }
    }
}

extension ByteReader {
    fileprivate mutating func trial(at: Int64) -> Trial? {
        guard let head = word() else { return nil }
        var unit: UInt32?
        if head & EvidencePane.hasUnit != 0 {
            guard let value = word() else { return nil }
            unit = value
        }
        var pair: UInt32?
        if head & EvidencePane.hasPair != 0 {
            guard let value = word() else { return nil }
            pair = value
        }
        if head & EvidencePane.isQuality != 0 {
            return double().map { Trial(unit: unit, at: at, pair: pair, .quality($0)) }
        }
        var answer = Trial.Answer(Trial.Marks(rawValue: UInt16(truncatingIfNeeded: head)))
        if head & EvidencePane.hasLatency != 0 {
            guard let bits = word() else { return nil }
            answer.latencyMs = Float(bitPattern: bits)
        }
        if head & EvidencePane.hasTTFT != 0 {
            guard let bits = word() else { return nil }
            answer.ttftMs = Float(bitPattern: bits)
        }
        if head & EvidencePane.hasCost != 0 {
            guard let cost = signed() else { return nil }
            answer.cost = cost
        }
        if head & EvidencePane.hasTokens != 0 {
            guard let tokens = signed() else { return nil }
            answer.tokens = tokens
        }
        return Trial(unit: unit, at: at, pair: pair, .request(answer))
    }

    private mutating func word() -> UInt32? { unsigned().flatMap { UInt32(exactly: $0) } }
}
