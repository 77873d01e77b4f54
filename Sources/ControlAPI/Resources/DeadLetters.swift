import ControlLoop
import Core
import Foundation
import Hummingbird
import Policy
import StreamProcessing
import Telemetry

extension ControlAPI {
    static let deadLetterEndpoints: [Endpoint] = [
        Endpoint(
            "GET", "/api/v1/stream/deadletters", .viewer, "Records that could not be counted, newest first.",
            query: ["reason", "from", "to", "open", "limit", "cursor"]
        ) { api, call in try await api.listDeadLetters(call) },
        Endpoint("GET", "/api/v1/stream/deadletters/{id}", .viewer, "One refused record, with its bytes.") {
            api, call in
            Answer.resource(DeadLetterView(try await api.deadLetter(call), whole: true), for: call)
        },
        Endpoint(
            "POST", "/api/v1/stream/deadletters/{id}:replay", .operator,
            "Sends a refused record, or a corrected one, through the log again."
        ) { api, call in try await api.replay(call) },
    ]

    private func listDeadLetters(_ call: Call) async throws -> Response {
        let limit = try call.limit()
        let reason = try call.choice("reason", DeadLetter.Reason.allCases.map(\.rawValue))
        let from = try call.number("from") ?? 0
        let to = try call.number("to") ?? .max
        guard from < to else { throw Violation("?from", "'from' lies before 'to'.") }
        var query = DeadLetterQuery(
            reason: reason.flatMap(DeadLetter.Reason.init(rawValue:)), range: from..<to,
            openOnly: try call.choice("open", ["true", "false"]) == "true", limit: limit + 1)
        if let cursor = call.query["cursor"] {
            let parts = cursor.split(separator: "@", maxSplits: 1)
            guard parts.count == 2, let at = Int64(parts[0]), let id = DeadLetterID(String(parts[1])) else {
                throw Violation("?cursor", "'\(cursor)' is not a cursor. Use 'next_cursor' of the page before.")
            }
            query.after = .init(at: at, id: id)
        }
        let found = try await records.deadLetters(query)
        let page = found.prefix(limit)
        let next = found.count > limit ? page.last.map { "\($0.at)@\($0.id)" } : nil
        return Answer.json(Page(items: page.map { DeadLetterView($0, whole: false) }, nextCursor: next))
    }

    private func deadLetter(_ call: Call) async throws -> StoredDeadLetter {
        let text = call.parameters["id"] ?? ""
        guard let id = DeadLetterID(text) else {
            throw Problem.notFound(
                "'\(text)' is not the id of a dead letter.", remedy: "Ids are topic:partition:offset; list them first.")
        }
        guard let letter = try await records.deadLetter(id) else { throw DeadLetterFault.missing(id) }
        return letter
    }

    private func replay(_ call: Call) async throws -> Response {
        let body = call.body.isEmpty ? ReplayBody() : try call.decode(ReplayBody.self)
        let stored = try await deadLetter(call)
        let again = body.again ?? false
        if let before = stored.replayedAt, !again { throw DeadLetterFault.replayed(stored.id, at: before) }
        if stored.reason == DeadLetter.Reason.malformedExport.rawValue, body.raw == nil {
            throw Problem(
                status: 409, code: "deadletter.export",
                detail:
                    "'\(stored.id.topic)' is a topic of OpenTelemetry exports: its payload is no record of the log.",
                remedy: "Send a corrected export to that topic, or to the collector over HTTP.")
        }
        let event = try readable(stored, corrected: body.raw.map { Array($0.utf8) })
        guard let append = hooks.append else {
            throw Problem(
                status: 503, code: "server.log_away",
                detail: "This process has no gateway role and so no event log to write to.",
                remedy: "Ask the control API of a process that runs a gateway too.")
        }
        if body.raw == nil { try await checkStands(stored, event) }
        // Marked first: should the process end in between, the record is missing, which can be mended, and not doubled.
        try await records.markReplayed(
            stored.id, by: call.actor, now: hooks.now(), again: again,
            detail: body.raw == nil ? stored.reason : "\(stored.reason), corrected"
        )
        append(event)
        return Answer.json(DeadLetterView(try await deadLetter(call), whole: false), status: 202)
    }

