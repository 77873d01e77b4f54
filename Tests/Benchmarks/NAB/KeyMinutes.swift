import Analysis
import Core
import StreamProcessing

/// The CPU time of the whole analysis of one minute of many (route, model) keys.
enum KeyMinutes {
    static let routes = 1_000
    static let models = 10
    /// Minutes before the measured one: until every series is past its warm-up.
    private static let before = 90

    /// Seconds on one core, the mean of ten minutes.
    static func seconds() -> Double {
        var random = SplitMix64(seed: 1)
        let traffic = RouteTraffic.simulated(swing: 0.3)
        let pool = (0..<256).map { _ in traffic.aggregate(300, nil, &random) }
        var context = RouteContext(route: "simulated")
        context.series = routes * models * 8
        var analyses = [RouteAnalysis](repeating: RouteAnalysis(), count: routes)
        var total = 0.0
        for index in 0..<before + 10 {
            let minutes = (0..<routes).map { _ in
                var minute = RouteMinute(Window(start: Int64(index) * 60_000, end: Int64(index + 1) * 60_000))
                minute.models = (0..<models).map { model in
                    var one = ModelMinute("simulated/model-\(model)")
                    one.users = pool[Int(random.next() % 256)]
                    return one
                }
                return minute
            }
            let start = CPUClock.now()
            for route in 0..<routes { _ = analyses[route].observe(minutes[route], context, using: &random) }
            if index >= before { total += CPUClock.now() - start }
        }
        return total / 10
    }
}
