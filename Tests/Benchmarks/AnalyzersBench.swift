import Analysis
import Core
import Foundation

/// How well anomalies of labelled series are found, how often a healthy series wakes somebody up, and what a point costs.
enum AnalyzersBench: Benchmark {
    static let name = "analyzers"
    private static let splits: ClosedRange<UInt64> = 1...20
    private static let minutes = 30 * 24 * 60

    static func run() async throws -> [Figure] {
        try benchmark() + pages() + routes() + QualityStudy.run() + MonthStudy.run() + cost()
    }

    // MARK: Labelled series

    /// The Numenta Anomaly Benchmark: the threshold from half of the files, the score from the other half.
    static func benchmark() throws -> [Figure] {
        guard let folder = NABCorpus.folder else {
            print("labelled series skipped: no anomalies/combined_windows.json (set TRIMTAB_TEST_DATA)")
            return []
        }
        let corpus = try NABCorpus(folder: folder)
        let points = corpus.series.reduce(0) { $0 + $1.values.count }
        let start = CPUClock.now()
        let scores = corpus.series.map(scores)
        let seconds = CPUClock.now() - start
        if let results = ProcessInfo.processInfo.environment["TRIMTAB_NAB_RESULTS"] {
            try corpus.write(scores, detector: "trimtab", to: results)
        }
        print("\(corpus.series.count) labelled series, \(points) points")
        print(
            "| profile | other half, mean of \(splits.count) | worst and best split | threshold from all files: score |"
        )
        print("|---|---|---|---|")
        let profiles: [(String, NABProfile)] = [
            ("standard", .standard), ("low_fp", .lowFalsePositives), ("low_fn", .lowFalseNegatives),
        ]
        let figures = profiles.map { name, profile in
            let files = zip(corpus.series, scores).map {
                NABFile(scores: $1, windows: $0.windows, profile: profile)
            }
            let halves = splits.map { seed in
                var random = SplitMix64(seed: seed)
                return files.splitScore(profile: profile, using: &random)
            }
            let mean = halves.reduce(0, +) / Double(halves.count), threshold = files.bestThreshold
            let range = "\(text(halves.min() ?? .nan)) to \(text(halves.max() ?? .nan))"
            let all = "\(text(threshold)): \(text(files.score(threshold: threshold, profile: profile)))"
            print("| \(name) | \(text(mean)) | \(range) | \(all) |")
            let goal = name == "standard" ? " (goal 60, aim 65.6)" : ""
            return Figure(name: "analyzers.nab_\(name)", value: mean, unit: "of 100\(goal)")
        }
        let update = Figure(
            name: "analyzers.update", value: seconds * 1e6 / Double(points), unit: "us a point (goal 5)")
        return figures + [update]
    }

    /// Of each point that is a new event; 0 for the others.
    private static func scores(_ series: NABCorpus.Series) -> [Double] {
        var detector = AnomalyDetector()
        return zip(series.values, series.timesMs).map { value, at in
            guard let judgement = detector.add(value, at: at), judgement.isNew else { return 0 }
            return judgement.score
        }
    }

    // MARK: Healthy series

    /// Alarms of a healthy month, and of a fault within three minutes, for each kind of series.
    private static func pages() -> [Figure] {
        let months = RolloutBench.runs(100)
        print(
            "| series of minutes, five requests a second | alarms a month, of \(months) healthy | faults found in 3 minutes |"
        )
        print("|---|---|---|")
        var worst = 0.0, least = 1.0
        for series in MinuteSeries.all {
            var alarms = 0, found = 0
            for seed in 1...UInt64(months) {
                let month = month(series, seed: seed)
                alarms += month.alarms
                found += month.found
            }
            let rate = Double(alarms) / Double(months), recall = Double(found) / Double(2 * months)
            print("| \(series.name) | \(text(rate)) | \(text(100 * recall)) % of \(2 * months) |")
            (worst, least) = (max(worst, rate), min(least, recall))
        }
        return [
            Figure(name: "analyzers.false_pages", value: worst, unit: "a series and 30 days, worst kind (goal 1)"),
            Figure(name: "analyzers.recall", value: 100 * least, unit: "% in 3 minutes, worst kind (goal 95)"),
        ]
    }

