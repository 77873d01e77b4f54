import Telemetry

/// Tumbling and sliding windows.
///
/// Windows that overlap are put together from panes when they fire, so that an event is added once however many
/// windows it is in. Where panes are discarding or shown early each window keeps its own sums instead.
final class AlignedWindows: WindowOperator {
    private let definition: WindowDefinition
    private let plan: AggregatePlan
    private let grid: AlignedGrid
    private let partition: Int
    private let mostKeys: Int
    private let keys: GroupKeys
    private static let fewestNumbers = 4_096
    /// With more, those of keys that no table holds any more are taken back.
    private var mostNumbers = AlignedWindows.fewestNumbers
    private var latestNumber = GroupKeys.overflow
    /// Whether windows are put together from panes.
    private let paned: Bool
    /// The length of what an event is added to once: a pane, or a window that overlaps no other; 0 where there is none.
    private let sharedLength: Int64
    private(set) var watermark: Int64
    /// By start. With panes: only windows that have fired, with their pane numbers and without sums.
    private var windows: [Int64: WindowTable] = [:]
    private var panes: [Int64: WindowTable] = [:]
    /// The tables of events before: most events are in one of them.
    private var latest: WindowTable?
    private var previous: WindowTable?
    private var changes = WindowChanges()
    /// The smallest watermark at which a window fires or is forgotten.
    private var nextDeadline = Int64.max
    /// The earliest clock time at which a window may have to be shown early.
    private var nextClock = Int64.max

    init(
        _ definition: WindowDefinition, _ grid: AlignedGrid, partition: Int, watermark: Int64, open: [OpenWindow],
        mostKeys: Int
    ) {
        self.definition = definition
        plan = AggregatePlan(definition.aggregates)
        self.grid = grid
        self.partition = partition
        self.mostKeys = mostKeys
        keys = GroupKeys(definition)
        paned = definition.isPaned(grid)
        sharedLength = paned ? grid.pane : grid.hop == grid.size ? grid.size : 0
        self.watermark = watermark
        for held in open {
            let isPane = paned && held.window.end - held.window.start == grid.pane
            let table = isPane ? pane(held.window) : window(held.window)
            table.add(keys.number(of: held.key), WindowSlot(held))
        }
        nextClock = .min
        for window in heldWindows() { noteDeadline(window) }
    }

    var openCount: Int { (paned ? panes : windows).values.reduce(0) { $0 + $1.slots.count } }

    var latestKey: WindowKey { keys[latestNumber] }

    func add(_ record: borrowing RequestRecord, now: Int64) -> Placement {
        let timestamp = record.at
        if keys.count > mostNumbers { renumberIfSparse() }
        let key = keys.number(of: record)
        latestNumber = key
        // Most events are where the one before was, and ahead of the watermark.
        if timestamp > watermark, let table = recent(timestamp) {
            count(record, key, now, in: table)
            return .counted
        }
        guard let last = grid.latestWindow(of: timestamp) else { return .unassigned }
        guard definition.purgeTime(last) > watermark else { return .late }
        if paned {
            let pane = pane(grid.pane(of: timestamp))
            count(record, key, now, in: pane)
            // A window that contains a later time than the watermark has not fired.
            guard timestamp <= watermark else { return .counted }
            // A window may have room for a key for which its pane has none.
            let counted = pane.place(of: key) == nil ? GroupKeys.overflow : key
            for window in grid.windows(of: timestamp) where isFired(window) && definition.purgeTime(window) > watermark
            {
                fire(.late, counted, in: self.window(window))
            }
        } else if grid.hop == grid.size {
            count(record, key, now, in: window(last))
        } else {
            for window in grid.windows(of: timestamp) where definition.purgeTime(window) > watermark {
                count(record, key, now, in: self.window(window))
            }
        }
        return .counted
    }

