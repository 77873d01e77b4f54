import Core
import Telemetry

/// Joins feedback to the request it is about: one seen of late, or one that is looked up, or one still to come.
struct FeedbackJoin {
    enum Refusal {
        case duplicate
        case dead(PendingFeedback, DeadLetter.Reason, String)
    }
    typealias Dead = (PendingFeedback, DeadLetter.Reason, String)

    private let limit: Int
    private let limitMs: Int64
    private var recent: RecentMap<FeedbackTarget>
    /// Ids of late, and whether one still counts or may count: what was refused may be sent again.
    private var seen: RecentMap<Bool>
    /// In order of arrival.
    private(set) var pending: [PendingFeedback]
    private var joined: [AttributedFeedback] = []
    /// Requests before this offset are in the table that feedback is looked up in, as far as they are kept.
    private var storedBefore: Int64

    init(_ settings: StreamSettings, pending: [PendingFeedback]) {
        limit = settings.pendingFeedback
        limitMs = settings.pendingFeedbackMs
        recent = RecentMap(bound: settings.recentRequests)
        seen = RecentMap(bound: settings.recentFeedback)
        self.pending = pending
        storedBefore = (pending.last?.offset ?? -1) + 1
        for entry in pending { seen.remember(true, for: entry.feedback.id) }
    }

    /// Requests that are waited for, each once.
    var unresolved: [UUIDv7] { Array(Set(pending.map(\.feedback.request))).sorted() }

    mutating func add(_ feedback: Feedback, offset: Int64, now: Int64, windows: [WindowDefinition]) -> Refusal? {
        guard seen.value(of: feedback.id) != true else { return .duplicate }
        seen.remember(true, for: feedback.id)
        let entry = PendingFeedback(feedback: feedback, offset: offset, since: now)
        if let request = recent.value(of: feedback.request) {
            return join(entry, request, windows).map { .dead($0.0, $0.1, $0.2) }
        }
        pending.append(entry)
        guard pending.count > limit else { return nil }
        let dead = refuse(pending.removeFirst(), .requestUnknown, "More than \(limit) were waiting for their requests.")
        return .dead(dead.0, dead.1, dead.2)
    }

    /// A request has come: remembers it, and joins what waits for it.
    @inline(__always)
    mutating func arrived(_ id: UUIDv7, _ request: consuming FeedbackTarget, windows: [WindowDefinition]) -> [Dead] {
        recent.remember(request, for: id)
        guard !pending.isEmpty, pending.contains(where: { $0.feedback.request == id }) else { return [] }
        return settle([:], expired: { _ in false }, windows)
    }

    mutating func resolve(_ rows: [UUIDv7: RequestRow], now: Int64, windows: [WindowDefinition]) -> [Dead] {
        // What came since the last checkpoint may be about a request that came since then too, and is nowhere yet.
        let (limitMs, storedBefore) = (limitMs, storedBefore)
        return settle(
            rows.mapValues { FeedbackTarget($0) },
            expired: { $0.offset < storedBefore && now.subtractingSaturating($0.since) >= limitMs }, windows)
    }

    /// What was joined since, each id once: one that waited long for its request may have been repeated, and forgotten by
    /// then, and the store tells repetitions only from what it has already.
    mutating func drain() -> [AttributedFeedback] {
        defer { joined = [] }
        storedBefore = (pending.last?.offset ?? -1) + 1
        var ids: Set<UUIDv7> = []
        return joined.filter { ids.insert($0.id).inserted }
    }

    private mutating func settle(
        _ rows: [UUIDv7: FeedbackTarget], expired: (PendingFeedback) -> Bool, _ windows: [WindowDefinition]
    ) -> [Dead] {
        var dead: [Dead] = []
        var waiting: [PendingFeedback] = []
        for entry in pending {
            if let request = rows[entry.feedback.request] ?? recent.value(of: entry.feedback.request) {
                if let refused = join(entry, request, windows) { dead.append(refused) }
            } else if expired(entry) {
                dead.append(refuse(entry, .requestUnknown, "No request \(entry.feedback.request) is known."))
            } else {
                waiting.append(entry)
            }
        }
        pending = waiting
        return dead
    }

    private mutating func refuse(_ entry: PendingFeedback, _ reason: DeadLetter.Reason, _ detail: String) -> Dead {
        seen.remember(false, for: entry.feedback.id)
        return (entry, reason, detail)
    }

    /// A key may only speak of its own requests; feedback without a key is an operator's.
    private mutating func join(
        _ entry: PendingFeedback, _ request: FeedbackTarget, _ windows: [WindowDefinition]
    ) -> Dead? {
        if let key = entry.feedback.key, key != request.virtualKey {
            let text = "Request \(entry.feedback.request) was not made with the key '\(key)'."
            return refuse(entry, .notOwnRequest, text)
        }
        joined.append(
            AttributedFeedback(entry.feedback, request, windows: windows.flatMap { $0.windows(of: request) }))
        return nil
    }
}
