extension Settings {
    /// The reference of every key as Markdown, from the code that reads them.
    package static func referenceDocument() throws -> String {
        var lines = [
            "# Configuration", "",
            "Written by `make docs` from the code that reads the settings; a test keeps it in step.", "",
            "Sources, strongest first: `--set key=value`, environment (`TRIMTAB_` and the key in capitals with `_` for every",
            "other character, for example `TRIMTAB_GATEWAY_BIND`), secret files (a folder with one file for each key), the YAML",
            "file, defaults. Unknown and malformed keys are errors. Keys with `<…>` repeat for each name.", "",
            "| key | type | default | allowed | what it does |", "| --- | --- | --- | --- | --- |",
        ]
        for entry in try reference() {
            let fallback =
                entry.key == "data_dir"
                ? "/var/lib/trimtab for root, else $XDG_DATA_HOME/trimtab"
                : entry.key == "gateway.id" ? "the host's name" : entry.defaultText
            let secret = entry.isSecret ? " Secret." : ""
            lines.append(
                "| `\(entry.key)` | \(entry.type) | \(fallback.isEmpty ? "" : "`\(fallback)`") | \(entry.allowed) | \(entry.summary)\(secret) |"
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
