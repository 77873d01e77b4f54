import Telemetry

/// Tumbling and sliding windows.
///
/// Windows that overlap are put together from panes when they fire, so that an event is added once however many
/// windows it is in. Where panes are discarding or shown early each window keeps its own sums instead.
final class AlignedWindows: WindowOperator {
    /// The slots of one span, a window or a pane.
    private final class Table {
        let span: Window
        /// The numbers of the keys, by place.
        private(set) var numbers: [Int] = []
        /// By the key's number, -1 where there is none.
        private var places: [Int32] = []
        var slots: [WindowSlot] = []
        /// Places of slots that changed since the last drain.
        var changed: [Int] = []

        init(_ span: Window) { self.span = span }

        @inline(__always)
        func place(of number: Int) -> Int? {
            guard number < places.count, places[number] >= 0 else { return nil }
            return Int(places[number])
        }

        @inline(__always)
        func place(of number: Int, mostKeys: Int, empty: WindowAggregate) -> Int {
            place(of: number) ?? make(number, mostKeys: mostKeys, empty: empty)
        }

        private func make(_ number: Int, mostKeys: Int, empty: WindowAggregate) -> Int {
            guard slots.count < mostKeys || number == GroupKeys.overflow else {
                return place(of: GroupKeys.overflow, mostKeys: mostKeys, empty: empty)
            }
            add(number, WindowSlot(empty))
            return slots.count - 1
        }

        func add(_ number: Int, _ slot: WindowSlot) {
            enter(number, at: slots.count)
            numbers.append(number)
            slots.append(slot)
        }

        /// The keys have new numbers.
        func renumber(_ change: (Int) -> Int) {
            numbers = numbers.map(change)
            places = []
            for (place, number) in numbers.enumerated() { enter(number, at: place) }
        }

        private func enter(_ number: Int, at place: Int) {
            if number >= places.count {
                places.append(contentsOf: repeatElement(-1, count: number + 1 - places.count))
            }
            places[number] = Int32(place)
        }

        @inline(__always)
        func touch(_ place: Int) {
            guard !slots[place].changed else { return }
            slots[place].changed = true
            changed.append(place)
        }
    }

