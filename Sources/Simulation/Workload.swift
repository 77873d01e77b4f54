import Core

/// One recorded arrival.
package struct Arrival: Sendable, Equatable {
    /// Seconds since the first request.
    package var atS: Double
    package var inputTokens: Int?
    package var outputTokens: Int?

    package init(atS: Double, inputTokens: Int? = nil, outputTokens: Int? = nil) {
        self.atS = atS
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
    }
}

/// When requests arrive.
package enum Arrivals: Sendable {
    /// Independent gaps (a Poisson process) at so many requests a second, without end.
    case poisson(ratePerS: Double)
    /// As recorded; `repeats` starts over after the last, at the mean gap.
    case recorded([Arrival], repeats: Bool)

    /// Reads `t_s,input_tokens,output_tokens`, ordered by `t_s`.
    ///
    /// - Throws: `TrimtabError` naming file and line.
    package static func load(path: String, repeats: Bool = false) throws -> Arrivals {
        let file = try CSVFile(path: path, required: ["t_s"])
        var arrivals: [Arrival] = []
        try file.forEachRow { row in
            let at = try row.requiredNumber("t_s", in: 0...1e9)
            if let last = arrivals.last, at < last.atS {
                throw row.fault("t_s", "goes back from \(last.atS) to \(at)", "Sort the file by 't_s'.")
            }
            arrivals.append(
                Arrival(
                    atS: at, inputTokens: try row.number("input_tokens", in: 0...1e8).map { Int($0) },
                    outputTokens: try row.number("output_tokens", in: 0...1e8).map { Int($0) }))
        }
        guard !arrivals.isEmpty else {
            throw TrimtabError(
                "simulation.file_empty", "\(path): there is no arrival below the header.",
                remedy: "Give a file with at least one row.")
        }
        return .recorded(arrivals, repeats: repeats)
    }
}

/// Which prompts are asked.
package enum Prompts: Sendable {
    /// So many made-up prompts, with a log-normal length around `meanTokens`.
    case synthetic(count: Int, meanTokens: Double)
    /// These ids, drawn with replacement.
    case recorded([String])
}

/// The shape of simulated traffic.
package struct TrafficShape: Codable, Sendable, Equatable {
    /// Requests a second, above 0; recorded arrivals take its place.
    package var ratePerS = 150.0
    /// Share of streamed requests, 0...1.
    package var streamShare = 0.3
    /// Share of answers that get feedback, 0...1.
    package var feedbackShare = 0.5
    /// Sessions open at the same time; 0 sends none.
    package var sessions = 200
    /// Mean number of requests in a session, at least 1.
    package var requestsPerSession = 5.0
    package var prompts = 5_000
    package var inputTokens = 300.0

    package init() {}

    enum CodingKeys: String, CodingKey, CaseIterable {
        case sessions, prompts
        case ratePerS = "rate_per_s"
        case streamShare = "stream_share"
        case feedbackShare = "feedback_share"
        case requestsPerSession = "requests_per_session"
        case inputTokens = "input_tokens"
    }

    package init(from decoder: any Decoder) throws {
        try rejectUnknownKeys(of: CodingKeys.self, in: decoder)
        let c = try decoder.container(keyedBy: CodingKeys.self)
        ratePerS = try c.decodeIfPresent(Double.self, forKey: .ratePerS) ?? ratePerS
        streamShare = try c.decodeIfPresent(Double.self, forKey: .streamShare) ?? streamShare
        feedbackShare = try c.decodeIfPresent(Double.self, forKey: .feedbackShare) ?? feedbackShare
        sessions = try c.decodeIfPresent(Int.self, forKey: .sessions) ?? sessions
        requestsPerSession = try c.decodeIfPresent(Double.self, forKey: .requestsPerSession) ?? requestsPerSession
        prompts = try c.decodeIfPresent(Int.self, forKey: .prompts) ?? prompts
        inputTokens = try c.decodeIfPresent(Double.self, forKey: .inputTokens) ?? inputTokens
    }
}

/// One request of a workload.
package struct PlannedRequest: Sendable, Equatable {
    /// Milliseconds since the start, not yet divided by any speed.
    package var atMs: Double
    package var prompt: String
    package var inputTokens: Int
    package var outputTokens: Int?
    package var session: String?
    package var stream: Bool
    package var givesFeedback: Bool
}

/// The same requests from the same seed, whatever becomes of them.
package struct Workload: Sendable {
    private let arrivals: Arrivals
    private let prompts: Prompts
    private let shape: TrafficShape
    private var generator: SplitMix64
    private var clockMs = 0.0
    private var index = 0
    private var offsetS = 0.0
    private var sessions: [Int]
    private var nextSession: Int

    package init(arrivals: Arrivals? = nil, prompts: Prompts? = nil, shape: TrafficShape = .init(), seed: UInt64) {
        self.arrivals = arrivals ?? .poisson(ratePerS: shape.ratePerS)
        self.prompts = prompts ?? .synthetic(count: shape.prompts, meanTokens: shape.inputTokens)
        self.shape = shape
        generator = SplitMix64(seed: seed)
        sessions = Array(0..<max(0, min(shape.sessions, 1_000_000)))
        nextSession = sessions.count
    }

    /// `nil` after the last recorded arrival.
    package mutating func next() -> PlannedRequest? {
        guard let arrival = nextArrival() else { return nil }
        let (prompt, length) = nextPrompt()
        return PlannedRequest(
            atMs: clockMs, prompt: prompt, inputTokens: arrival.inputTokens ?? length,
            outputTokens: arrival.outputTokens, session: nextSessionName(),
            stream: generator.unit() < shape.streamShare, givesFeedback: generator.unit() < shape.feedbackShare)
    }

    private mutating func nextArrival() -> Arrival? {
        switch arrivals {
        case .poisson(let rate):
            clockMs += -logarithm(1 - generator.unit()) * 1000 / max(rate, 1e-3)
            return Arrival(atS: clockMs / 1000)
        case .recorded(let list, let repeats):
            guard let first = list.first, let last = list.last else { return nil }
            if index == list.count {
                guard repeats else { return nil }
                offsetS += last.atS - first.atS + max(1e-3, (last.atS - first.atS) / Double(list.count))
                index = 0
            }
            let arrival = list[index]
            index += 1
            clockMs = (arrival.atS - first.atS + offsetS) * 1000
            return arrival
        }
    }

    private mutating func nextPrompt() -> (String, Int) {
        switch prompts {
        case .synthetic(let count, let mean):
            let number = pick(count)
            var own = SplitMix64(seed: UInt64(number) &* 0x9E37_79B9)
            return ("p-\(number)", max(8, Int(min(mean * exponential(0.5 * own.normal()), 1e6))))
        case .recorded(let ids):
            return ids.isEmpty ? ("p-0", 100) : (ids[pick(ids.count)], 100)
        }
    }

    private mutating func nextSessionName() -> String? {
        guard !sessions.isEmpty else { return nil }
        let slot = pick(sessions.count)
        let number = sessions[slot]
        // Each request ends its session with this probability, so lengths are geometric.
        if generator.unit() * max(1, shape.requestsPerSession) < 1 {
            sessions[slot] = nextSession
            nextSession += 1
        }
        return "s-\(number)"
    }

    private mutating func pick(_ count: Int) -> Int { min(Int(generator.unit() * Double(count)), max(0, count - 1)) }
}
