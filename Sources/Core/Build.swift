/// Which release this is.
package enum Build {
    package static let version = "0.1.0"
}

/// Where one machine's own state lives: the demo's database, the gateway's log, the first operator token.
package enum DataFolder {
    /// The file, mode 0600, in which the first start leaves the first operator token.
    package static let tokenFile = "admin.token"

    /// `TRIMTAB_DATA_DIR` if it is set, `/var/lib/trimtab` for root, else `trimtab` in the user's data folder (XDG base directory specification).
    package static func path(environment: [String: String], isRoot: Bool) -> String {
        if let folder = environment["TRIMTAB_DATA_DIR"], !folder.isEmpty { return folder }
        if isRoot { return "/var/lib/trimtab" }
        if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") { return data + "/trimtab" }
        return (environment["HOME"] ?? "/tmp") + "/.local/share/trimtab"
    }
}
