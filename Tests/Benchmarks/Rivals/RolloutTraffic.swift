import Core
import Foundation

/// Outcomes of requests to two arms, from a seed: what every rule of a study is judged on.
package struct RolloutTraffic: Sendable {
    package let settings: Settings
    /// Candidate failures so far that the control would not have had.
    package private(set) var extraFailures = 0
    private var index = 0
    private var clockMs = 0.0
    private var step = 0
    private var stepEnd: Int
    private let total: Double
    private let salt: UInt64
    private let normals = NormalVariates()
    private var generator: SplitMix64
    private var keys: [Key] = []
    private var popularity: AliasTable?

    /// A sticky unit: where it is assigned and how it differs from the average.
    private struct Key: Sendable {
        var id: UInt64
        var position: Double
        var errors: Double
        var latency: Double
        var cost: Double
    }

    package init(_ settings: Settings, seed: UInt64) {
        self.settings = settings
        generator = SplitMix64(seed: seed)
        salt = generator.next()
        total = Double(max(1, settings.requests))
        stepEnd = settings.steps.first?.requests ?? 0
        guard let sticky = settings.sticky else { return }
        popularity = .zipf(count: sticky.keys, exponent: sticky.exponent)
        keys.reserveCapacity(sticky.keys)
        for _ in 0..<max(1, sticky.keys) {
            let id = generator.next()
            keys.append(
                Key(
                    id: id, position: Self.position(of: id, salt: salt), errors: effect(sticky.errorSigma),
                    latency: effect(sticky.latencySigma), cost: effect(sticky.costSigma)))
        }
    }

    /// The next outcome; `nil` when the last step is over.
    package mutating func next() -> Trial? {
        while index >= stepEnd {
            guard step + 1 < settings.steps.count else { return nil }
            step += 1
            stepEnd += settings.steps[step].requests
        }
        let share = settings.steps[step].share
        clockMs -= log(1 - generator.unit()) / settings.ratePerS * 1_000
        let key = drawKey()
        var trial = Trial(
            atMs: Int64(clockMs), isCandidate: key.position < share, share: share, step: step, unit: key.id)
        draw(&trial, key, drift: 1 + settings.drift * Double(index) / total)
        index += 1
        return trial
    }

    /// What the control served before the start, the last at time 0; earlier drift is none.
    package mutating func history(_ count: Int) -> [Trial] {
        (0..<max(0, count)).map { at in
            let key = drawKey()
            let atMs = Int64(Double(at - count + 1) / settings.ratePerS * 1_000)
            var trial = Trial(atMs: atMs, isCandidate: false, share: 0, step: 0, unit: key.id)
            draw(&trial, key, drift: 1)
            return trial
        }
    }

    private mutating func drawKey() -> Key {
        if let popularity { return keys[popularity.draw(using: &generator)] }
        let id = generator.next()
        return Key(id: id, position: Self.position(of: id, salt: salt), errors: 1, latency: 1, cost: 1)
    }

    /// The unit's place in 0..<1; it is in the candidate's arm while that is below the share, so growing shares only add.
    private static func position(of id: UInt64, salt: UInt64) -> Double {
        withUnsafeBytes(of: id.littleEndian) { Hash64.unit(Hash64.hash($0, salt: salt)) }
    }

    /// A factor with a mean of 1.
    private mutating func effect(_ sigma: Double) -> Double {
        exp(sigma * normals.next(using: &generator) - sigma * sigma / 2)
    }

    private mutating func draw(_ trial: inout Trial, _ key: Key, drift: Double) {
        let change = trial.isCandidate ? settings.effect : CandidateEffect()
        let usual = min(1, settings.errorRate * drift * key.errors)
        let rate = change.failsAlways ? 1 : min(1, usual * change.errors)
        let chance = generator.unit()
        let slowness = normals.next(using: &generator), size = normals.next(using: &generator)
        let start = 0.6 * slowness + 0.8 * normals.next(using: &generator)
        trial.latencyMs =
            settings.latencyMedianMs * drift * key.latency * change.latency * exp(settings.latencySigma * slowness)
        trial.firstTokenMs =
            settings.firstTokenMedianMs * drift * key.latency * change.latency * exp(settings.latencySigma * start)
        if change.tailShare > 0, generator.unit() < change.tailShare {
            trial.latencyMs *= change.tailFactor
            trial.firstTokenMs *= change.tailFactor
        }
        if chance < rate {
            trial.failure = change.failsAlways ? .server : .of(chance / rate)
            if trial.isCandidate, chance >= usual { extraFailures += 1 }
            return
        }
        // Cost is mostly the length of the answer, so the two move together; a candidate's price moves cost alone.
        let length = drift * key.cost * exp(settings.costSigma * size)
        trial.tokens = settings.tokensMedian * length
        trial.costNanoUSD = settings.costMedianNanoUSD * length * change.cost
        // What is left of a uniform draw, given the part it fell into, is uniform again.
        let feedback = (chance - rate) / (1 - rate)
        if feedback < settings.feedbackShare {
            let mean = min(0.999, max(0.001, settings.quality - change.qualityLoss))
            trial.quality = pow(feedback / settings.feedbackShare, (1 - mean) / mean)
        }
    }
}
