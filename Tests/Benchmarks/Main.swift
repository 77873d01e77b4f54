import Core

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@main
enum Main {
    private static let benchmarks: [any Benchmark.Type] = [
        GatewayBench.self, ServeBench.self, DecisionsBench.self, StreamBench.self, RolloutBench.self, LoopBench.self,
    ]

    static func main() async {
        let names = benchmarks.map { $0.name }
        let wanted = CommandLine.arguments.dropFirst()
        guard !wanted.isEmpty, wanted.allSatisfy(names.contains) else {
            print("usage: trimtab-bench NAME…\nnames: \(names.joined(separator: " "))")
            exit(ExitStatus.usage.rawValue)
        }
        var figures: [Figure] = []
        for benchmark in benchmarks where wanted.contains(benchmark.name) {
            do {
                figures += try await benchmark.run()
            } catch {
                print("\(benchmark.name) failed: \(error)")
                exit(ExitStatus.software.rawValue)
            }
        }
        for figure in figures { print(figure.line) }
    }
}
