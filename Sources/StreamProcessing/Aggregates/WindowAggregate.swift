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
    var measures: [Measure]
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
    mutating func count(signals bits: UInt16) {
        var rest = bits
        while rest != 0 {
            add(1, of: rest.trailingZeroBitCount)
            rest &= rest &- 1
        }
    }

    /// Reads what counting such a request will write, in this place and behind its references; see `WindowTable`.
    @inline(__always)
    func peek(_ reading: Reading) -> Int64 {
        var sum = Int64(signalCounts.count)
        if reading.signals != 0, !signalCounts.isEmpty { sum &+= signalCounts[reading.signals.trailingZeroBitCount] }
        var rest = reading.present
        while rest != 0 {
            let place = rest.trailingZeroBitCount
            // Its first and last words, since it can lie in two lines of the cache.
            sum &+= measures[place].moments.n &+ measures[place].sketch.count
            rest &= rest &- 1
        }
        return sum
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
