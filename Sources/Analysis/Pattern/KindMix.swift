import Core
import Statistics
import StreamProcessing

/// The kinds of a route's prompts, of an hour or so, beside the usual mix.
///
/// A shift must be none of chance by the Dirichlet-multinomial test (Lindon and Malek, "Anytime-valid inference for
/// multinomial count data", 2022), large by the Jensen-Shannon divergence (Lin, "Divergence measures based on the Shannon
/// entropy", 1991), and larger than those of other hours, which have their own mixes.
struct KindMix: Codable, Sendable, Equatable {
    /// Kinds told apart; hashes have no more.
    private static let mostKinds = 64
    private static let other = "(other)"
    /// Prompts of a block, at least, and its length, at least and at most, milliseconds.
    private static let fewest: Int64 = 500
    private static let blockMs: Int64 = 3_600_000, longestMs: Int64 = 86_400_000
    /// Share of the usual mix that a block replaces.
    private static let weight = 1.0 / 100
    /// Blocks of past without which nothing is unusual.
    private static let fewestBlocks = 24.0
    private static let unusual = 4.0
    private static let evidence = logarithm(1e6)

    /// Shares, which sum to 1.
    private var usual: [String: Double] = [:]
    private var block: [String: Int64] = [:]
    private var since: Int64?
    /// Blocks so far, and mean and variance of their divergences.
    private var blocks = 0.0
    private var mean = 0.0
    private var variance = 0.0
    private(set) var found: Shift?

    struct Shift: Codable, Sendable, Equatable {
        /// Bits.
        var divergence: Interval
        var usualDivergence: Double
        var window: Window
        var prompts: Double
        /// The kind whose share moved most, before and now.
        var kind: String
        var before: Double
        var now: Double
        var logE: Double
    }

    mutating func add(_ kinds: SpaceSaving, _ window: Window, threshold: Double) {
        since = since ?? window.start
        for counter in kinds.top(kinds.capacity) {
            let known = block[counter.item] != nil || block.count < Self.mostKinds
            block[known ? counter.item : Self.other, default: 0] += counter.count
        }
        let sum = block.values.reduce(0, +)
        guard let begun = since, window.end - begun >= Self.blockMs else { return }
        guard sum >= Self.fewest else {
            if window.end - begun >= Self.longestMs { (block, since, found) = ([:], nil, nil) }
            return
        }
        close(Window(start: begun, end: window.end), Double(sum), threshold)
        (block, since) = ([:], nil)
    }

    private mutating func close(_ window: Window, _ sum: Double, _ threshold: Double) {
        let shares = block.mapValues { Double($0) / sum }
        if blocks > 0 { judge(shares, window, sum, threshold) } else { usual = shares }
        blocks += 1
        // At first all blocks count alike.
        let weight = max(1 / blocks, Self.weight)
        var next = usual.mapValues { $0 * (1 - weight) }
        for (kind, share) in shares {
            let known = next[kind] != nil || next.count < Self.mostKinds
            next[known ? kind : Self.other, default: 0] += share * weight
        }
        usual = next
    }

    private mutating func judge(_ shares: [String: Double], _ window: Window, _ sum: Double, _ threshold: Double) {
        let kinds = Set(shares.keys).union(usual.keys).sorted()
        // What never came before is not impossible.
        let floor = 0.5 / (sum * Double(kinds.count))
        var divergence = 0.0, first = 0.0, second = 0.0
        var moved = (kind: "", by: 0.0)
        for kind in kinds {
            let p = shares[kind] ?? 0, q = usual[kind] ?? 0, middle = (p + q) / 2
            if p > 0 {
                let g = logarithm(p / middle) / (2 * logarithm(2))
                divergence += p * g
                first += p * g
                second += p * g * g
            }
            if q > 0 { divergence += q * logarithm(q / middle) / (2 * logarithm(2)) }
            if abs(p - q) > moved.by { moved = (kind, abs(p - q)) }
        }
        // By chance alone it is about (kinds − 1) / (8 n ln 2).
        divergence = max(0, divergence - Double(kinds.count - 1) / (8 * sum * logarithm(2)))
        let error = (max(0, second - first * first) / sum).squareRoot(), half = normalQuantile(0.975) * error
        let deviation = max(variance.squareRoot(), 0.002)
        let total = kinds.reduce(0.0) { $0 + max(usual[$1] ?? 0, floor) }
        let logE = SampleRatioTest(
            counts: kinds.map { block[$0] ?? 0 }, weights: kinds.map { max(usual[$0] ?? 0, floor) / total }
        ).logE
        let isShift =
            blocks >= Self.fewestBlocks && divergence - half >= threshold && logE >= Self.evidence
            && divergence >= mean + Self.unusual * deviation
        found =
            isShift
            ? Shift(
                divergence: Interval(
                    estimate: divergence, lower: max(0, divergence - half), upper: divergence + half),
                usualDivergence: mean, window: window, prompts: sum, kind: moved.kind, before: usual[moved.kind] ?? 0,
                now: shares[moved.kind] ?? 0, logE: logE)
            : nil
        // A shift is no measure of what is usual, or the next would be missed.
        guard !isShift else { return }
        let share = max(1 / blocks, Self.weight), off = divergence - mean
        mean += share * off
        variance = (1 - share) * (variance + share * off * off)
    }
}
