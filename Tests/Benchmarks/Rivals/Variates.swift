import Core
import Foundation

/// Standard normal variates by the ziggurat of Marsaglia and Tsang (2000) with 128 layers, in the floating-point form
/// of Doornik (2005): a multiplication for 99 of 100 draws.
struct NormalVariates: Sendable {
    private static let layers = 128
    private static let tailStart = 3.442619855899
    private static let layerArea = 9.91256303526217e-3
    private let edges: [Double]
    private let inner: [Double]

    init() {
        func density(_ x: Double) -> Double { exp(-x * x / 2) }
        var edges = [Self.layerArea / density(Self.tailStart), Self.tailStart]
        while edges.count < Self.layers {
            let last = edges[edges.count - 1]
            edges.append((-2 * log(Self.layerArea / last + density(last))).squareRoot())
        }
        edges.append(0)
        inner = zip(edges.dropFirst(), edges).map { $0 / $1 }
        self.edges = edges
    }

    func next(using generator: inout SplitMix64) -> Double {
        while true {
            let bits = generator.next()
            let layer = Int(bits & 127)
            let signed = Double(bits >> 11) * 0x1p-52 - 1
            if abs(signed) < inner[layer] { return signed * edges[layer] }
            if layer == 0 { return tail(isNegative: signed < 0, using: &generator) }
            let x = signed * edges[layer]
            let outside = exp(-0.5 * (edges[layer] * edges[layer] - x * x))
            let inside = exp(-0.5 * (edges[layer + 1] * edges[layer + 1] - x * x))
            if inside + generator.unit() * (outside - inside) < 1 { return x }
        }
    }

    /// A draw beyond the outermost layer (Marsaglia, 1964).
    private func tail(isNegative: Bool, using generator: inout SplitMix64) -> Double {
        while true {
            let x = -log(1 - generator.unit()) / Self.tailStart
            let y = -log(1 - generator.unit())
            if 2 * y >= x * x { return isNegative ? -(Self.tailStart + x) : Self.tailStart + x }
        }
    }
}

/// Draws an index with given weights in constant time (Walker, 1977, built as by Vose, 1991).
struct AliasTable: Sendable {
    private var keep: [Double]
    private var alias: [Int]

    /// - Parameter weights: at least one, each above 0; they need not sum to 1.
    init(weights: [Double]) {
        let scale = Double(weights.count) / weights.reduce(0, +)
        keep = weights.map { $0 * scale }
        alias = Array(weights.indices)
        var small = keep.indices.filter { keep[$0] < 1 }
        var large = keep.indices.filter { keep[$0] >= 1 }
        while let poor = small.popLast(), let rich = large.last {
            alias[poor] = rich
            keep[rich] -= 1 - keep[poor]
            if keep[rich] < 1 {
                large.removeLast()
                small.append(rich)
            }
        }
    }

    /// Weights 1, 2^-exponent, 3^-exponent …
    static func zipf(count: Int, exponent: Double) -> AliasTable {
        AliasTable(weights: (1...max(1, count)).map { pow(Double($0), -exponent) })
    }

    func draw(using generator: inout SplitMix64) -> Int {
        let place = generator.unit() * Double(keep.count)
        let column = min(Int(place), keep.count - 1)
        return place - Double(column) < keep[column] ? column : alias[column]
    }
}
