import Core

/// One benchmark: `trimtab-bench NAME` runs it, and its figures come last, one line each.
protocol Benchmark: SendableMetatype {
    static var name: String { get }
    static func run() async throws -> [Figure]
}

/// A measured number, printed as `RESULT name value unit`.
struct Figure {
    var name: String
    var value: Double
    var unit: String

    var line: String {
        let rounded = (value * 1_000).rounded() / 1_000
        let text = rounded == rounded.rounded() && rounded.magnitude < 1e15 ? "\(Int64(rounded))" : "\(rounded)"
        return "RESULT \(name) \(text) \(unit)"
    }
}