    func advance(to newWatermark: Int64) {
        guard newWatermark > watermark else { return }
        let former = watermark
        watermark = newWatermark
        guard watermark >= nextDeadline else { return }
        settle()
        nextDeadline = .max
        for window in heldWindows() {
            let fires = WindowDefinition.fireTime(window)
            if fires > former, fires <= watermark { fireAll(window) }
            if definition.purgeTime(window) <= watermark { purge(windows.removeValue(forKey: window.start)) }
            noteDeadline(window)
        }
        for start in panes.keys {
            guard let last = grid.latestWindow(of: start), definition.purgeTime(last) <= watermark else { continue }
            purge(panes.removeValue(forKey: start))
        }
    }

    func advanceClock(now: Int64) {
        guard case .clock? = definition.early, now >= nextClock else { return }
        nextClock = .max
        for table in windows.values where !isFired(table.span) {
            for place in table.slots.indices where table.slots[place].newSince != nil {
                if table.slots[place].isDue(byClock: now, definition.early) {
                    fire(.early, at: place, in: table)
                } else if let since = table.slots[place].newSince {
                    noteClock(since)
                }
            }
        }
    }

    func drain() -> WindowChanges {
        settle()
        for table in windows.values where !table.changed.isEmpty { emit(table) }
        for table in panes.values where !table.changed.isEmpty { emit(table) }
        changes.sort()
        defer { changes = WindowChanges() }
        return changes
    }

    // MARK: Counting

    private func window(_ span: Window) -> WindowTable { table(span, in: &windows) }
    private func pane(_ span: Window) -> WindowTable { table(span, in: &panes) }

    private func table(_ span: Window, in tables: inout [Int64: WindowTable]) -> WindowTable {
        if let latest, latest.span == span { return latest }
        previous = latest
        if let table = tables[span.start] {
            latest = table
            return table
        }
        let table = WindowTable(span, plan)
        tables[span.start] = table
        latest = table
        noteDeadlines(around: span)
        return table
    }

    /// The one of the latest tables that a request of this time is added to, if it is added to one only.
    @inline(__always)
    private func recent(_ timestamp: Int64) -> WindowTable? {
        if let latest, latest.span.start <= timestamp, timestamp < latest.span.end {
            return latest.span.end - latest.span.start == sharedLength ? latest : nil
        }
        guard let table = previous, table.span.start <= timestamp, timestamp < table.span.end,
            table.span.end - table.span.start == sharedLength
        else { return nil }
        swap(&latest, &previous)
        return table
    }

    private func settle() {
        for table in windows.values { table.settle() }
        for table in panes.values { table.settle() }
    }

    private func count(_ record: borrowing RequestRecord, _ key: Int, _ now: Int64, in table: WindowTable) {
        let place = table.place(of: key, mostKeys: mostKeys)
        table.add(record, at: place)
        // A pane is shown with its windows only.
        guard !paned else { return }
        let isFired = isFired(table.span)
        guard isFired || definition.early != nil else { return }
        let early = table.slots[place].note(now: now, definition.early)
        if isFired {
            fire(.late, at: place, in: table)
        } else if early {
            fire(.early, at: place, in: table)
        } else if let since = table.slots[place].newSince {
            noteClock(since)
        }
    }

    /// Numbers the keys anew that are still held, unless most of them are.
    private func renumberIfSparse() {
        let tables = [windows.values, panes.values].joined()
        if tables.allSatisfy({ 2 * $0.slots.count < keys.count }) {
            let former = keys.forget()
            for table in tables { table.renumber { keys.number(of: former[$0]) } }
        }
        mostNumbers = 2 * keys.count + Self.fewestNumbers
    }

    private func noteClock(_ since: Int64) {
        if case .clock(let ms)? = definition.early { nextClock = min(nextClock, since.addingSaturating(ms)) }
    }

    // MARK: Firing

    private func isFired(_ window: Window) -> Bool { WindowDefinition.fireTime(window) <= watermark }

    private func fire(_ kind: PaneKind, _ key: Int, in table: WindowTable) {
        fire(kind, at: table.place(of: key, mostKeys: mostKeys), in: table)
    }

