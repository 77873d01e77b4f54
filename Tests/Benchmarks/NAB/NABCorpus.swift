import Foundation

/// The labelled series of the Numenta Anomaly Benchmark in a folder: one CSV file each, and their windows.
struct NABCorpus {
    struct Series {
        /// Folder and file, for example `realTweets/Twitter_volume_KO.csv`.
        var name: String
        /// As it is in the file.
        var times: [String]
        var timesMs: [Int64]
        var values: [Double]
        var windows: [ClosedRange<Int>]
    }
    var series: [Series]

    /// The test data (`TRIMTAB_TEST_DATA`, default `../shared`); `nil` where it is not there.
    static let dataFolder: String? = {
        let folder = (ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared") + "/data"
        return FileManager.default.fileExists(atPath: folder + "/anomalies/combined_windows.json") ? folder : nil
    }()
    static let folder = dataFolder.map { $0 + "/anomalies" }

    /// In the order of their names; a row that cannot be read is left out.
    init(folder: String) throws {
        let data = try Data(contentsOf: URL(filePath: folder + "/combined_windows.json"))
        let windows = try JSONDecoder().decode([String: [[String]]].self, from: data)
        series = try windows.keys.sorted().map { name in
            let text = try String(contentsOf: URL(filePath: "\(folder)/\(name)"), encoding: .utf8)
            var one = Series(name: name, times: [], timesMs: [], values: [], windows: [])
            for line in text.split(whereSeparator: \.isNewline).dropFirst() {
                let parts = line.split(separator: ",")
                guard parts.count == 2, let at = Self.milliseconds(parts[0]), let value = Double(parts[1]) else {
                    continue
                }
                one.times.append(String(parts[0]))
                one.timesMs.append(at)
                one.values.append(value)
            }
            one.windows = (windows[name] ?? []).compactMap { bounds in
                guard let from = bounds.first.flatMap({ Self.milliseconds($0[...]) }),
                    let to = bounds.last.flatMap({ Self.milliseconds($0[...]) }),
                    let first = one.timesMs.firstIndex(where: { $0 >= from }),
                    let last = one.timesMs.lastIndex(where: { $0 <= to }), first <= last
                else { return nil }
                return first...last
            }
            return one
        }
    }

    /// `2014-04-10 07:15:00`, with or without a fraction, taken as UTC.
    private static func milliseconds(_ text: Substring) -> Int64? {
        let fields = text.split(whereSeparator: { "- :.".contains($0) }).compactMap { Int64($0) }
        guard fields.count >= 6 else { return nil }
        // Days since 1970-01-01 of the proleptic Gregorian calendar, with the year starting in March.
        let year = fields[1] > 2 ? fields[0] : fields[0] - 1
        let month = (fields[1] + 9) % 12
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + fields[2] - 1 - 719_468
        return ((days * 24 + fields[3]) * 60 + fields[4]) * 60_000 + fields[5] * 1_000
    }

    /// One CSV file of scores per series, as the benchmark's own runner reads them: `NAME/GROUP/NAME_FILE.csv`.
    ///
    /// - Parameter scores: of each series, in their order, for each point.
    func write(_ scores: [[Double]], detector: String, to folder: String) throws {
        for (one, scores) in zip(series, scores) {
            let path = one.name.split(separator: "/")
            guard path.count == 2 else { continue }
            let group = URL(filePath: "\(folder)/\(detector)/\(path[0])")
            try FileManager.default.createDirectory(at: group, withIntermediateDirectories: true)
            let rows = one.values.indices.map { index in
                let label = one.windows.contains { $0.contains(index) } ? 1 : 0
                return "\(one.times[index]),\(one.values[index]),\(scores[index]),\(label)\n"
            }
            let text = "timestamp,value,anomaly_score,label\n" + rows.joined()
            try Data(text.utf8).write(to: group.appending(path: "\(detector)_\(path[1])"))
        }
    }
}
