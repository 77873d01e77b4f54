import Telemetry

/// Session windows: they grow with their events and merge when one of them closes the gap between two.
///
/// Lateness is judged on the merged session, so an event that is too late alone may join a live one. When a session
/// that has been handed out changes its bounds, its former result is retracted.
final class SessionWindows: WindowOperator {
    private struct Session {
        var window: Window
        var slot: WindowSlot
    }

    private let definition: WindowDefinition
    private let plan: AggregatePlan
    private let empty: WindowAggregate
    private let gap: Int64
    private let partition: Int
    private let mostKeys: Int
    private let other: WindowKey
    private(set) var watermark: Int64
    /// By key, in order of time.
    private var sessions: [WindowKey: [Session]] = [:]
    private(set) var openCount = 0
    private(set) var latestKey: WindowKey
    /// When sessions fire or are forgotten; an entry may be early, since a session can have grown.
    private var deadlines = DeadlineQueue()
    private var changes = WindowChanges()
    /// Keys with sessions that changed since the last drain.
    private var touched: Set<WindowKey> = []

    init(
        _ definition: WindowDefinition, partition: Int, watermark: Int64, open: [OpenWindow], mostKeys: Int
    ) {
        self.definition = definition
        plan = AggregatePlan(definition.aggregates)
        empty = plan.make()
        if case .session(let gap) = definition.assigner { self.gap = gap } else { gap = 1 }
        self.partition = partition
        self.mostKeys = mostKeys
        other = definition.overflowKey
        latestKey = other
        self.watermark = watermark
        for held in open.sorted(by: { $0.window.start < $1.window.start }) {
            sessions[held.key, default: []].append(Session(window: held.window, slot: WindowSlot(held)))
            openCount += 1
            deadlines.add(deadline(held.window), held.key)
        }
    }

    func add(_ record: borrowing RequestRecord, now: Int64) -> Placement {
        latestKey = definition.key(of: record)
        let key = sessions[latestKey] == nil && sessions.count >= mostKeys ? other : latestKey
        let own = Window(start: record.at, end: record.at.addingSaturating(gap))
        let held = sessions[key]?.map(\.window) ?? []
        let joined = held.indices.filter { held[$0].start < own.end && own.start < held[$0].end }
        let window = joined.reduce(own) { union, place in
            Window(start: min(union.start, held[place].start), end: max(union.end, held[place].end))
        }
        guard definition.purgeTime(window) > watermark else { return .late }
        count(record, key, at: merge(joined, into: window, key), now)
        return .counted
    }

    func advance(to newWatermark: Int64) {
        guard newWatermark > watermark else { return }
        let former = watermark
        watermark = newWatermark
        // A key has an entry for each of its sessions, but all that are due fire with the first, and once.
        var done: Set<WindowKey> = []
        while let key = deadlines.next(upTo: watermark) {
            guard done.insert(key).inserted, var held = sessions[key] else { continue }
            for place in held.indices {
                let fires = WindowDefinition.fireTime(held[place].window)
                guard fires > former, fires <= watermark else { continue }
                held[place].slot.changed = true
                held[place].slot.fire(.ontime)
                touched.insert(key)
            }
            let kept = held.filter { definition.purgeTime($0.window) > watermark }
            for session in held where definition.purgeTime(session.window) <= watermark { purge(session, key) }
            sessions[key] = kept.isEmpty ? nil : kept
            if let next = kept.map({ deadline($0.window) }).min() { deadlines.add(next, key) }
        }
    }

    func advanceClock(now: Int64) {
        guard case .clock? = definition.early else { return }
        for (key, held) in sessions {
            for (place, session) in held.enumerated() where session.slot.isDue(byClock: now, definition.early) {
                sessions[key]?[place].slot.changed = true
                sessions[key]?[place].slot.fire(.early)
                touched.insert(key)
            }
        }
    }

    func drain() -> WindowChanges {
        for key in touched {
            guard var held = sessions[key] else { continue }
            for place in held.indices where held[place].slot.changed { emit(&held[place], key) }
            sessions[key] = held
        }
        touched.removeAll(keepingCapacity: true)
        changes.sort()
        defer { changes = WindowChanges() }
        return changes
    }

    // MARK: Merging

