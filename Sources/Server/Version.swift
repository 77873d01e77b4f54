import Core

/// What this build calls itself.
package enum Version {
    package static let number = Build.version

    #if arch(x86_64)
        private static let architecture = "x86_64"
    #elseif arch(arm64)
        private static let architecture = "arm64"
    #else
        private static let architecture = "unknown"
    #endif

    /// Written into decisions: replay matches exactly on the same engine, because only floating point may differ.
    package static let engine = "\(number) \(architecture)"
}
