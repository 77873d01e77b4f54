import Core
import Telemetry
import Testing

@Suite struct EventCodecTests {
    private let decoder = EventDecoder()

    @Test("A full request record has the wire form that the contract names")
    func goldenRequest() throws {
        let json = #"""
            {"v":1,"id":"01932f5c-3a1b-7abc-8def-0123456789ab","producer":"gw-7f3a/12","seq":18231,"at":1763650000935,\#
            "started_at":1763650000123,"client_request_id":"abc","route":"support-chat","project":"shop","key":"web",\#
            "session":"5e55","user":"00ff","tags":{"tier":"gold"},"endpoint":"responses","stream":true,"policy":17,\#
            "rollout":"01932f5c-3a1b-7abc-8def-0123456789ac","step":2,"arm":"candidate","candidate_weight":0.05,\#
            "propensity":0.05,"variant":"short","target":"cheap","provider":"openai","model":"gpt-4o-mini",\#
            "credential":"main","attempts":[{"target":"strong","outcome":"rate_limited","status":429,"ms":31.2}],\#
            "outcome":"complete","status":200,"finish":"stop","queue_ms":0.5,"ttft_ms":211.7,"total_ms":812.4,\#
            "overhead_ms":0.06,"tokens":{"input":512,"cached_read":3,"output":187,"source":"estimated"},\#
            "cost_nano_usd":189120,"price":"2026-07-02#41","prompt":{"chars":2048,"messages":3,\#
            "features":"0123456789ab01020304fedcba98762a"},"checks":{"schema":true,"refusal":false,"tools":false,\#
            "repetition":true},"shadow_of":"01932f5c-3a1b-7abc-8def-0123456789ad",\#
            "regenerates":"01932f5c-3a1b-7abc-8def-0123456789ae"}
            """#
        guard case .request(let record) = try decoder.decode(Array(json.utf8), kind: .request) else {
            Issue.record("not a request")
            return
        }
        #expect(record.producer == "gw-7f3a/12" && record.seq == 18231 && record.policy == 17 && record.step == 2)
        #expect(record.arm == .candidate && record.candidateWeight == 0.05 && record.tags == ["tier": "gold"])
        #expect(record.attempts == [.init(target: "strong", outcome: .rateLimited, status: 429, ms: 31.2)])
        #expect(record.tokens?.cachedRead == 3 && record.tokens?.source == .estimated)
        #expect(record.cost == NanoUSD(189_120) && record.ttftMs == 211.7 && record.checks?.empty == nil)
        let features = PromptFeatures(
            exact: 0x0123_4567_89ab, template: 0x0102_0304, prefix: 0xfe_dcba_9876, kind: 0x2a)
        #expect(record.prompt?.features == features && record.checks?.tools == false)
        #expect(record.checks?.repetition == true && record.regenerates?.low == 0x8def_0123_4567_89ae)
        #expect(encoded(.request(record)) == json)
    }

    @Test("A prompt's hashes are 32 hex digits, of which a short prompt's prefix is zero; all else is refused")
    func promptFeatures() throws {
        let short = PromptFeatures(exact: .max, template: 1, prefix: nil, kind: 3)
        #expect(short.hex == "ffffffffffff00000001000000000003" && short.prefix == nil && short.exact == 1 << 48 - 1)
        #expect(PromptFeatures(hex: short.hex) == short)
        #expect(PromptFeatures(exact: 0, template: 0, prefix: 1 << 40, kind: 0).prefix == 1)
        #expect((short.exactHex, short.templateHex, short.kindHex) == ("ffffffffffff", "00000001", "03"))
        let head =
            #"{"v":1,"id":"01932f5c-3a1b-7abc-8def-0123456789ab","at":1763650000935,"started_at":1763650000123,"#
            + #""route":"chat","outcome":"complete","status":200,"total_ms":3,"#
        let id = "01932f5c-3a1b-7abc-8def-0123456789a"
        for (json, field) in [
            (#""prompt":{"features":"0123"}"#, "prompt.features"),
            (#""prompt":{"features":"\#(String(repeating: "F", count: 32))"}"#, "prompt.features"),
            (#""prompt":{"features":"\#(String(repeating: "g", count: 32))"}"#, "prompt.features"),
            (#""prompt":{"features":7}"#, "prompt.features"), (#""regenerates":"\#(id)""#, "regenerates"),
            (#""regenerates":1"#, "regenerates"), (#""checks":{"tools":1}"#, "checks.tools"),
            (#""checks":{"repetition":"yes"}"#, "checks.repetition"),
        ] {
            #expect {
                try decoder.decode(Array((head + json + "}").utf8), kind: .request)
            } throws: { error in
                guard let error = error as? EventError else { return false }
                return error.reason == .badValue && error.detail.hasPrefix(field + " must be")
            }
        }
    }

    @Test("A shadow carries the request that it copies, and that request's bucket")
    func goldenShadow() throws {
        let original = UUIDv7(high: 0x0193_2f5c_3a1b_7abc, low: 0x8def_0123_4567_89ab)
        var record = RequestRecord(
            id: UUIDv7(high: 0x0193_2f5c_3f00_7001, low: 0x8000_0000_0000_09ab), at: 1_763_650_002_101,
            startedAt: 1_763_650_001_300, route: "support-chat", outcome: .complete, status: 200, totalMs: 800.5)
        (record.key, record.session, record.tags) = ("web", "5e55", ["tier": "gold"])
        (record.policy, record.step, record.arm) = (18, 2, .shadow)
        record.rollout = UUIDv7(high: 0x0193_2f5c_3a1b_7abc, low: 0x8def_0123_4567_89ac)
        (record.candidateWeight, record.propensity) = (0.2, 0.198)
        (record.target, record.provider, record.model) = ("cheap", "openai", "gpt-4o-mini")
        (record.finish, record.ttftMs, record.tokens) = ("stop", 210.25, TokenUsage(input: 512, output: 187))
        (record.cost, record.price) = (NanoUSD(189_120), "2026-07-02#41")
        var (prompt, checks) = (RequestRecord.Prompt(), RequestRecord.Checks())
        (prompt.chars, prompt.messages) = (2_048, 3)
        (checks.schema, checks.refusal, checks.empty) = (true, false, false)
        (record.prompt, record.checks, record.shadowOf) = (prompt, checks, original)
        let json = #"""
            {"v":1,"id":"01932f5c-3f00-7001-8000-0000000009ab","at":1763650002101,"started_at":1763650001300,\#
            "route":"support-chat","key":"web","session":"5e55","tags":{"tier":"gold"},"policy":18,\#
            "rollout":"01932f5c-3a1b-7abc-8def-0123456789ac","step":2,"arm":"shadow","candidate_weight":0.2,\#
            "propensity":0.198,"target":"cheap","provider":"openai","model":"gpt-4o-mini","outcome":"complete",\#
            "status":200,"finish":"stop","ttft_ms":210.25,"total_ms":800.5,"tokens":{"input":512,"output":187},\#
            "cost_nano_usd":189120,"price":"2026-07-02#41","prompt":{"chars":2048,"messages":3},\#
            "checks":{"schema":true,"refusal":false,"empty":false},"shadow_of":"01932f5c-3a1b-7abc-8def-0123456789ab"}
            """#
        #expect(encoded(.request(record)) == json)
        #expect(try decoder.decode(Array(json.utf8), kind: .request) == .request(record))
        #expect((0..<64).allSatisfy { record.id.partition(of: $0) == original.partition(of: $0) })
    }

    @Test("Absent and default values are not written, and read back as such")
    func goldenSmall() throws {
        let id = UUIDv7(high: 0x0193_2f5c_3a1b_7abc, low: 0x8def_0123_4567_89ab)
        let record = RequestRecord(
            id: id, at: 1_763_650_000_935, startedAt: 1_763_650_000_123, route: "chat", outcome: .rejected,
            status: 404, totalMs: 3)
        #expect(
            encoded(.request(record))
                == #"{"v":1,"id":"01932f5c-3a1b-7abc-8def-0123456789ab","at":1763650000935,"#
                + #""started_at":1763650000123,"route":"chat","outcome":"rejected","status":404,"total_ms":3}"#)
        #expect(try decoder.decode(Array(encoded(.request(record)).utf8), kind: .request) == .request(record))
        let feedback = Feedback(
            id: id, request: id, at: 1_763_650_000_935, name: "quality", value: 0.25, source: .judge)
        #expect(
            encoded(.feedback(feedback))
                == #"{"v":1,"id":"01932f5c-3a1b-7abc-8def-0123456789ab","request":"01932f5c-3a1b-7abc-8def-0123456789ab","#
                + #""at":1763650000935,"name":"quality","value":0.25,"source":"judge"}"#)
    }

    @Test("Whatever is written reads back the same", arguments: [1, 2, 3] as [UInt64])
    func roundTrip(seed: UInt64) throws {
        var events = RandomEvents(seed: seed)
        for _ in 0..<2_000 {
            let event = events.next()
            let json = encoded(event)
            let read = try decoder.decode(Array(json.utf8), kind: event.kind)
            guard read == event else {
                Issue.record("changed on the way: \(json)")
                return
            }
        }
    }

    @Test("No sequence of broken bytes does more than be refused", arguments: [11, 12, 13] as [UInt64])
    func fuzz(seed: UInt64) {
        var events = RandomEvents(seed: seed)
        for _ in 0..<3_000 {
            var bytes = Array(encoded(events.next()).utf8)
            for _ in 0...events.below(4) {
                let at = Int(events.below(Int64(bytes.count)))
                switch events.below(4) {
                case 0: bytes[at] = UInt8(events.below(256))
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(UInt8(ascii: "\""), at: at)
                default: bytes.removeSubrange(at..<min(bytes.count, at + 9))
                }
                if bytes.isEmpty { bytes = [0x7b] }
            }
            for kind in LogEvent.Kind.allCases {
                guard let read = try? decoder.decode(bytes, kind: kind) else { continue }
                #expect((try? decoder.decode(Array(encoded(read).utf8), kind: kind)) == read)
            }
        }
    }

    private func encoded(_ event: LogEvent) -> String {
        var bytes: [UInt8] = []
        EventEncoder.encode(event, into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
