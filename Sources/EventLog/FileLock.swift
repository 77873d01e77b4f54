import Core
import Foundation
import Synchronization

/// Keeps a second process off a local log; the kernel lets go when this one ends, however it ends.
final class FileLock: Sendable {
    private let descriptor: Mutex<Int32?>

    /// - Throws: `TrimtabError` if another process holds it or the file cannot be made.
    init(guarding path: String) throws {
        let descriptor = Foundation.open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw TrimtabError(
                "local_log.unusable", "\(path).lock cannot be made: \(String(cString: strerror(errno))).",
                remedy: "Set gateway.local_log.path to a file in a folder that this user may write to.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            Foundation.close(descriptor)
            throw TrimtabError(
                "local_log.in_use", "Another process writes to the local log \(path).",
                remedy: "Stop it, or give this gateway a gateway.local_log.path of its own.")
        }
        self.descriptor = Mutex(descriptor)
    }

    deinit { release() }

    /// Lets the next one in; idempotent.
    func release() {
        descriptor.withLock { held in
            if let descriptor = held.take() { Foundation.close(descriptor) }
        }
    }
}
