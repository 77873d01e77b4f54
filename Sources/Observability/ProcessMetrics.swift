import Foundation

/// What the operating system knows of this process, read from `/proc` at each scrape.
package enum ProcessMetrics {
    /// - Parameter version: this build's version.
    package static func collector(version: String) -> MetricRegistry.Collector {
        let start = Date().timeIntervalSince1970
        return {
            var samples = [MetricSample(.build, 1, [.version: version]), MetricSample(.processStart, start)]
            if let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
                let kilobytes = residentKilobytes(status)
            {
                samples.append(MetricSample(.processMemory, Double(kilobytes) * 1024))
            }
            if let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
                let ticks = processorTicks(stat)
            {
                samples.append(MetricSample(.processCPU, Double(ticks) / 100))
            }
            if let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
                samples.append(MetricSample(.processFiles, Double(files.count)))
            }
            return samples
        }
    }

    /// `VmRSS` of `/proc/<pid>/status`.
    package static func residentKilobytes(_ status: String) -> Int64? {
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int64($0) }
    }

    /// User and system time of `/proc/<pid>/stat` in ticks, which Linux fixes at 100 a second for user space.
    ///
    /// The command in parentheses may itself hold spaces and parentheses, so fields count from the last one.
    package static func processorTicks(_ stat: String) -> Int64? {
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Int64(fields[11]), let system = Int64(fields[12]) else { return nil }
        return user + system
    }
}
