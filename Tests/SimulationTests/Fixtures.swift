import Core
import Foundation
import NIOCore
import NIOHTTP1
import Simulation
import Testing

/// A model that answers at once, always, with the same length.
func plainModel(
    _ name: String, provider: String = "sim", quality: Double = 0.8, ms: Double = 1, errors: Double = 0
) -> SimulatedModel {
    SimulatedModel(
        provider: provider, name: name, price: ListPrice(input: 1, output: 2).tokenPrice,
        quality: .init(mean: quality, spread: 0.1), latency: .init(medianMs: ms, sigma: 0), errorRate: errors)
}

/// A fleet on a free port whose clock stands still.
func startFleet(_ models: [SimulatedModel], speed: Double = 1) async throws -> ProviderFleet {
    try await ProviderFleet.start(
        simulator: SharedSimulator(Simulator(models: models, seed: 7)), speed: speed,
        clock: { 1_763_650_000_000 })
}

func post(_ url: String, _ body: String) async throws -> HTTPExchange.Reply {
    try await HTTPExchange.send(
        .POST, PlainURL(url), "/chat/completions", headers: ["content-type": "application/json"],
        body: ByteBuffer(string: body), timeout: .seconds(5))
}

/// Compares with `Golden/<name>`; `UPDATE_GOLDEN=1` rewrites it.
func expectGolden(_ text: String, _ name: String, file: String = #filePath) throws {
    let url = URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Golden/\(name)")
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
        try text.write(to: url, atomically: true, encoding: .utf8)
    }
    let golden = try String(contentsOf: url, encoding: .utf8)
    #expect(text == golden, "differs from Golden/\(name); UPDATE_GOLDEN=1 rewrites it")
}

/// Writes `text` to a file of its own, for the time of `body`.
func withFile<T>(_ name: String, _ text: String, _ body: (String) throws -> T) throws -> T {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("simulation-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent(name)
    try text.write(to: url, atomically: true, encoding: .utf8)
    return try body(url.path)
}

/// The folder with recorded data; `nil` where it is absent.
let testData: URL? = {
    let named = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"]
    let beside = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared")
    let url = (named.map { URL(fileURLWithPath: $0) } ?? beside).appendingPathComponent("data")
    return FileManager.default.fileExists(atPath: url.appendingPathComponent("outcomes").path) ? url : nil
}()
