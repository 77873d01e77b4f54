import Core
import GRDB

/// What can be wrong with a local log's file, before it is put in words for a person.
enum LocalLogFault: Error {
    case version(Int)
    case partitions(stored: Int, wanted: Int)
    case damaged(partition: Int, offset: Int64)

    func described(path: String) -> TrimtabError {
        switch self {
        case .version(let version):
            TrimtabError(
                "local_log.version", "The local log \(path) has format \(version), which this version cannot read.",
                remedy: version < LocalLogStore.version
                    ? "Start the gateway on it once, which brings the file into the present format."
                    : "Use the version that wrote it, or set gateway.local_log.path to a new file.")
        case .partitions(let stored, let wanted):
            TrimtabError(
                "local_log.partitions",
                "The local log \(path) was made with \(stored) partitions, and \(wanted) are configured.",
                remedy: "Keep the old count, or let the log be shipped or read to its end and set "
                    + "gateway.local_log.path to a new file.")
        case .damaged(let partition, let offset):
            TrimtabError(
                "local_log.damaged", "The local log \(path) is damaged at partition \(partition), offset \(offset).",
                remedy: "Move the file away and start again; what it still held is lost.")
        }
    }

    static func isFullDisk(_ error: any Error) -> Bool { (error as? DatabaseError)?.resultCode == .SQLITE_FULL }

    /// Puts any error of opening or reading the file in words.
    static func described(_ error: any Error, path: String) -> TrimtabError {
        switch error {
        case let error as TrimtabError: error
        case let fault as LocalLogFault: fault.described(path: path)
        default:
            TrimtabError(
                "local_log.unusable", "The local log \(path) cannot be used: \(error).",
                remedy: "Check gateway.local_log.path, its folder's rights and the free space.")
        }
    }
}
