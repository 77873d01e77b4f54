package import Statistics
package import Telemetry

/// What one window knows of one key. Mergeable in any order with others of the same definition.
package struct WindowAggregate: Sendable, Equatable {
    package var requests: Int64 = 0
    /// Requests whose outcome `isFailure`.
    package var failures: Int64 = 0
    package var errors: [ErrorClass: Int64] = [:]
    package var unknownCost: Int64 = 0
    /// By code; empty before the first.
    private var signalCounts: [Int64] = []
    /// Which measures there are; the same array for all windows of a definition.
    package private(set) var fields: [Measured]
    fileprivate(set) var measures: [Measure]
    package var distinct: [HyperLogLog]
    package var top: [SpaceSaving]

    package init(_ selection: AggregateSelection = .standard) {
        self.init(
            fields: selection.measures, measures: selection.measures.map { _ in Measure() },
            distinct: selection.distinct.map { _ in HyperLogLog() },
            top: selection.top.map { SpaceSaving(capacity: $0.counters) })
    }

    init(fields: [Measured], measures: [Measure], distinct: [HyperLogLog], top: [SpaceSaving]) {
        self.fields = fields
        self.measures = measures
        self.distinct = distinct
        self.top = top
    }

    /// One measure; empty where the definition has none of it, and what is then written to it is dropped.
    package subscript(field: Measured) -> Measure {
        get { fields.firstIndex(of: field).map { measures[$0] } ?? Measure() }
        _modify {
            if let place = fields.firstIndex(of: field) {
                yield &measures[place]
            } else {
                var none = Measure()
                yield &none
            }
        }
    }

    /// How many requests each signal is true of; none that is true of none.
    package var signals: [Signal: Int64] {
        get {
            signalCounts.isEmpty
                ? [:] : Signal.coded.reduce(into: [:]) { if count(of: $1) > 0 { $0[$1] = count(of: $1) } }
        }
        set {
            signalCounts = []
            for (signal, count) in newValue where count > 0 { add(count, of: signal.code) }
        }
    }

    package func count(of signal: Signal) -> Int64 { signalCounts.isEmpty ? 0 : signalCounts[signal.code] }

    private mutating func add(_ count: Int64, of code: Int) {
        if signalCounts.isEmpty { signalCounts = [Int64](repeating: 0, count: Signal.codes) }
        signalCounts[code] &+= count
    }

    /// Counts one more request for each signal whose bit is set.
    fileprivate mutating func count(signals bits: UInt16) {
        var rest = bits
        while rest != 0 {
            add(1, of: rest.trailingZeroBitCount)
            rest &= rest &- 1
        }
    }

    /// Nano-dollars, over requests with a known cost.
    package var cost: Moments {
        get { self[.cost].moments }
        _modify { yield &self[.cost].moments }
    }
    package var inputTokens: Moments {
        get { self[.inputTokens].moments }
        _modify { yield &self[.inputTokens].moments }
    }
    package var outputTokens: Moments {
        get { self[.outputTokens].moments }
        _modify { yield &self[.outputTokens].moments }
    }
    /// Milliseconds, over complete answers.
    package var latency: DDSketch {
        get { self[.latency].sketch }
        _modify { yield &self[.latency].sketch }
    }
    package var ttft: DDSketch {
        get { self[.ttft].sketch }
        _modify { yield &self[.ttft].sketch }
    }

    package mutating func merge(_ other: WindowAggregate) {
        requests += other.requests
        failures += other.failures
        errors.merge(other.errors, uniquingKeysWith: +)
        unknownCost += other.unknownCost
        for code in other.signalCounts.indices { add(other.signalCounts[code], of: code) }
        for (place, field) in other.fields.enumerated() {
            if place < fields.count, fields[place] == field {
                measures[place].merge(other.measures[place])
            } else {
                self[field].merge(other.measures[place])
            }
        }
        for place in distinct.indices where place < other.distinct.count {
            distinct[place].merge(other.distinct[place])
        }
        for place in top.indices where place < other.top.count { top[place].merge(other.top[place]) }
    }
}

/// What a window knows of one number.
package struct Measure: Sendable, Equatable {
    package var moments = Moments()
    /// Infinity when empty.
    package var minimum = Double.infinity
    /// Minus infinity when empty.
    package var maximum = -Double.infinity
    /// Empty where the definition asks for no quantiles.
    package var sketch = DDSketch()

    package init() {}

    package mutating func add(_ value: Double, sketched: Bool) {
        moments.add(value)
        if value < minimum { minimum = value }
        if value > maximum { maximum = value }
        if sketched { sketch.insert(value) }
    }

    package mutating func merge(_ other: Measure) {
        moments.merge(other.moments)
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
        sketch.merge(other.sketch)
    }
}

/// How the requests of one definition are added up: the selection, laid out for the hot path.
struct AggregatePlan {
    private let selection: AggregateSelection
    private let measures: [(field: Measured, sketched: Bool)]
    private let countsItems: Bool
    private let empty: WindowAggregate

    init(_ selection: AggregateSelection) {
        self.selection = selection
        measures = selection.measures.map { ($0, selection.quantiles.contains($0)) }
        countsItems = !selection.distinct.isEmpty || !selection.top.isEmpty
        empty = WindowAggregate(selection)
    }

    func make() -> WindowAggregate { empty }

    func add(_ record: borrowing RequestRecord, to aggregate: inout WindowAggregate) {
        aggregate.requests += 1
        if record.outcome.isFailure { aggregate.failures += 1 }
        if selection.errors, let error = record.error { aggregate.errors[error, default: 0] += 1 }
        if record.cost == nil, record.outcome != .rejected { aggregate.unknownCost += 1 }
        if selection.signals {
            let signals = Signal.bits(of: record)
            if signals != 0 { aggregate.count(signals: signals) }
        }
        aggregate.measures.withUnsafeMutableBufferPointer { sums in
            for place in measures.indices {
                guard let value = measures[place].field.value(of: record) else { continue }
                sums[place].add(value, sketched: measures[place].sketched)
            }
        }
        if countsItems { addItems(of: record, to: &aggregate) }
    }

    private func addItems(of record: borrowing RequestRecord, to aggregate: inout WindowAggregate) {
        for (place, item) in selection.distinct.enumerated() {
            guard let value = item.value(of: record) else { continue }
            aggregate.distinct[place].insert(hash: value.sketchHash)
        }
        for (place, items) in selection.top.enumerated() {
            if let value = items.item.value(of: record) { aggregate.top[place].insert(value) }
        }
    }
}
