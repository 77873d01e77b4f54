import Analysis
import Core
import Foundation
import Statistics
import StreamProcessing

/// Makers of minutes from counts alone.
enum Minutes {
    static let lengthMs: Int64 = 60_000
    static let perDay = 1_440
    /// Monday, 1 January 2024, 00:00 UTC.
    static let start: Int64 = 1_704_067_200_000

    static func window(_ index: Int) -> Window {
        let from = start + Int64(index) * lengthMs
        return Window(start: from, end: from + lengthMs)
    }

    /// A rate with a daily rhythm: from a half to one and a half of `mean`, at its highest at noon UTC.
    static func daily(_ mean: Double, _ index: Int) -> Double {
        mean * (1 - 0.5 * cos(2 * Double.pi * Double(index % perDay) / Double(perDay)))
    }

    /// `n` trials with `rate`, by the Poisson law: for rare events.
    static func rare(_ n: Int64, _ rate: Double, _ random: inout SplitMix64) -> Int64 {
        min(n, random.poisson(Double(n) * rate))
    }

    static func users(requests: Int64, failures: Int64 = 0, signals: [Signal: Int64] = [:]) -> WindowAggregate {
        var users = WindowAggregate()
        users.requests = requests
        users.failures = failures
        users.signals = signals
        return users
    }

    static func minute(_ index: Int, _ models: [String: WindowAggregate]) -> RouteMinute {
        var minute = RouteMinute(window(index))
        minute.models = models.sorted { $0.key < $1.key }.map { key, users in
            var model = ModelMinute(key)
            model.users = users
            return model
        }
        return minute
    }
}
