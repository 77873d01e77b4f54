/// Keyed event-time windows: an event counts until its window's end and allowed lateness have passed the watermark.
///
/// A window fires when the watermark reaches its last millisecond and again, with everything so far, for late events;
/// results leave with the next `drain`, so that several late events between two checkpoints are one pane. Windows are
/// forgotten when the allowed lateness has passed.
package struct WindowOperator {
    private struct Entry {
        var pane = 0
        /// Whether a result has to leave with the next drain.
        var due = false
        var changed = true
        /// Whether a drain has handed it out before.
        var stored = false
        var aggregate = WindowAggregate()

        mutating func count(late: Bool, _ update: (inout WindowAggregate) -> Void) {
            update(&aggregate)
            changed = true
            if late { due = true }
        }
    }

    private struct Group {
        var fired: Bool
        var entries: [WindowKey: Entry] = [:]
    }

    /// What changed since the last drain.
    package struct Changes {
        package var changed: [OpenWindow] = []
        package var purged: [WindowID] = []
        /// In firing order: by end, start, key.
        package var results: [WindowResult] = []
    }

    package let assigner: WindowAssigner
    private let latenessMs: Int64
    private let partition: Int
    package private(set) var watermark: Int64
    private var groups: [Window: Group] = [:]
    private var changes = Changes()
    /// The smallest watermark at which a window fires or is forgotten.
    private var nextDeadline = Int64.max

    package init(
        partition: Int, assigner: WindowAssigner, latenessMs: Int64, watermark: Int64 = .min, open: [OpenWindow] = []
    ) {
        self.partition = partition
        self.assigner = assigner
        self.latenessMs = latenessMs
        self.watermark = watermark
        for window in open {
            var entry = Entry()
            entry.pane = window.pane
            entry.changed = false
            entry.stored = true
            entry.aggregate = window.aggregate
            groups[window.window, default: Group(fired: window.fired)].entries[window.key] = entry
        }
        updateDeadline()
    }

    /// How many windows, each of one key, are open.
    package var openCount: Int { groups.values.reduce(0) { $0 + $1.entries.count } }

    /// Counts an event at `timestamp`; false if it is too late for its window.
    package mutating func add(
        at timestamp: Int64, key: WindowKey, _ update: (inout WindowAggregate) -> Void
    ) -> Bool {
        let window = assigner.window(of: timestamp)
        guard purgeTime(window) > watermark else { return false }
        let late = window.end - 1 <= watermark
        if groups[window] == nil {
            groups[window] = Group(fired: late)
            nextDeadline = min(nextDeadline, late ? purgeTime(window) : window.end - 1)
        }
        groups[window, default: Group(fired: late)].entries[key, default: Entry()].count(late: late, update)
        return true
    }

    /// Moves event time on; a watermark that does not rise is ignored.
    package mutating func advance(to newWatermark: Int64) {
        guard newWatermark > watermark else { return }
        watermark = newWatermark
        guard watermark >= nextDeadline else { return }
        for window in Array(groups.keys) where window.end - 1 <= watermark {
            fire(window)
            if purgeTime(window) <= watermark { purge(window) }
        }
        updateDeadline()
    }

    /// Hands out what changed and marks everything clean.
    package mutating func drain() -> Changes {
        for (window, group) in groups {
            for (key, entry) in group.entries where entry.changed {
                let open = emit(window, key, entry, fired: group.fired)
                groups[window]?.entries[key] = open
            }
        }
        changes.results.sort { ($0.window, $0.key) < ($1.window, $1.key) }
        changes.changed.sort { $0.id < $1.id }
        changes.purged.sort()
        defer { changes = Changes() }
        return changes
    }

    private mutating func emit(_ window: Window, _ key: WindowKey, _ entry: Entry, fired: Bool) -> Entry {
        var entry = entry
        if entry.due {
            changes.results.append(result(window, key, entry))
            entry.pane += 1
        }
        entry.due = false
        entry.changed = false
        entry.stored = true
        changes.changed.append(
            OpenWindow(window: window, key: key, pane: entry.pane, fired: fired, aggregate: entry.aggregate))
        return entry
    }

    private func result(_ window: Window, _ key: WindowKey, _ entry: Entry) -> WindowResult {
        WindowResult(window: window, key: key, partition: partition, pane: entry.pane, aggregate: entry.aggregate)
    }

    private mutating func fire(_ window: Window) {
        guard var group = groups[window], !group.fired else { return }
        groups[window] = nil
        group.fired = true
        for key in Array(group.entries.keys) {
            group.entries[key]?.due = true
            group.entries[key]?.changed = true
        }
        groups[window] = group
    }

    private mutating func purge(_ window: Window) {
        guard let group = groups.removeValue(forKey: window) else { return }
        for (key, entry) in group.entries {
            if entry.due { changes.results.append(result(window, key, entry)) }
            if entry.stored { changes.purged.append(WindowID(window: window, key: key)) }
        }
    }

    /// The watermark that forgets a window.
    private func purgeTime(_ window: Window) -> Int64 { (window.end - 1).addingSaturating(latenessMs) }

    private mutating func updateDeadline() {
        nextDeadline = groups.reduce(.max) { min($0, $1.value.fired ? purgeTime($1.key) : $1.key.end - 1) }
    }
}
