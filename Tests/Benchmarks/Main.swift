import Core

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@main
enum Main {
    private static let benchmarks: [any Benchmark.Type] = [
        GatewayBench.self, ServeBench.self, DecisionsBench.self, StreamBench.self, StreamKafkaBench.self,
        RolloutBench.self, DetectionBench.self, RivalsBench.self, PromotionBench.self, UpgradeBench.self,
        RehearsalBench.self, RollbackBench.self, LoopBench.self, AnalyzersBench.self, ProbesBench.self,
        IncidentBench.self,
    ]

    static func main() async {
        let names = benchmarks.map { $0.name }
        let wanted = CommandLine.arguments.dropFirst()
        if wanted.first == MockKafkaProcess.argument { return await MockKafkaProcess.serve(Array(wanted.dropFirst())) }
        if let pictures = AnalyzerPictures(Array(wanted)) { return draw(pictures) }
        guard !wanted.isEmpty, wanted.allSatisfy(names.contains) else {
            print("usage: trimtab-bench NAME…\n       trimtab-bench \(AnalyzerPictures.usage)")
            print("names: \(names.joined(separator: " "))")
            exit(ExitStatus.usage.rawValue)
        }
        var figures: [Figure] = []
        // `stream` runs `stream-kafka` too, and so on.
        let chosen = benchmarks.filter { one in wanted.contains { one.name == $0 || one.name.hasPrefix("\($0)-") } }
        for benchmark in chosen {
            do {
                figures += try await benchmark.run()
            } catch {
                print("\(benchmark.name) failed: \(error)")
                exit(ExitStatus.software.rawValue)
            }
        }
        for figure in figures { print(figure.line) }
    }

    private static func draw(_ pictures: AnalyzerPictures) {
        do {
            try pictures.write()
        } catch {
            print("The pictures could not be written: \(error)")
            exit(ExitStatus.software.rawValue)
        }
    }
}
