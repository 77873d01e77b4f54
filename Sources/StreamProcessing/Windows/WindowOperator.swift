package import Telemetry

/// Keyed event-time windows of one definition in one partition: an event counts until its window's end and allowed
/// lateness have passed the watermark.
///
/// A window fires when the watermark reaches its last millisecond and again, with everything so far, for each late
/// event. Results leave with the next `drain`, the newest pane of a window only, so that several late events between
/// two checkpoints are one row. Windows are forgotten when the allowed lateness has passed. Semantics: Akidau et al.,
/// "The Dataflow Model", VLDB 2015; what differs from Flink is in docs/streaming.md.
package protocol WindowOperator: AnyObject {
    var watermark: Int64 { get }
    /// How many windows (panes for sliding ones), each of one key, are held.
    var openCount: Int { get }
    /// Counts a request into its windows. `now` is the clock, milliseconds since the epoch.
    func add(_ record: borrowing RequestRecord, now: Int64) -> Placement
    /// The key of the request that was added last.
    var latestKey: WindowKey { get }
    /// Moves event time on; a watermark that does not rise is ignored.
    func advance(to newWatermark: Int64)
    /// Fires what is to be shown early by the clock.
    func advanceClock(now: Int64)
    /// Hands out what changed and marks everything clean.
    func drain() -> WindowChanges
}

package enum Placement: Sendable, Equatable {
    case counted
    /// Past the end and lateness of each of its windows.
    case late
    /// Between two windows.
    case unassigned
}

/// What changed since the last drain.
package struct WindowChanges {
    package var changed: [OpenWindow] = []
    package var purged: [WindowID] = []
    /// Results handed out before whose windows are gone: sessions that have grown or merged.
    package var retracted: [WindowID] = []
    /// In firing order: by end, start, key.
    package var results: [WindowResult] = []

    /// What is only stored needs no order.
    mutating func sort() {
        // Their names are sorted, since results are large to move.
        let order = results.indices.map { (id: results[$0].id, pane: results[$0].pane, place: $0) }
            .sorted { a, b in a.id == b.id ? a.pane < b.pane : a.id < b.id }
        results = order.map { results[$0.place] }
        retracted.sort()
    }
}

extension WindowDefinition {
    /// - Parameters:
    ///   - watermark: The partition's at the last checkpoint, `.min` at the beginning.
    ///   - open: The windows that this definition held then.
    ///   - mostKeys: Keys of one window beyond it are counted together, as `(other)`.
    package func makeOperator(
        partition: Int, watermark: Int64 = .min, open: [OpenWindow] = [], mostKeys: Int = 100_000
    ) -> any WindowOperator {
        let open = open.map(conforming)
        guard let grid = assigner.grid else {
            return SessionWindows(self, partition: partition, watermark: watermark, open: open, mostKeys: mostKeys)
        }
        return AlignedWindows(
            self, grid, partition: partition, watermark: watermark, open: open, mostKeys: mostKeys)
    }

    /// Whether a window that was held under this name can be held on: the definition may have changed since.
    func holds(_ window: Window) -> Bool {
        guard let grid = assigner.grid else { return true }
        return grid.windows(of: window.start).contains(window)
            || isPaned(grid) && grid.pane(of: window.start) == window
    }

    /// Whether windows are put together from panes.
    func isPaned(_ grid: AlignedGrid) -> Bool { grid.pane < grid.size && !discarding && early == nil }

    /// Whether a window was held under this name whose results the definition, as it is now, would overwrite with less or
    /// count twice: its panes added up and now replace each other or the reverse, or it keeps sums of its own and is now to
    /// be put together from panes or the reverse.
    package func contradicts(_ held: OpenWindow) -> Bool {
        guard let grid = assigner.grid else { return false }
        if grid.windows(of: held.window.start).contains(held.window) {
            let (isShown, hasSums) = (held.pane > 0, held.aggregate.requests > 0)
            if isShown, held.emitted == discarding { return true }
            return isPaned(grid) ? hasSums : isShown && !discarding && !hasSums
        }
        return grid.pane < grid.size && !isPaned(grid) && grid.pane(of: held.window.start) == held.window
    }

    /// With the sums that the definition names now.
    private func conforming(_ held: OpenWindow) -> OpenWindow {
        var held = held
        var aggregate = WindowAggregate(aggregates)
        aggregate.merge(held.aggregate)
        held.aggregate = aggregate
        return held
    }

    /// Stands for all keys beyond the bound.
    var overflowKey: WindowKey {
        let other = "(other)"
        return WindowKey(
            window: name, route: other, modelKey: other, arm: .stable, policy: 0,
            others: key.filter { !$0.isTyped }.map { _ in other })
    }

    /// The watermark that fires a window.
    static func fireTime(_ window: Window) -> Int64 { window.end - 1 }

    /// The watermark that forgets a window.
    func purgeTime(_ window: Window) -> Int64 { (window.end - 1).addingSaturating(latenessMs) }

    /// Whether a request of this time still counts at a watermark. In sessions, of one that would begin a session of its own:
    /// others may be held that take it.
    package func takes(_ timestamp: Int64, at watermark: Int64) -> Bool {
        let last: Window?
        if case .session(let gap) = assigner {
            last = Window(start: timestamp, end: timestamp.addingSaturating(gap))
        } else {
            last = assigner.grid?.latestWindow(of: timestamp)
        }
        return last.map { purgeTime($0) > watermark } ?? false
    }
}

/// What is held of one window and key.
struct WindowSlot {
    /// The number that its next pane gets.
    var pane = 0
    /// The kind of the pane that has to leave with the next drain.
    var due: PaneKind?
    var newEvents: Int64 = 0
    /// When the first event since the last firing came, by the clock.
    var newSince: Int64?
    /// Whether a drain has handed a result of it out.
    var emitted = false
    /// Whether a drain has handed it out to be kept.
    var stored = false
    var changed = false
    /// Last, so that what an event writes lies side by side.
    var aggregate: WindowAggregate

    init(_ aggregate: WindowAggregate) { self.aggregate = aggregate }

    init(_ open: OpenWindow) {
        aggregate = open.aggregate
        pane = open.pane
        newEvents = open.newEvents
        newSince = open.newSince
        emitted = open.emitted
        stored = true
    }

    /// Notes one more event; true if that is enough to show the window early.
    mutating func note(now: Int64, _ early: EarlyFiring?) -> Bool {
        guard let early else { return false }
        newEvents += 1
        if newSince == nil { newSince = now }
        if case .count(let enough) = early { return newEvents >= enough }
        return false
    }

    func isDue(byClock now: Int64, _ early: EarlyFiring?) -> Bool {
        guard case .clock(let ms)? = early, let newSince else { return false }
        return now >= newSince.addingSaturating(ms)
    }

    /// Makes a new pane of what there is.
    mutating func fire(_ kind: PaneKind) {
        newEvents = 0
        newSince = nil
        pane += 1
        due = kind
    }

    func open(_ window: Window, _ key: WindowKey) -> OpenWindow {
        OpenWindow(
            window: window, key: key, pane: pane, emitted: emitted, newEvents: newEvents, newSince: newSince,
            aggregate: aggregate)
    }
}