    /// What the record says, if this version can read it.
    private func readable(_ stored: StoredDeadLetter, corrected: [UInt8]?) throws -> LogEvent {
        let bytes = corrected ?? stored.raw
        let decoder = EventDecoder()
        var failures: [EventError] = []
        for kind in [LogEvent.Kind.request, .feedback] {
            do { return try decoder.decode(bytes, kind: kind) } catch { failures.append(error) }
        }
        // As feedback, a request lacks what only feedback has: what is wrong with it says the first reading.
        let looksLikeFeedback = String(decoding: bytes, as: UTF8.self).contains(#""request""#)
        let failure = (looksLikeFeedback ? failures.last : failures.first)?.description ?? ""
        throw Problem(
            status: 409, code: "deadletter.malformed",
            detail: corrected == nil
                ? "The record would be refused again: \(failure)" : "The corrected record cannot be read: \(failure)",
            remedy: "Give a corrected record: `trimtab stream deadletters replay \(stored.id) --raw FILE`.")
    }

    /// - Throws: `Problem` when the reason for which the record was refused still stands.
    private func checkStands(_ stored: StoredDeadLetter, _ event: LogEvent) async throws {
        let reason: String
        switch DeadLetter.Reason(rawValue: stored.reason) {
        case .late:
            let watermarks = try await records.partitions()
                .filter { $0.topic == stored.id.topic && !$0.job.hasPrefix(StreamJob.backfillPrefix) }.map(\.watermark)
            guard let newest = watermarks.compactMap({ $0 }).max() else { return }
            let taken = settings.windows.contains { $0.takes(event.at, at: newest) }
            if taken { return }
            reason = "its windows are past their allowed lateness"
        case .future:
            if event.at <= hooks.now() { return }
            reason = "its time is still ahead of the clock"
        case .notOwnRequest: reason = "the request that it judges is another key's"
        default: return
        }
        throw Problem(
            status: 409, code: "deadletter.refused",
            detail: "The record would be refused again (\(stored.reason)): \(reason).",
            remedy: "Give a corrected record: `trimtab stream deadletters replay \(stored.id) --raw FILE`.")
    }
}

enum RoundedTime {
    static func floor(_ time: Int64, to step: Int64) -> Int64 {
        let rest = time % step
        return time - (rest < 0 ? rest + step : rest)
    }
}

private struct ReplayBody: RequestBody {
    var again: Bool?
    /// A corrected record instead of the stored one, as text.
    var raw: String?
    static let shape = Shape.object(["again": .value, "raw": .value])
}

private struct DeadLetterView: Encodable {
    let id, topic: String
    let partition: Int
    let offset, at: Int64
    let reason, detail: String
    let bytes: Int
    let replayedAt: Int64?
    let replayedBy: String?
    /// The record, if it is UTF-8; else `hex` has it.
    let raw, hex: String?

    init(_ stored: StoredDeadLetter, whole: Bool) {
        (id, topic, partition, offset, at) = (
            stored.id.description, stored.id.topic, stored.id.partition, stored.id.offset, stored.at
        )
        (reason, detail, bytes) = (stored.reason, stored.detail, stored.raw.count)
        (replayedAt, replayedBy) = (stored.replayedAt, stored.replayedBy)
        let text = whole ? String(validating: stored.raw, as: UTF8.self) : nil
        raw = text
        hex = whole && text == nil ? stored.raw.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() : nil
    }

    enum CodingKeys: String, CodingKey {
        case id, topic, partition, offset, at, reason, detail, bytes, raw, hex
        case replayedAt = "replayed_at"
        case replayedBy = "replayed_by"
    }
}
