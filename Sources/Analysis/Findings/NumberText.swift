extension Double {
    /// The number with exactly `digits` (0...9) decimals, the same on every machine and in every locale.
    package func fixed(_ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (magnitude * scale).rounded()
        guard scaled < 1e15 else { return "\(self)" }
        let whole = Int64(scaled) / Int64(scale), rest = Int64(scaled) % Int64(scale)
        let decimals = String(rest)
        let fraction = digits == 0 ? "" : "." + String(repeating: "0", count: digits - decimals.count) + decimals
        return (self < 0 && scaled > 0 ? "-" : "") + "\(whole)\(fraction)"
    }

    /// A share as a percentage, `0.0712` as `7.1 %`.
    package var percent: String { (self * 100).fixed(1) + " %" }

    /// US dollars with the decimals that small amounts need.
    package var dollars: String {
        fixed(magnitude >= 100 ? 0 : magnitude >= 1 ? 2 : magnitude >= 0.01 ? 4 : 6) + " USD"
    }

    /// Whole milliseconds.
    package var milliseconds: String { fixed(0) + " ms" }
}
