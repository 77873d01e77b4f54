import Foundation

/// P(Z ≤ z) of the standard normal distribution.
package func normalCDF(_ z: Double) -> Double { 0.5 * erfc(-z / 2.0.squareRoot()) }

/// The z with `normalCDF(z)` = `p`; ±∞ at 1 and 0.
///
/// Start from Abramowitz and Stegun 26.2.23, then Halley steps on erfc, which keep the precision of the tails.
package func normalQuantile(_ p: Double) -> Double {
    guard p > 0, p < 1 else { return p <= 0 ? -.infinity : p >= 1 ? .infinity : .nan }
    if p > 0.5 { return -normalQuantile(1 - p) }
    let t = (-2 * log(p)).squareRoot()
    let numerator = 2.515517 + t * (0.802853 + t * 0.010328)
    var z = numerator / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
    for _ in 0..<3 {
        let density = exp(-z * z / 2) / (2 * Double.pi).squareRoot()
        guard density > 0 else { break }
        let step = (normalCDF(z) - p) / density
        z -= step / (1 + z * step / 2)
    }
    return z
}

/// ln Γ(x) for x > 0.
package func logGamma(_ x: Double) -> Double {
    var sign: Int32 = 0
    return lgamma_r(x, &sign)
}

/// ln B(a, b) for a, b > 0.
package func logBeta(_ a: Double, _ b: Double) -> Double { logGamma(a) + logGamma(b) - logGamma(a + b) }

/// The regularised incomplete beta function Iₓ(a, b), a, b > 0: the continued fraction of DLMF 8.17.22 by the
/// modified method of Lentz.
package func regularizedBeta(_ x: Double, _ a: Double, _ b: Double) -> Double {
    guard x > 0 else { return 0 }
    guard x < 1 else { return 1 }
    if x > (a + 1) / (a + b + 2) { return 1 - regularizedBeta(1 - x, b, a) }
    let front = exp(a * log(x) + b * log1p(-x) - logBeta(a, b)) / a
    let tiny = 1e-300
    func away(_ value: Double) -> Double { abs(value) < tiny ? tiny : value }
    var c = 1.0
    var d = 1 / away(1 - (a + b) * x / (a + 1))
    var fraction = d
    for step in 1...10_000 {
        let m = Double(step)
        let even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / away(1 + even * d)
        c = away(1 + even / c)
        fraction *= c * d
        let odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / away(1 + odd * d)
        c = away(1 + odd / c)
        fraction *= c * d
        if abs(c * d - 1) < 1e-15 { break }
    }
    return min(1, front * fraction)
}

/// The x with Iₓ(a, b) = `p`, by bisection to the last bit.
package func inverseRegularizedBeta(_ p: Double, _ a: Double, _ b: Double) -> Double {
    guard p > 0 else { return 0 }
    guard p < 1 else { return 1 }
    var (low, high) = (0.0, 1.0)
    for _ in 0..<200 {
        let middle = (low + high) / 2
        if middle == low || middle == high { break }
        if regularizedBeta(middle, a, b) < p { low = middle } else { high = middle }
    }
    return (low + high) / 2
}

/// The t with P(T ≤ t) = `p` of Student's distribution; `degrees` > 0 need not be whole.
package func studentQuantile(_ p: Double, degrees: Double) -> Double {
    if p < 0.5 { return -studentQuantile(1 - p, degrees: degrees) }
    let x = inverseRegularizedBeta(2 * (1 - p), degrees / 2, 0.5)
    return (degrees * (1 - x) / x).squareRoot()
}

/// P(X > x) of the chi-square distribution with a whole number of degrees of freedom, 1 and up.
///
/// From erfc or exp at one or two degrees, upwards by Q(a + 1, y) = Q(a, y) + yᵃ e⁻ʸ / Γ(a + 1).
package func chiSquareSurvival(_ x: Double, degrees: Int) -> Double {
    guard x > 0 else { return 1 }
    let y = x / 2
    var a = degrees % 2 == 1 ? 0.5 : 1.0
    var tail = degrees % 2 == 1 ? erfc(y.squareRoot()) : exp(-y)
    while a < Double(degrees) / 2 {
        tail += exp(a * log(y) - y - logGamma(a + 1))
        a += 1
    }
    return min(1, tail)
}

/// ln of the mean of exp(x), without overflow; -∞ for no values.
package func logMeanExp(_ values: [Double]) -> Double {
    guard let top = values.max(), top > -.infinity else { return -.infinity }
    return top + log(values.reduce(0) { $0 + exp($1 - top) } / Double(values.count))
}

/// The `q` quantile (0...1) by linear interpolation of order statistics (type 7 of Hyndman and Fan, 1996); `nil` for
/// no values. `sorted` is ascending.
package func quantile(_ q: Double, ofSorted sorted: [Double]) -> Double? {
    guard !sorted.isEmpty, q >= 0, q <= 1 else { return nil }
    let at = q * Double(sorted.count - 1)
    let below = Int(at)
    guard below + 1 < sorted.count else { return sorted.last }
    return sorted[below] + (at - Double(below)) * (sorted[below + 1] - sorted[below])
}
