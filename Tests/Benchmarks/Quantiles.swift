extension [Double] {
    /// The smallest value that at least the share `q` of all values does not exceed; 0 of none.
    func percentile(_ q: Double) -> Double {
        guard !isEmpty else { return 0 }
        return sorted()[Swift.max(0, Swift.min(count - 1, Int((q * Double(count)).rounded(.up)) - 1))]
    }

    var median: Double { percentile(0.5) }
}
