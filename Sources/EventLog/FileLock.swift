package import Core
import Foundation
import Synchronization

/// Keeps a second process off a file or folder; the kernel lets go when this one ends, however it ends.
package final class FileLock: Sendable {
    private let descriptor: Mutex<Int32?>

    /// - Parameter key: the setting that says where `path` lies; its last part begins the errors' codes.
    /// - Throws: `TrimtabError` `….in_use` if another process holds it, `….unusable` if the file cannot be made.
    package init(guarding path: String, key: String) throws(TrimtabError) {
        let area = key.split(separator: ".").first { $0 != "gateway" }.map(String.init) ?? key
        let descriptor = Foundation.open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw TrimtabError(
                "\(area).unusable", "\(path).lock cannot be made: \(String(cString: strerror(errno))).",
                remedy: "Set \(key) to a place that this user may write to.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            Foundation.close(descriptor)
            throw TrimtabError(
                "\(area).in_use", "Another process works with \(path).",
                remedy: "Stop it, or set \(key) to a place of its own.")
        }
        self.descriptor = Mutex(descriptor)
    }

    deinit { release() }

    /// Lets the next one in; idempotent.
    package func release() {
        descriptor.withLock { held in
            if let descriptor = held.take() { Foundation.close(descriptor) }
        }
    }
}
