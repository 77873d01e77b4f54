package import Core
package import NIOCore
import Telemetry

/// Two answers to one request: the user's, and the copy's.
package struct JudgePair: Sendable {
    /// Bytes of the request's body, and of each answer. With the queue's limit it bounds what waits in memory.
    static let textLimit = 64 << 10

    package let original: UUIDv7
    package let copy: UUIDv7
    let route: String
    let body: ByteBuffer
    /// Texts in UTF-8.
    let originalAnswer: [UInt8]
    let copyAnswer: [UInt8]

    package init(
        original: UUIDv7, copy: UUIDv7, route: String, body: ByteBuffer, originalAnswer: [UInt8], copyAnswer: [UInt8]
    ) {
        self.original = original
        self.copy = copy
        self.route = route
        self.body = body
        self.originalAnswer = originalAnswer
        self.copyAnswer = copyAnswer
    }

    /// - Returns: `nil` for answers that are not one text each, or too long, or to a question with images.
    init?(
        _ original: UUIDv7, _ answer: AnswerFacts, copy: UUIDv7, _ copyAnswer: AnswerFacts, route: String,
        body: ByteBuffer, chat: ChatBody
    ) {
        guard chat.images == 0, body.readableBytes <= Self.textLimit, let first = Self.text(answer),
            let second = Self.text(copyAnswer)
        else { return nil }
        self.init(
            original: original, copy: copy, route: route, body: body, originalAnswer: first, copyAnswer: second)
    }

    /// An answer that is empty is judged; one that is a tool call is no text.
    private static func text(_ facts: AnswerFacts) -> [UInt8]? {
        guard let content = facts.content, !facts.toolCalls, !facts.refusal, content.count <= textLimit else {
            return nil
        }
        // Sound, or parts that were not kept.
        return content.isEmpty && facts.hasContent ? nil : content
    }

    /// - Parameter withoutCopy: `true` puts a text that says nothing in the place of the copy's, `false` in that of the
    ///   original's.
    func control(withoutCopy: Bool) -> JudgeCase? {
        let kept = withoutCopy ? originalAnswer : copyAnswer
        // Against an empty answer the text that says nothing might be thought better, and rightly so.
        guard !kept.isEmpty, let conversation = JudgePrompt.conversation(of: body) else { return nil }
        return JudgeCase(
            conversation: conversation, first: String(decoding: kept, as: UTF8.self), second: JudgePrompt.nullAnswer)
    }

    var judged: JudgeCase? {
        JudgePrompt.conversation(of: body).map {
            JudgeCase(
                conversation: $0, first: String(decoding: originalAnswer, as: UTF8.self),
                second: String(decoding: copyAnswer, as: UTF8.self))
        }
    }

    /// What is said of both sides.
    ///
    /// - Parameters:
    ///   - value: of the original, 0...1; the copy has the rest.
    ///   - note: which judge it was, and how it fared in its checks.
    func feedback(
        value: Double, note: String, at now: Int64, using random: inout some RandomNumberGenerator
    ) -> [Feedback] {
        let longer = Self.characters(originalAnswer) - Self.characters(copyAnswer)
        return [(original, copy, value, longer), (copy, original, 1 - value, -longer)].map { one, other, value, by in
            var feedback = Feedback(
                id: UUIDv7(milliseconds: now, bucket: one.bucket, using: &random), request: one, at: now,
                name: Feedback.quality, value: value, source: .judge)
            feedback.pair = other
            feedback.comment = "\(note) longer_by:\(by)"
            return feedback
        }
    }

    static func characters(_ text: [UInt8]) -> Int { text.count { $0 & 0xc0 != 0x80 } }
}
