package import Core

/// Recorded outcomes: the same prompts answered by several models.
///
/// File layout (CSV, header row, an empty field is "not known"): `prompt_id, model, quality`, and where known
/// `prompt_tokens, output_tokens, latency_s`; other columns are ignored. Quality is 0...1; a score up to a tenth outside, as
/// scorers give that subtract for guessing, is cut to it.
package struct OutcomeSet: Sendable {
    /// The file's name without folder and extension.
    package let name: String
    /// In order of first mention.
    package private(set) var prompts: [String] = []
    package private(set) var models: [String] = []
    /// Whether any row has a latency. Without one a modelled latency is used and has to be labelled so.
    package private(set) var hasLatency = false
    private var rows: [String: Int] = [:]
    private var columns: [String: Int] = [:]
    private var cells: [[Cell?]] = []

    package struct Cell: Sendable, Equatable {
        package var quality: Double
        package var promptTokens: Int?
        package var outputTokens: Int?
        package var latencyS: Double?
    }

    /// - Throws: `TrimtabError` naming file and line.
    package init(path: String) throws {
        name = Self.baseName(path)
        let file = try CSVFile(path: path, required: ["prompt_id", "model", "quality"])
        try file.forEachRow { row in
            let cell = Cell(
                quality: min(1, max(0, try row.requiredNumber("quality", in: -0.1...1.1))),
                promptTokens: try row.number("prompt_tokens", in: 0...1e8).map { Int($0) },
                outputTokens: try row.number("output_tokens", in: 0...1e8).map { Int($0) },
                latencyS: try row.number("latency_s", in: 0...86_400))
            insert(cell, prompt: try row.requiredText("prompt_id"), model: try row.requiredText("model"))
        }
        guard !prompts.isEmpty else {
            throw TrimtabError(
                "simulation.file_empty", "\(path): there is no row below the header.",
                remedy: "Give a file with at least one outcome.")
        }
    }

    private mutating func insert(_ cell: Cell, prompt: String, model: String) {
        let column = columns[model] ?? models.count
        if column == models.count {
            columns[model] = column
            models.append(model)
        }
        let row = rows[prompt] ?? prompts.count
        if row == prompts.count {
            rows[prompt] = row
            prompts.append(prompt)
            cells.append([])
        }
        while cells[row].count <= column { cells[row].append(nil) }
        cells[row][column] = cell
        hasLatency = hasLatency || cell.latencyS != nil
    }

    package func column(of model: String) -> Int? { columns[model] }

    package func cell(prompt: String, column: Int) -> Cell? {
        guard let row = rows[prompt], column < cells[row].count else { return nil }
        return cells[row][column]
    }

    package func cell(prompt: String, model: String) -> Cell? {
        columns[model].flatMap { cell(prompt: prompt, column: $0) }
    }

    /// Prompts that every one of `models` answered: what a fair comparison may use.
    package func prompts(answeredBy models: [String]) -> [String] {
        prompts.filter { prompt in models.allSatisfy { cell(prompt: prompt, model: $0) != nil } }
    }

    /// A simulated model for each of `names`, at provider `recorded`. Where the set has no latency, a modelled one is
    /// used: 200 ms and 10 ms a token of the model's mean answer, σ = 0.35.
    ///
    /// - Throws: `simulation.unknown_model`.
    package func simulatedModels(_ names: [String], prices: [String: TokenPrice]) throws -> [SimulatedModel] {
        try names.map { name in
            guard let column = columns[name] else {
                throw TrimtabError(
                    "simulation.unknown_model", "\(self.name) has no outcomes of the model '\(name)'.",
                    remedy: "Use one of: \(models.sorted().prefix(40).joined(separator: ", ")).")
            }
            let known = prompts.compactMap { cell(prompt: $0, column: column) }
            let lengths = known.compactMap(\.outputTokens)
            let output = lengths.isEmpty ? 150 : Double(lengths.reduce(0, +)) / Double(lengths.count)
            let mean = known.reduce(0) { $0 + $1.quality } / Double(max(1, known.count))
            return SimulatedModel(
                provider: Self.provider, name: name, price: prices[name], quality: .init(mean: mean, spread: 0),
                latency: .init(medianMs: 200 + 10 * output), outputTokens: max(1, output), errorRate: 0)
        }
    }

    package static let provider = "recorded"

    /// Prices by model, of the rows whose `set` is `set` (of all rows if the file has no such column). Columns:
    /// `model, usd_per_mtok_input, usd_per_mtok_output`; a model with an empty price is left out.
    ///
    /// - Throws: `TrimtabError` naming file and line.
    package static func prices(path: String, set: String) throws -> [String: TokenPrice] {
        let file = try CSVFile(path: path, required: ["model", "usd_per_mtok_input", "usd_per_mtok_output"])
        var prices: [String: TokenPrice] = [:]
        try file.forEachRow { row in
            if let other = row.text("set"), other != set { return }
            guard let input = try row.number("usd_per_mtok_input", in: 0...1e6),
                let output = try row.number("usd_per_mtok_output", in: 0...1e6)
            else { return }
            prices[try row.requiredText("model")] = ListPrice(input: input, output: output).tokenPrice
        }
        return prices
    }

    private static func baseName(_ path: String) -> String {
        var name = path.split(separator: "/").last.map(String.init) ?? path
        for suffix in [".gz", ".csv"] where name.hasSuffix(suffix) { name.removeLast(suffix.count) }
        return name
    }
}
