import Core
import Foundation

/// `trimtab-bench analyzers --pictures DIR [--data PATH]`: one picture for each analyzer, of simulated traffic, or of the
/// recorded traffic in a folder of test data. The same bytes each time.
struct AnalyzerPictures {
    static let usage = "analyzers --pictures DIR [--data PATH]"
    private let folder: String
    private let data: String?

    /// `nil` where something else is asked for.
    init?(_ arguments: [String]) {
        guard [3, 5].contains(arguments.count), arguments[0] == "analyzers", arguments[1] == "--pictures",
            arguments.count == 3 || arguments[3] == "--data"
        else { return nil }
        folder = arguments[2]
        data = arguments.count == 5 ? arguments[4] : nil
    }

    func write() throws {
        let traffic: PictureTraffic
        do {
            traffic = try data.map(PictureTraffic.recorded) ?? .simulated
        } catch {
            return print("pictures skipped: \(data ?? "")/data/workload cannot be read: \(error.localizedDescription)")
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for scene in PictureScene.allCases {
            if let missing = traffic.missing.first(where: { $0.scene == scene }) {
                print("\(scene.rawValue).svg skipped: \(missing.reason)")
                continue
            }
            let path = "\(folder)/\(scene.rawValue).svg"
            try Data(scene.chart(traffic).svg.utf8).write(to: URL(filePath: path))
            print(path)
        }
    }
}
