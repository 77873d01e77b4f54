import StreamProcessing

/// What the parts of the performance analyzer share in one minute.
struct PerformanceContext: Sendable {
    let settings: AnalyzerSettings
    let alertness: Alertness
    /// Hours since the epoch.
    let hour: Int64

    init(_ minute: RouteMinute, _ settings: AnalyzerSettings) {
        self.settings = settings
        alertness = Alertness(days: settings[.falseAlarmDays], lookMs: minute.length)
        hour = minute.window.start / 3_600_000
    }

    var needed: Double { alertness.needed }
    subscript(threshold: Threshold) -> Double { settings[threshold] }

    /// How many, and how many a second, as evidence.
    func throughput(_ requests: Int64, _ window: Window) -> [String: Double] {
        let seconds = Double(max(1, window.end - window.start)) / 1_000
        return ["requests": Double(requests), "requests_per_s": Double(requests) / seconds]
    }
}
