import Statistics
import StreamProcessing

/// `events` of `trials`, that add up.
struct Counts: Summable {
    var trials: Int64 = 0
    var events: Int64 = 0

    init() {}

    init(_ events: Int64, of trials: Int64) {
        self.trials = trials
        self.events = min(events, trials)
    }

    mutating func merge(_ other: Counts) {
        trials += other.trials
        events += other.events
    }

    var proportion: Proportion { Proportion(events: events, trials: trials) }

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        trials = try container.decode(Int64.self)
        events = try container.decode(Int64.self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode(trials)
        try container.encode(events)
    }
}

/// What was added of late: since something began, but of no more than two spans of `spanMs`.
struct Recent<Value: Summable>: Codable, Sendable, Equatable {
    static var spanMs: Int64 { 1_800_000 }

    private var former = Value()
    private var current = Value()
    /// Where each of the two began.
    private var formerStart: Int64?
    private var currentStart: Int64?

    /// Adds the minute's `value`; all before it is forgotten unless something began before it. While nothing goes on
    /// there is nothing to keep, nor what came before it began.
    mutating func add(_ value: Value, at minute: Window, since: Int64?) {
        guard let since else {
            if currentStart != nil { self = Recent() }
            return
        }
        guard since < minute.start, let start = currentStart, since <= formerStart ?? start else {
            self = Recent()
            (current, currentStart) = (value, minute.start)
            return
        }
        if minute.start - start >= Self.spanMs {
            (former, formerStart) = (current, start)
            (current, currentStart) = (value, minute.start)
        } else {
            current.merge(value)
        }
    }

    var sum: Value {
        var sum = former
        sum.merge(current)
        return sum
    }

    /// The span of event time that it is of, up to the end of `minute`.
    func window(_ minute: Window) -> Window {
        Window(start: formerStart ?? currentStart ?? minute.start, end: minute.end)
    }
}