    private let definition: WindowDefinition
    private let plan: AggregatePlan
    private let empty: WindowAggregate
    private let grid: AlignedGrid
    private let partition: Int
    private let mostKeys: Int
    private var keys: GroupKeys
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
    private var windows: [Int64: Table] = [:]
    private var panes: [Int64: Table] = [:]
    /// The table of the event before: most events are in the same one.
    private var latest: Table?
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
        empty = plan.make()
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
        if keys.count > mostNumbers { renumber() }
        let key = keys.number(of: record)
        latestNumber = key
        // Most events are where the one before was, and ahead of the watermark.
        if timestamp > watermark, let latest, latest.span.start <= timestamp, timestamp < latest.span.end,
            latest.span.end - latest.span.start == sharedLength
        {
            if paned { add(record, to: latest, key) } else { count(record, key, now, in: latest) }
            return .counted
        }
        guard let last = grid.latestWindow(of: timestamp) else { return .unassigned }
        guard definition.purgeTime(last) > watermark else { return .late }
        if paned {
            add(record, to: pane(grid.pane(of: timestamp)), key)
            // A window that contains a later time than the watermark has not fired.
            guard timestamp <= watermark else { return .counted }
            for window in grid.windows(of: timestamp) where isFired(window) && definition.purgeTime(window) > watermark
            {
                fire(.late, key, in: self.window(window))
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
        nextDeadline = .max
        for window in heldWindows() {
            let fires = WindowDefinition.fireTime(window)
            if fires > former, fires <= watermark { fireAll(window) }
            if definition.purgeTime(window) <= watermark { purge(windows.removeValue(forKey: window.start)) }
            noteDeadline(window)
        }
        for (start, table) in panes {
            guard let last = grid.latestWindow(of: start), definition.purgeTime(last) <= watermark else { continue }
            purge(panes.removeValue(forKey: start))
            if latest === table { latest = nil }
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
        for table in windows.values where !table.changed.isEmpty { emit(table) }
        for table in panes.values where !table.changed.isEmpty { emit(table) }
        changes.sort()
        defer { changes = WindowChanges() }
        return changes
    }

    // MARK: Counting

    private func window(_ span: Window) -> Table { table(span, in: &windows) }
    private func pane(_ span: Window) -> Table { table(span, in: &panes) }

    private func table(_ span: Window, in tables: inout [Int64: Table]) -> Table {
        if let latest, latest.span == span { return latest }
        if let table = tables[span.start] {
            latest = table
            return table
        }
        let table = Table(span)
        tables[span.start] = table
        latest = table
        noteDeadlines(around: span)
        return table
    }

    private func add(_ record: borrowing RequestRecord, to table: Table, _ key: Int) {
        let place = table.place(of: key, mostKeys: mostKeys, empty: empty)
        plan.add(record, to: &table.slots[place].aggregate)
        table.touch(place)
    }

    private func count(_ record: borrowing RequestRecord, _ key: Int, _ now: Int64, in table: Table) {
        let place = table.place(of: key, mostKeys: mostKeys, empty: empty)
        plan.add(record, to: &table.slots[place].aggregate)
        table.touch(place)
        let early = table.slots[place].note(now: now, definition.early)
        if isFired(table.span) {
            fire(.late, at: place, in: table)
        } else if early {
            fire(.early, at: place, in: table)
        } else if let since = table.slots[place].newSince {
            noteClock(since)
        }
    }

    /// Numbers the keys anew that are still held.
    private func renumber() {
        let former = keys
        keys = GroupKeys(definition)
        for table in windows.values { table.renumber { keys.number(of: former[$0]) } }
        for table in panes.values { table.renumber { keys.number(of: former[$0]) } }
        mostNumbers = 2 * keys.count + Self.fewestNumbers
    }

    private func noteClock(_ since: Int64) {
        if case .clock(let ms)? = definition.early { nextClock = min(nextClock, since.addingSaturating(ms)) }
    }

    // MARK: Firing

    private func isFired(_ window: Window) -> Bool { WindowDefinition.fireTime(window) <= watermark }

    private func fire(_ kind: PaneKind, _ key: Int, in table: Table) {
        fire(kind, at: table.place(of: key, mostKeys: mostKeys, empty: empty), in: table)
    }

    private func fire(_ kind: PaneKind, at place: Int, in table: Table) {
        table.touch(place)
        table.slots[place].fire(kind)
        guard definition.discarding else { return }
        // Handed out at once, since the next pane holds something else.
        changes.results.append(result(table, place, kind, []))
        table.slots[place].aggregate = empty
        table.slots[place].due = nil
    }

    private func fireAll(_ window: Window) {
        if paned {
            let panes = panesOf(window)
            guard !panes.isEmpty else { return }
            let table = self.window(window)
            for pane in panes {
                for key in pane.numbers {
                    let place = table.place(of: key, mostKeys: mostKeys, empty: empty)
                    // Its first pane is this one, and a key may be in several.
                    if table.slots[place].pane == 0 { fire(.ontime, at: place, in: table) }
                }
            }
        } else if let table = windows[window.start] {
            for place in table.slots.indices { fire(.ontime, at: place, in: table) }
        }
    }

    private func panesOf(_ window: Window) -> [Table] {
        stride(from: window.start, to: window.end, by: Int64.Stride(grid.pane)).compactMap { panes[$0] }
    }

    /// - Parameter panes: What the window is put together from; none where it keeps its own sums.
    private func result(_ table: Table, _ place: Int, _ kind: PaneKind, _ panes: [Table]) -> WindowResult {
        let slot = table.slots[place]
        var aggregate = slot.aggregate
        for pane in panes {
            if let part = pane.place(of: table.numbers[place]) { aggregate.merge(pane.slots[part].aggregate) }
        }
        return WindowResult(
            window: table.span, key: keys[table.numbers[place]], partition: partition, pane: slot.pane - 1, kind: kind,
            closesAt: definition.purgeTime(table.span), discarding: definition.discarding, aggregate: aggregate)
    }

    private func emit(_ table: Table) {
        let panes = paned ? panesOf(table.span) : []
        for place in table.changed {
            if let kind = table.slots[place].due {
                changes.results.append(result(table, place, kind, panes))
                table.slots[place].emitted = true
            }
            table.slots[place].due = nil
            table.slots[place].changed = false
            table.slots[place].stored = true
            changes.changed.append(table.slots[place].open(table.span, keys[table.numbers[place]]))
        }
        table.changed.removeAll(keepingCapacity: true)
    }

    private func purge(_ table: Table?) {
        guard let table else { return }
        if latest === table { latest = nil }
        let panes = paned ? panesOf(table.span) : []
        for place in table.slots.indices {
            if let kind = table.slots[place].due { changes.results.append(result(table, place, kind, panes)) }
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
