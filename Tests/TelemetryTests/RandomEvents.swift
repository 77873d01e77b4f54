import Core
import Telemetry

/// Makes events with every field drawn at random, present or not.
struct RandomEvents {
    var random: SplitMix64
    private let alphabet: [Character]

    /// - Parameter plain: With texts that need no escape and are ASCII.
    init(seed: UInt64, plain: Bool = false) {
        random = SplitMix64(seed: seed)
        alphabet = Array(plain ? "abcxyz019-_/. :," : "abcxyz019-_/. \"\\\n\t\r\u{1}\u{7f}äß€日本🧭")
    }

    mutating func next() -> LogEvent { random.next() % 4 == 0 ? .feedback(feedback()) : .request(request()) }

    private mutating func request() -> RequestRecord {
        let ended = Int64(random.next() % 4_000_000_000_000) + 946_684_800_000
        var record = RequestRecord(
            id: id(), at: ended, startedAt: max(946_684_800_000, ended - below(9_999)), route: text(),
            outcome: pick(Outcome.allCases), status: Int(below(600)), totalMs: number())
        record.producer = text()
        record.seq = below(1 << 62)
        record.clientRequestID = maybe { $0.text() }
        record.project = maybe { $0.text() }
        record.key = maybe { $0.text() }
        record.session = maybe { $0.text() }
        record.user = maybe { $0.text() }
        for _ in 0..<below(4) { record.tags[text()] = text() }
        record.endpoint = maybe { $0.text() } ?? record.endpoint
        record.stream = flag()
        record.policy = maybe { Int($0.below(1_000)) }
        record.rollout = maybe { $0.id() }
        record.step = maybe { Int($0.below(6)) }
        record.arm = pick(Arm.allCases)
        record.candidateWeight = maybe { $0.random.unit() }
        record.unit = maybe { UInt32($0.below(1 << 32)) }
        record.propensity = maybe { $0.random.unit() }
        record.variant = maybe { $0.text() }
        record.target = maybe { $0.text() }
        record.provider = maybe { $0.text() }
        record.model = maybe { $0.text() }
        record.credential = maybe { $0.text() }
        for _ in 0..<below(3) {
            record.attempts.append(
                .init(target: text(), outcome: pick(ErrorClass.allCases), status: maybe { _ in 503 }, ms: number()))
        }
        measure(&record)
        return record
    }

    private mutating func measure(_ record: inout RequestRecord) {
        record.error = maybe { $0.pick(ErrorClass.allCases) }
        record.finish = maybe { $0.text() }
        record.queueMs = maybe { $0.number() } ?? 0
        record.ttftMs = maybe { $0.number() }
        record.overheadMs = maybe { $0.number() }
        record.tokens = maybe {
            var usage = TokenUsage(input: Int($0.below(1 << 40)), output: Int($0.below(9_999)))
            usage.cachedRead = Int($0.below(3))
            usage.cacheWrite = Int($0.below(3))
            usage.reasoning = Int($0.below(3))
            usage.source = $0.flag() ? .reported : .estimated
            return usage
        }
        record.cost = maybe { NanoUSD($0.below(.max)) }
        record.price = maybe { $0.text() }
        record.prompt = maybe {
            var prompt = RequestRecord.Prompt()
            prompt.chars = Int($0.below(9_999))
            prompt.messages = Int($0.below(3))
            prompt.tools = $0.flag()
            prompt.images = Int($0.below(3))
            prompt.domain = $0.maybe { $0.text() }
            prompt.features = $0.maybe { $0.features() }
            return prompt
        }
        record.checks = maybe {
            var checks = RequestRecord.Checks()
            checks.schema = $0.maybe { $0.flag() }
            checks.refusal = $0.maybe { $0.flag() }
            checks.empty = $0.maybe { $0.flag() }
            checks.tools = $0.maybe { $0.flag() }
            checks.repetition = $0.maybe { $0.flag() }
            return checks
        }
        record.shadowOf = maybe { $0.id() }
        record.regenerates = maybe { $0.id() }
    }

    private mutating func features() -> PromptFeatures {
        PromptFeatures(
            exact: random.next(), template: UInt32(truncatingIfNeeded: random.next()),
            prefix: maybe { $0.random.next() },
            kind: UInt8(below(256)))
    }

    private mutating func feedback() -> Feedback {
        var feedback = Feedback(
            id: id(), request: id(), at: 946_684_800_000 + below(4_000_000_000_000), name: "quality_\(below(100))",
            value: random.unit(), source: pick(Feedback.Source.allCases))
        feedback.pair = maybe { $0.id() }
        feedback.comment = maybe { $0.text() }
        feedback.key = maybe { $0.text() }
        feedback.producer = text()
        feedback.seq = below(1_000)
        return feedback
    }

    mutating func below(_ bound: Int64) -> Int64 { Int64(random.next() % UInt64(bound)) }
    private mutating func flag() -> Bool { random.next() % 2 == 0 }
    private mutating func id() -> UUIDv7 { UUIDv7(milliseconds: below(1 << 47), using: &random) }
    private mutating func maybe<Value>(_ make: (inout Self) -> Value) -> Value? { flag() ? make(&self) : nil }
    private mutating func pick<Value>(_ values: [Value]) -> Value { values[Int(below(Int64(values.count)))] }

    /// Whole, thousandths, and full precision alike.
    private mutating func number() -> Double {
        switch below(4) {
        case 0: Double(below(1_000_000))
        case 1: Double(below(1_000_000)) / 1_000
        case 2: random.unit() * 1e-6
        default: random.unit() * 3e10
        }
    }

    private mutating func text() -> String {
        String((0..<below(24)).map { _ in pick(alphabet) })
    }
}
