import Core
import NIOCore

/// The bytes of a request to a provider: the client's body with the model's name, and where needed the wish for the
/// usage, written into it; nothing else is touched.
struct UpstreamRequest {
    /// Rests of bodies up to this are copied behind the head; larger ones are sent from where they are.
    private static let copyLimit = 32 << 10

    let head: ByteBuffer
    let rest: ByteBuffer?

    private struct Edit {
        var range: Range<Int>
        var text: StaticString?
    }

    init(
        endpoint: UpstreamEndpoint, client: HTTPHead, id: UUIDv7, body: ByteBuffer, chat: ChatBody, model: String,
        asksUsage: Bool, isCopy: Bool = false
    ) {
        let modelEdit = Edit(range: chat.model.quoted, text: nil)
        var edits = [modelEdit]
        if asksUsage, let edit = Self.usageEdit(chat.usage) {
            edits = edit.range.lowerBound < modelEdit.range.lowerBound ? [edit, modelEdit] : [modelEdit, edit]
        }
        var name = ByteBuffer()
        name.writeJSONString(model)
        var length = body.readableBytes
        for edit in edits {
            length += (edit.text?.utf8CodeUnitCount ?? name.readableBytes) - edit.range.count
        }
        let tail = body.readableBytes - (edits.last?.range.upperBound ?? 0)
        let copies = tail <= Self.copyLimit

        var writer = HeadWriter(endpoint.head)
        HeaderRules.writeRequestHeaders(client, isCopy: isCopy, into: &writer)
        writer.field("x-request-id: ", id)
        writer.field("content-length: ", length)
        writer.endLine()
        var buffer = writer.buffer(more: copies ? length : length - tail)
        var done = 0
        func copy(to end: Int) {
            if let slice = body.getSlice(at: body.readerIndex + done, length: end - done) {
                buffer.writeImmutableBuffer(slice)
            }
            done = end
        }
        for edit in edits {
            copy(to: edit.range.lowerBound)
            if let text = edit.text { buffer.writeStaticString(text) } else { buffer.writeImmutableBuffer(name) }
            done = edit.range.upperBound
        }
        if copies {
            copy(to: body.readableBytes)
            rest = nil
        } else {
            rest = body.getSlice(at: body.readerIndex + done, length: tail)
        }
        head = buffer
    }

    private static func usageEdit(_ usage: ChatBody.UsageRequest) -> Edit? {
        switch usage {
        case .asked: nil
        case .absent(let at): Edit(range: at..<at, text: "\"stream_options\":{\"include_usage\":true},")
        case .null(let range): Edit(range: range, text: "{\"include_usage\":true}")
        case .object(let at, true): Edit(range: at..<at, text: "\"include_usage\":true")
        case .object(let at, false): Edit(range: at..<at, text: "\"include_usage\":true,")
        case .declined(let range): Edit(range: range, text: "true")
        }
    }
}
