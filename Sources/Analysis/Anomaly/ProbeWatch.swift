import Statistics

/// One answer to a fixed prompt that is sent again and again, at temperature 0, to see whether it is still answered by
/// the same model.
package struct ProbeResult: Sendable, Equatable {
    /// Which prompt: the same name for the same bytes.
    package var probe: String
    /// 64-bit hash of the answer's text.
    package var digest: UInt64
    package var outputTokens: Int64

    package init(probe: String, digest: UInt64, outputTokens: Int64) {
        self.probe = probe
        self.digest = digest
        self.outputTokens = outputTokens
    }
}

/// Whether a model answers fixed prompts as it first did. Even at temperature 0 the same model does not always give the
/// same bytes: what is counted is how often an answer is none of the first ones.
package struct ProbeWatch: Codable, Sendable, Equatable {
    /// Prompts watched; a further one takes the place of the one that was not answered for longest.
    package static let mostProbes = 32
    /// First answers to a prompt that say what is known.
    private static let learned = 8

    private struct Known: Codable, Sendable, Equatable {
        var digests: [UInt64] = []
        var tokens = Moments()
        /// Of the latest answer.
        var at: Int64 = 0
    }

    private var known: [String: Known] = [:]
    private var unknown = CountWatch(halfLife: 10_000, warmUp: 40, swings: false)
    /// Output tokens of the latest answers as a multiple of the first ones: the newest counts a twentieth.
    private(set) var tokenRatio = 1.0

    /// Since what is known of them changed; its reference and level are shares of answers unlike all first ones.
    var incident: Incident? { unknown.incident }
    var evidence: Double { unknown.evidence }
    /// Answers unlike the first ones are more than they were.
    var isOther: Bool { incident?.isRise == true }

    mutating func add(_ results: [ProbeResult], at ms: Int64, limit: Double) {
        // What has answered so for a day is what is known from now on.
        if incident?.isOld(at: ms) == true { self = ProbeWatch() }
        var events = 0.0, trials = 0.0
        for result in results {
            if known[result.probe] == nil, known.count >= Self.mostProbes { forgetOne() }
            known[result.probe, default: Known()].at = ms
            guard var one = known[result.probe] else { continue }
            if one.tokens.n < Int64(Self.learned) {
                if !one.digests.contains(result.digest) { one.digests.append(result.digest) }
                one.tokens.add(Double(result.outputTokens))
                known[result.probe] = one
                continue
            }
            trials += 1
            if !one.digests.contains(result.digest) { events += 1 }
            if let mean = one.tokens.mean, mean > 0 {
                tokenRatio += (Double(result.outputTokens) / mean - tokenRatio) / 20
            }
        }
        unknown.add(events, of: trials, at: ms, limit: limit)
    }

    /// Prompts that were changed are not asked any more.
    private mutating func forgetOne() {
        guard let oldest = known.min(by: { ($0.value.at, $0.key) < ($1.value.at, $1.key) }) else { return }
        known[oldest.key] = nil
    }

    mutating func settle(limit: Double, at ms: Int64) {
        unknown.settle(limit: limit, at: ms) { before, since in since >= before + 0.1 }
    }
}
