import Core
import Foundation
import Simulation

/// Recorded outcomes and arrivals, found through `TRIMTAB_TEST_DATA` (default `../shared`).
enum RecordedData {
    static let folder: String? = {
        let root = ProcessInfo.processInfo.environment["TRIMTAB_TEST_DATA"] ?? "../shared"
        let folder = root + "/data"
        return FileManager.default.fileExists(atPath: folder + "/outcomes") ? folder : nil
    }()

    struct Loaded {
        var outcomes: OutcomeSet
        var prices: [String: TokenPrice]
    }

    static func load(_ set: String, in folder: String) throws -> Loaded {
        Loaded(
            outcomes: try OutcomeSet(path: "\(folder)/outcomes/\(set).csv.gz"),
            prices: try OutcomeSet.prices(path: "\(folder)/outcomes/model_prices.csv", set: set))
    }
}
