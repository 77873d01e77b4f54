import Foundation
import NIOCore
import NIOHTTP1

/// Reads one answer of the gateway as a client would: status, what the headers say, the model, the usage, the end.
struct AnswerReader {
    private(set) var status = 0
    private(set) var requestID: String?
    private(set) var group: ReplayStatistics.Group?
    private(set) var model: String?
    private(set) var usage: Usage?
    private(set) var sawContent = false
    private var streamed = false
    private var done = false
    private var pending: [UInt8] = []

    /// Answers beyond this are failures.
    static let maximumBytes = 4 << 20

    struct Usage: Decodable, Equatable {
        var promptTokens: Int
        var completionTokens: Int
        enum CodingKeys: String, CodingKey {
            case promptTokens = "prompt_tokens"
            case completionTokens = "completion_tokens"
        }
    }

    private struct Body: Decodable {
        var model: String?
        var usage: Usage?
    }

    mutating func read(_ head: HTTPResponseHead) {
        status = Int(head.status.code)
        requestID = head.headers.first(name: "x-request-id")
        streamed = head.headers.first(name: "content-type")?.hasPrefix("text/event-stream") == true
        if let target = head.headers.first(name: "x-trimtab-target") {
            group = .init(
                policy: head.headers.first(name: "x-trimtab-policy") ?? "",
                arm: head.headers.first(name: "x-trimtab-arm") ?? "", target: target)
        }
    }

    /// - Returns: false if the answer is too long to be true.
    mutating func read(_ part: ByteBuffer) -> Bool {
        pending.append(contentsOf: part.readableBytesView)
        if streamed {
            var start = pending.startIndex
            while let end = pending[start...].firstIndex(of: UInt8(ascii: "\n")) {
                line(pending[start..<end])
                start = end + 1
            }
            pending.removeFirst(start)
        } else {
            sawContent = true
        }
        return pending.count <= Self.maximumBytes
    }

    private mutating func line(_ bytes: ArraySlice<UInt8>) {
        guard bytes.starts(with: "data: ".utf8) else { return }
        let payload = bytes.dropFirst(6)
        if payload.starts(with: "[DONE]".utf8) {
            done = true
            return
        }
        sawContent = true
        // Only the first chunk and the one with the usage are worth decoding.
        guard model == nil || contains(payload, "\"usage\":{") else { return }
        decode(payload)
    }

    private mutating func decode(_ bytes: ArraySlice<UInt8>) {
        guard let body = try? JSONDecoder().decode(Body.self, from: Data(bytes)) else { return }
        model = model ?? body.model
        usage = body.usage ?? usage
    }

    private func contains(_ bytes: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes.firstRange(of: $0) != nil }
    }

    /// Why the answer, now at its end, is none; `nil` if it is whole.
    mutating func failure() -> String? {
        guard (200..<300).contains(status) else { return "\(status)" }
        if streamed { return done ? nil : "stream ended early" }
        decode(pending[...])
        return model == nil ? "unreadable answer" : nil
    }
}
