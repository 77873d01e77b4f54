import Core
import Foundation
import Synchronization

/// An open-loop load: requests leave when they are due, whatever has become of those before, each on a kept connection
/// that is free.
///
/// One thread sends and one receives, at a few microseconds for each request, so that a small machine's time goes to the
/// server that is measured.
final class PacedLoad: Sendable {
    private static let connections = 64
    private static let answerLimit = 64 << 10
    /// How long the last answers may take.
    private static let patienceMs: Int32 = 5_000

    private let request: [UInt8]
    private let descriptors: [Int32]
    private let state: Mutex<State>

    private struct State {
        /// Used from the front, so that none stays idle so long that a server closes it.
        var free: [Int]
        /// When the request of each connection was due, seconds.
        var due: [Double]
        var stopped = false
    }

    init(port: Int, request: [UInt8]) throws {
        self.request = request
        descriptors = try (0..<Self.connections).map { _ in try LoopbackConnection.connect(port: port) }
        state = Mutex(State(free: Array(descriptors.indices), due: Array(repeating: 0, count: Self.connections)))
    }

    deinit { for descriptor in descriptors { close(descriptor) } }

    /// - Returns: milliseconds from when each request was due to the last byte of its answer.
    /// - Throws: `TrimtabError` when an answer is not a good one or does not come.
    func run(rate: Double, seconds: Double) throws -> [Double] {
        let count = Int(rate * seconds)
        state.withLock { $0.stopped = false }
        let sender = Thread { [self] in send(count, rate) }
        sender.start()
        defer { state.withLock { $0.stopped = true } }
        var polled = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var answers = [Answer](repeating: Answer(), count: descriptors.count)
        var times: [Double] = []
        times.reserveCapacity(count)
        while times.count < count {
            guard poll(&polled, nfds_t(polled.count), Self.patienceMs) > 0 else { throw Self.failure("did not come") }
            for index in polled.indices where polled[index].revents != 0 {
                guard try answers[index].receive(from: descriptors[index]) else { continue }
                let now = Self.now()
                let due = state.withLock { state in
                    state.free.append(index)
                    return state.due[index]
                }
                times.append((now - due) * 1_000)
            }
        }
        return times
    }

    private func send(_ count: Int, _ rate: Double) {
        let start = Self.now()
        for number in 0..<count {
            let due = start + Double(number) / rate
            var index: Int?
            while true {
                let wait = due - Self.now()
                if wait > 0 {
                    usleep(UInt32(wait * 1e6))
                    continue
                }
                let stopped = state.withLock { state in
                    index = state.free.isEmpty ? nil : state.free.removeFirst()
                    if let index { state.due[index] = due }
                    return state.stopped
                }
                if stopped { return }
                if index != nil { break }
                usleep(50)
            }
            if let index { _ = Foundation.send(descriptors[index], request, request.count, Int32(MSG_NOSIGNAL)) }
        }
    }

    /// Seconds.
    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func failure(_ what: String) -> TrimtabError {
        TrimtabError("bench.load", "An answer \(what).", remedy: "Read the server's log.")
    }

    /// An answer as far as it has come.
    private struct Answer {
        private static let good = Array("HTTP/1.1 200".utf8)
        private static let length = Array("content-length:".utf8)
        private var bytes = [UInt8](repeating: 0, count: PacedLoad.answerLimit)
        private var filled = 0

        /// - Returns: whether it is whole; the next one begins then.
        mutating func receive(from descriptor: Int32) throws -> Bool {
            let start = filled
            let got = bytes.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start, 0)
            }
            guard got > 0 else { throw PacedLoad.failure("was broken off") }
            filled += got
            guard bytes.starts(with: Self.good.prefix(filled)) else { throw PacedLoad.failure("was not 200") }
            guard let total, filled >= total else { return false }
            filled = 0
            return true
        }

        /// The length of head and body, once the head is there.
        private var total: Int? {
            var (at, body) = (0, 0)
            while let end = bytes[at..<filled].firstIndex(of: 10) {
                if end - at <= 1 { return end + 1 + body }
                if bytes[at..<end].starts(with: Self.length, by: { $0 | 0x20 == $1 | 0x20 }) {
                    for digit in bytes[(at + Self.length.count)..<end] where (48...57).contains(digit) {
                        body = body * 10 + Int(digit - 48)
                    }
                }
                at = end + 1
            }
            return nil
        }
    }
}
