import Core
import NIOCore
import Policy
import Telemetry

/// What the gateway answers by itself.
extension ClientConnection {
    /// `GET /v1/models`: the routes that the key may use, in OpenAI's list form.
    func respondModels(_ request: ClientRequest) {
        var body = ByteBuffer()
        body.writeStaticString("{\"object\":\"list\",\"data\":[")
        for (index, route) in loop.snapshot.routes(for: request.caller).enumerated() {
            if index > 0 { body.writeStaticString(",") }
            let created = loop.snapshot.table.entries[route.name]?.stable.createdAt ?? 0
            body.writeStaticString("{\"id\":")
            body.writeJSONString(route.name.description)
            body.writeStaticString(",\"object\":\"model\",\"created\":")
            body.writeDecimal(Int(max(0, created) / 1_000))
            body.writeStaticString(",\"owned_by\":\"trimtab\"}")
        }
        body.writeStaticString("]}")
        respond(200, body: body)
    }

    /// `POST /v1/feedback`: takes one judgement about one of the key's own requests. Whether the request was the key's
    /// is checked where the two meet, since the gateway remembers none.
    func acceptFeedback(_ request: ClientRequest) {
        let parsed = request.body.withUnsafeReadableBytes { FeedbackReader.read($0) }
        switch parsed {
        case .failure(let error): reject(error.refusal)
        case .success(let form):
            let now = wallClock()
            let id = form.id ?? loop.makeID(now, bucket: form.request.bucket)
            var feedback = form.feedback(id: id, at: now)
            feedback.key = request.caller.key?.name
            loop.sink.append(.feedback(feedback))
            loop.statistics.feedback += 1
            var body = ByteBuffer()
            body.writeStaticString("{\"id\":\"")
            body.writeString(id.description)
            body.writeStaticString("\",\"object\":\"feedback\"}")
            respond(202, body: body)
        }
    }
}
