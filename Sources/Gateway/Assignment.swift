import Core
import NIOCore
import Policy
import Telemetry

/// Which route a request goes to, in which arm, and who it is from.
struct Assignment {
    let id: UUIDv7
    let entry: RoutingTable.Entry
    let selection: RouteSelection
    let session: String?
    /// The session's hash as a number.
    let sessionNumber: UInt64?
    let user: String?
    let tags: [String: String]

    /// - Throws: a refusal if no route serves the request.
    init(
        _ request: ClientRequest, _ chat: ChatBody, _ cursor: JSONCursor, loop: GatewayLoop
    ) throws(RefusalError) {
        let forced = try Self.forced(request)
        let session = Self.session(request, chat, cursor).map(ClientHash.session)
        let user = chat.user.map { ClientHash.user(cursor.decode($0)) }
        id = loop.makeID(request.startedAt, bucket: session.map { UInt16(truncatingIfNeeded: $0 & 0x0fff) })
        let (sessionHash, userHash) = (session.map(hex), user.map(hex))
        (self.session, self.user, sessionNumber) = (sessionHash, userHash, session)

        let model = cursor.decode(chat.model)
        let (snapshot, id) = (loop.snapshot, id)
        func entry(_ name: RouteName?) -> RoutingTable.Entry? {
            guard let name, let entry = snapshot.table.entries[name], request.caller.mayUse(entry.route) else {
                return nil
            }
            return entry
        }
        guard let entry = entry(RouteName(model)) ?? entry(loop.settings.defaultRoute) else {
            let known = snapshot.routes(for: request.caller).map(\.name.description)
            throw RefusalError(.unknownRoute(model, known: known))
        }
        self.entry = entry
        tags = Self.tags(request.head)
        var wanted = RoutingRequest(
            route: entry.route.name, id: id, session: sessionHash, user: userHash, key: request.caller.key?.name,
            forced: forced)
        wanted.tags = tags
        if let asked = entry.pointer.eligibility?.headers {
            for name in asked.keys { wanted.headers[name] = request.head.string(named: name) }
        }
        selection = entry.select(wanted, random: loop.random.unit(), now: request.startedAt)
    }

    private static func session(_ request: ClientRequest, _ chat: ChatBody, _ cursor: JSONCursor) -> String? {
        if let name = request.head.string("x-trimtab-session"), !name.isEmpty { return name }
        return chat.session.map(cursor.decode)
    }

    private static func tags(_ head: HTTPHead) -> [String: String] {
        var tags: [String: String] = [:]
        for field in head.fields where head.reads(field.name, "x-trimtab-tags") {
            RequestTags.read(head.text(field.value), into: &tags)
        }
        return tags
    }

    private static func forced(_ request: ClientRequest) throws(RefusalError) -> RoutingRequest.Arm? {
        guard let name = request.head.string("x-trimtab-arm") else { return nil }
        guard let arm = RoutingRequest.Arm(rawValue: name) else {
            throw RefusalError(
                Refusal(
                    status: 400, code: "unknown_arm",
                    message: "No arm is called '\(name.prefix(64))'. Give stable, candidate or holdout.",
                    param: "x-trimtab-arm"))
        }
        return arm
    }
}

/// Sixteen hex digits.
func hex(_ value: UInt64) -> String {
    String(unsafeUninitializedCapacity: 16) { digits in
        for index in 0..<16 { digits[index] = hexDigit(UInt8(value >> (60 - 4 * UInt64(index)) & 15)) }
        return 16
    }
}

extension RequestRecord {
    /// Writes down how the request was assigned.
    mutating func note(_ selection: RouteSelection) {
        policy = selection.policy
        rollout = selection.rollout
        step = selection.step
        candidateWeight = selection.candidateWeight
        unit = selection.unit
        propensity = selection.propensity
        arm =
            switch selection.arm {
            case .stable: .stable
            case .candidate: .candidate
            case .holdout: .holdout
            case .explore: .explore
            case .forced: .forced
            }
        note(selection.target)
    }

    mutating func note(_ target: Target) {
        self.target = target.id
        provider = target.provider
        model = target.model
        credential = target.credentials
    }
}