    /// Replaces the joined sessions of a key by one; its place.
    private func merge(_ joined: [Int], into window: Window, _ key: WindowKey) -> Int {
        var held = sessions[key] ?? []
        guard let first = joined.first else {
            let place = held.firstIndex { $0.window.start > window.start } ?? held.count
            held.insert(Session(window: window, slot: WindowSlot(empty)), at: place)
            sessions[key] = held
            openCount += 1
            deadlines.add(deadline(window), key)
            return place
        }
        guard joined.count > 1 || held[first].window != window else { return first }
        // One that has fired is only looked at again to be forgotten, but now it has to fire anew.
        if joined.allSatisfy({ deadline(held[$0].window) > deadline(window) }) { deadlines.add(deadline(window), key) }
        var slot = WindowSlot(empty)
        for place in joined {
            let former = held[place]
            slot.aggregate.merge(former.slot.aggregate)
            slot.pane = max(slot.pane, former.slot.pane)
            slot.newEvents += former.slot.newEvents
            slot.newSince = [slot.newSince, former.slot.newSince].compactMap { $0 }.min()
            if former.slot.emitted { changes.retracted.append(WindowID(window: former.window, key: key)) }
            if former.slot.stored { changes.purged.append(WindowID(window: former.window, key: key)) }
        }
        // A session that had fired is next looked at when it closes, and one that has grown may have to fire again.
        if joined.contains(where: { WindowDefinition.fireTime(held[$0].window) <= watermark }) {
            deadlines.add(deadline(window), key)
        }
        held.removeSubrange(first...(joined.last ?? first))
        held.insert(Session(window: window, slot: slot), at: first)
        openCount -= joined.count - 1
        sessions[key] = held
        return first
    }

    // MARK: Firing

    private func count(_ record: borrowing RequestRecord, _ key: WindowKey, at place: Int, _ now: Int64) {
        /// In place, because sums are large to copy.
        func update(_ session: inout Session) {
            plan.add(record, to: &session.slot.aggregate)
            session.slot.changed = true
            let early = session.slot.note(now: now, definition.early)
            if WindowDefinition.fireTime(session.window) <= watermark {
                session.slot.fire(.late)
            } else if early {
                session.slot.fire(.early)
            }
        }
        update(&sessions[key, default: []][place])
        touched.insert(key)
    }

    private func result(_ session: Session, _ key: WindowKey, _ kind: PaneKind) -> WindowResult {
        WindowResult(
            window: session.window, key: key, partition: partition, pane: session.slot.pane - 1, kind: kind,
            closesAt: definition.purgeTime(session.window), aggregate: session.slot.aggregate)
    }

    private func emit(_ session: inout Session, _ key: WindowKey) {
        if let kind = session.slot.due {
            changes.results.append(result(session, key, kind))
            session.slot.emitted = true
        }
        session.slot.due = nil
        session.slot.changed = false
        session.slot.stored = true
        changes.changed.append(session.slot.open(session.window, key))
    }

    private func purge(_ session: Session, _ key: WindowKey) {
        openCount -= 1
        if let kind = session.slot.due { changes.results.append(result(session, key, kind)) }
        if session.slot.stored { changes.purged.append(WindowID(window: session.window, key: key)) }
    }

    private func deadline(_ window: Window) -> Int64 {
        let fires = WindowDefinition.fireTime(window)
        return fires > watermark ? fires : definition.purgeTime(window)
    }
}

/// Keys by the time at which they have to be looked at: a binary heap.
struct DeadlineQueue {
    private var entries: [(at: Int64, key: WindowKey)] = []

    mutating func add(_ at: Int64, _ key: WindowKey) {
        entries.append((at, key))
        var child = entries.count - 1
        while child > 0, entries[child].at < entries[(child - 1) / 2].at {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes out the key with the earliest time, unless that is after `limit`.
    mutating func next(upTo limit: Int64) -> WindowKey? {
        guard let first = entries.first, first.at <= limit else { return nil }
        let last = entries.removeLast()
        guard !entries.isEmpty else { return first.key }
        entries[0] = last
        var parent = 0
        while true {
            let children = [2 * parent + 1, 2 * parent + 2].filter { $0 < entries.count }
            guard let least = children.min(by: { entries[$0].at < entries[$1].at }),
                entries[least].at < entries[parent].at
            else { return first.key }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}