    private func fire(_ kind: PaneKind, at place: Int, in table: WindowTable) {
        table.touch(place)
        table.slots[place].fire(kind)
        guard definition.discarding else { return }
        table.settle()
        // Handed out at once, since the next pane holds something else.
        changes.results.append(result(table, place, kind, table.take(place), []))
        table.slots[place].due = nil
    }

    private func fireAll(_ window: Window) {
        if paned {
            let panes = panesOf(window)
            guard !panes.isEmpty else { return }
            let table = self.window(window)
            for pane in panes {
                for key in pane.numbers {
                    let place = table.place(of: key, mostKeys: mostKeys)
                    // Its first pane is this one, and a key may be in several.
                    if table.slots[place].pane == 0 { fire(.ontime, at: place, in: table) }
                }
            }
        } else if let table = windows[window.start] {
            for place in table.slots.indices { fire(.ontime, at: place, in: table) }
        }
    }

    private func panesOf(_ window: Window) -> [WindowTable] {
        stride(from: window.start, to: window.end, by: Int64.Stride(grid.pane)).compactMap { panes[$0] }
    }

    /// - Parameters:
    ///   - sums: What the table itself holds.
    ///   - panes: What the window is put together from; none where it keeps its own sums.
    private func result(
        _ table: WindowTable, _ place: Int, _ kind: PaneKind, _ sums: consuming WindowAggregate, _ panes: [WindowTable]
    ) -> WindowResult {
        let number = table.numbers[place]
        for pane in panes {
            if let part = pane.place(of: number) { sums.merge(pane.slots[part].aggregate) }
            guard number == GroupKeys.overflow else { continue }
            // A pane may have room for keys for which the window, of more panes, has none.
            for (part, key) in pane.numbers.enumerated() where table.place(of: key) == nil {
                sums.merge(pane.slots[part].aggregate)
            }
        }
        return WindowResult(
            window: table.span, key: keys[number], partition: partition,
            pane: table.slots[place].pane - 1, kind: kind, closesAt: definition.purgeTime(table.span),
            discarding: definition.discarding, aggregate: sums)
    }

    private func emit(_ table: WindowTable) {
        let panes = paned ? panesOf(table.span) : []
        for place in table.changed {
            if let kind = table.slots[place].due {
                changes.results.append(result(table, place, kind, table.slots[place].aggregate, panes))
                table.slots[place].emitted = true
            }
            table.slots[place].due = nil
            table.slots[place].changed = false
            table.slots[place].stored = true
            changes.changed.append(table.slots[place].open(table.span, keys[table.numbers[place]]))
        }
        table.forgetChanges()
    }

    private func purge(_ table: WindowTable?) {
        guard let table else { return }
        if latest === table { latest = nil }
        if previous === table { previous = nil }
        let panes = paned ? panesOf(table.span) : []
        for place in table.slots.indices {
            if let kind = table.slots[place].due {
                changes.results.append(result(table, place, kind, table.take(place), panes))
            }
            if table.slots[place].stored {
                changes.purged.append(WindowID(window: table.span, key: keys[table.numbers[place]]))
            }
        }
    }

    // MARK: Deadlines

    /// All windows of which something is held.
    private func heldWindows() -> [Window] {
        var starts = Set(windows.keys)
        for start in panes.keys { for window in grid.windows(of: start) { starts.insert(window.start) } }
        return starts.map { Window(start: $0, end: $0.addingSaturating(grid.size)) }
    }

    private func noteDeadlines(around span: Window) {
        if span.end - span.start == grid.size {
            noteDeadline(span)
        } else {
            for window in grid.windows(of: span.start) { noteDeadline(window) }
        }
    }

    private func noteDeadline(_ window: Window) {
        let fires = WindowDefinition.fireTime(window)
        let deadline = fires > watermark ? fires : definition.purgeTime(window)
        if deadline > watermark { nextDeadline = min(nextDeadline, deadline) }
    }
}
