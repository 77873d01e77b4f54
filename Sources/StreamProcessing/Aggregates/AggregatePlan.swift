import Statistics
import Telemetry

/// How the requests of one definition are added up: the selection, laid out for the hot path.
struct AggregatePlan {
    private let selection: AggregateSelection
    /// A bit for each of its measures that has a sketch.
    private let sketched: UInt16
    let countsItems: Bool
    private let empty: WindowAggregate

    init(_ selection: AggregateSelection) {
        self.selection = selection
        let measures = selection.measures
        sketched = measures.indices.reduce(0) { selection.quantiles.contains(measures[$1]) ? $0 | 1 << $1 : $0 }
        countsItems = !selection.distinct.isEmpty || !selection.top.isEmpty
        empty = WindowAggregate(selection)
    }

    func make() -> WindowAggregate { empty }

    func add(_ record: borrowing RequestRecord, to aggregate: inout WindowAggregate) {
        var reading = Reading()
        read(record, into: &reading)
        add(reading, to: &aggregate)
        if countsItems { addItems(of: record, to: &aggregate) }
    }

    @inline(__always)
    func read(_ record: borrowing RequestRecord, into reading: inout Reading) {
        reading.isFailure = record.outcome.isFailure
        reading.isUnpriced = record.cost == nil && record.outcome != .rejected
        reading.error = selection.errors ? record.error : nil
        reading.signals = selection.signals ? Signal.bits(of: record) : 0
        reading.present = 0
        for place in selection.measures.indices {
            guard let value = selection.measures[place].value(of: record) else { continue }
            reading.present |= 1 << UInt16(truncatingIfNeeded: place)
            reading.values[place] = value
        }
    }

    @inline(__always)
    func add(_ reading: Reading, to aggregate: inout WindowAggregate) {
        aggregate.requests += 1
        if reading.isFailure { aggregate.failures += 1 }
        if let error = reading.error { aggregate.errors[error, default: 0] += 1 }
        if reading.isUnpriced { aggregate.unknownCost += 1 }
        if reading.signals != 0 { aggregate.count(signals: reading.signals) }
        aggregate.measures.withUnsafeMutableBufferPointer { sums in
            var rest = reading.present
            while rest != 0 {
                let place = rest.trailingZeroBitCount
                sums[place].add(reading.values[place], sketched: sketched & rest & (0 &- rest) != 0)
                rest &= rest &- 1
            }
        }
    }

    func addItems(of record: borrowing RequestRecord, to aggregate: inout WindowAggregate) {
        for (place, item) in selection.distinct.enumerated() {
            guard let value = item.value(of: record) else { continue }
            aggregate.distinct[place].insert(hash: value.sketchHash)
        }
        for (place, items) in selection.top.enumerated() {
            if let value = items.item.value(of: record) { aggregate.top[place].insert(value) }
        }
    }

    /// Reads the buckets that adding this will write; see `WindowTable`.
    @inline(__always)
    func peekSketches(_ reading: Reading, in aggregate: inout WindowAggregate) -> Int64 {
        aggregate.measures.withUnsafeMutableBufferPointer { sums in
            var sum: Int64 = 0
            var rest = reading.present & sketched
            while rest != 0 {
                let place = rest.trailingZeroBitCount
                sum &+= sums[place].sketch.peek(reading.values[place])
                rest &= rest &- 1
            }
            return sum
        }
    }
}

/// What windows add up of one request, but for the items that they count apart.
struct Reading {
    var isFailure = false
    var isUnpriced = false
    var error: ErrorClass?
    /// By code.
    var signals: UInt16 = 0
    /// A bit for each of the definition's measures that the request has.
    var present: UInt16 = 0
    /// In the order of the definition's measures, of which there are at most as many.
    var values = InlineArray<12, Double>(repeating: 0)
}