    /// The faults are tried on copies, on the third day and at the end: the month itself stays healthy.
    private static func month(_ series: MinuteSeries, seed: UInt64) -> (alarms: Int, found: Int) {
        var random = SplitMix64(seed: seed)
        var detector = AnomalyDetector()
        var alarms = 0, found = 0
        let early = 2_880 + Int(random.next() % 1_440)
        func alarm(_ detector: inout AnomalyDetector, _ minute: Int, _ isFaulty: Bool, _ random: inout SplitMix64)
            -> Bool
        {
            let value = series.value(minute, isFaulty, &random)
            return detector.add(value, at: Int64(minute) * 60_000)?.isAlarm ?? false
        }
        for minute in 0...minutes {
            if minute == early || minute == minutes {
                var copy = detector, other = random.split()
                if (minute..<minute + 3).contains(where: { alarm(&copy, $0, true, &other) }) { found += 1 }
            }
            if alarm(&detector, minute, false, &random) { alarms += 1 }
        }
        return (alarms, found)
    }

    // MARK: Whole routes

    /// All analyzers over routes of one model: simulated months, and recorded arrivals and latencies.
    static func routes() throws -> [Figure] {
        let months = RolloutBench.runs(100)
        print("| route | findings in 30 days: critical, warning | faults found in 3 minutes, of |")
        print("|---|---|---|")
        var simulated = RouteStudy(), recorded = RouteStudy(), days = 0.0
        for seed in 1...UInt64(months) {
            let traffic = RouteTraffic.simulated(swing: seed % 2 == 0 ? 0 : 0.5)
            simulated.run(traffic, minutes: minutes, faultsFrom: 2_880 + Int(seed) * 7, every: 3_001, seed: seed)
        }
        show("simulated", simulated, days: Double(30 * months))
        for (index, one) in try RecordedTraffic.all().enumerated() {
            let length = max(one.traffic.course.count, 3 * 1_440)
            var study = RouteStudy()
            study.run(one.traffic, minutes: length, faultsFrom: 1_440, every: 487, seed: UInt64(index + 1))
            show(one.name, study, days: Double(length) / 1_440)
            recorded.add(study)
            days += Double(length) / 1_440
        }
        let inMonths = Double(months)
        var figures = [
            Figure(
                name: "analyzers.route_pages", value: Double(simulated.critical) / inMonths,
                unit: "critical findings a simulated route and 30 days, all series together"),
            Figure(
                name: "analyzers.route_warnings", value: Double(simulated.warnings) / inMonths,
                unit: "warnings a simulated route and 30 days, all series together"),
            Figure(
                name: "analyzers.route_recall", value: 100 * simulated.leastRecall,
                unit: "% in 3 minutes, worst fault, simulated (goal 95)"),
        ]
        if !recorded.tried.isEmpty {
            show("all recorded", recorded, days: days)
            figures += [
                Figure(
                    name: "analyzers.recorded_pages", value: Double(recorded.critical) * 30 / days,
                    unit: "critical findings a recorded route and 30 days, all series together"),
                Figure(
                    name: "analyzers.recorded_warnings", value: Double(recorded.warnings) * 30 / days,
                    unit: "warnings a recorded route and 30 days, all series together"),
                Figure(
                    name: "analyzers.recorded_recall", value: 100 * recorded.leastRecall,
                    unit: "% in 3 minutes, worst fault, recorded (goal 95)"),
            ]
        }
        return figures
    }

    private static func show(_ name: String, _ study: RouteStudy, days: Double) {
        let scale = 30 / days
        let findings = "\(text(Double(study.critical) * scale)), \(text(Double(study.warnings) * scale))"
        print("| \(name) | \(findings) | \(study.tried[.outage] ?? 0): \(study.recall) |")
        for (code, count) in study.opened.sorted(by: { $0.key < $1.key }) { print("  \(code): \(count)") }
    }

    static func cost() -> [Figure] {
        let keys = KeyMinutes.routes * KeyMinutes.models
        return [
            Figure(
                name: "analyzers.minute_of_\(keys)_keys_s", value: KeyMinutes.seconds(), unit: "s on one core (goal 1)")
        ]
    }

    private static func text(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
