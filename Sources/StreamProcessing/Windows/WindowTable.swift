import Telemetry

/// What is held of all keys in one span, a window or a pane.
///
/// Requests wait in a short row before they are added up. Where there are many keys each request's sums are elsewhere in
/// memory, behind several references, and a processor that follows them one request after the other mostly waits; asked for
/// those of a row side by side, memory answers in about the time of one (Chen, Ailamaki, Gibbons, Mowry, "Improving Hash
/// Join Performance through Prefetching", ICDE 2004). The order of requests stays, so sums are the same to the last bit.
final class WindowTable {
    let span: Window
    private let plan: AggregatePlan
    /// The numbers of the keys, by place.
    private(set) var numbers: [Int] = []
    /// By the key's number, -1 where there is none.
    private var places: [Int32] = []
    /// Up to date but for the requests that wait.
    var slots: [WindowSlot] = []
    /// Places of slots that changed since the last drain.
    private(set) var changed: [Int] = []

    private static let mostWaiting = 32
    /// With fewer slots they are in the processor's cache.
    private static let fewestToPeek = 1_000
    /// Made with the first request after a drain, which frees it: there may be thousands of tables that nothing comes to any
    /// more. Only this object touches it.
    private var waiting: UnsafeMutablePointer<(place: Int, reading: Reading)>?
    private var waitingCount = 0
    /// Keeps the compiler from leaving out reads whose values nobody needs.
    private var peeked: Int64 = 0

    init(_ span: Window, _ plan: AggregatePlan) {
        self.span = span
        self.plan = plan
    }

    deinit { waiting?.deallocate() }

    // MARK: Keys

    @inline(__always)
    func place(of number: Int) -> Int? {
        guard number < places.count, places[number] >= 0 else { return nil }
        return Int(places[number])
    }

    @inline(__always)
    func place(of number: Int, mostKeys: Int) -> Int { place(of: number) ?? make(number, mostKeys: mostKeys) }

    private func make(_ number: Int, mostKeys: Int) -> Int {
        guard slots.count < mostKeys || number == GroupKeys.overflow else {
            return place(of: GroupKeys.overflow, mostKeys: mostKeys)
        }
        add(number, WindowSlot(plan.make()))
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

    // MARK: Requests

    @inline(__always)
    func add(_ record: borrowing RequestRecord, at place: Int) {
        let row = waiting ?? makeRow()
        plan.read(record, into: &row[waitingCount].reading)
        row[waitingCount].place = place
        waitingCount += 1
        if plan.countsItems { plan.addItems(of: record, to: &slots[place].aggregate) }
        if waitingCount == Self.mostWaiting { settle() }
    }

    private func makeRow() -> UnsafeMutablePointer<(place: Int, reading: Reading)> {
        let row = UnsafeMutablePointer<(place: Int, reading: Reading)>.allocate(capacity: Self.mostWaiting)
        row.initialize(repeating: (0, Reading()), count: Self.mostWaiting)
        waiting = row
        return row
    }

    /// Adds up the requests that wait.
    func settle() {
        guard waitingCount > 0, let waiting else { return }
        if slots.count >= Self.fewestToPeek { peek(waiting) }
        slots.withUnsafeMutableBufferPointer { slots in
            for number in 0..<waitingCount {
                plan.add(waiting[number].reading, to: &slots[waiting[number].place].aggregate)
            }
        }
        for number in 0..<waitingCount { touch(waiting[number].place) }
        waitingCount = 0
    }

    /// Asks memory for all that is about to be written, one step of each request's way after the other.
    private func peek(_ waiting: UnsafeMutablePointer<(place: Int, reading: Reading)>) {
        slots.withUnsafeMutableBufferPointer { slots in
            var sum: Int64 = 0
            for number in 0..<waitingCount { sum &+= slots[waiting[number].place].aggregate.requests }
            for number in 0..<waitingCount {
                sum &+= slots[waiting[number].place].aggregate.peek(waiting[number].reading)
            }
            for number in 0..<waitingCount {
                sum &+= plan.peekSketches(waiting[number].reading, in: &slots[waiting[number].place].aggregate)
            }
            peeked &+= sum
        }
    }

    // MARK: Changes

    @inline(__always)
    func touch(_ place: Int) {
        guard !slots[place].changed else { return }
        slots[place].changed = true
        changed.append(place)
    }

    /// Hands out the sums of a slot and leaves it empty.
    func take(_ place: Int) -> WindowAggregate {
        var sums = plan.make()
        swap(&sums, &slots[place].aggregate)
        return sums
    }

    /// Begins anew after a drain, before which all was settled.
    func forgetChanges() {
        changed.removeAll(keepingCapacity: true)
        waiting?.deallocate()
        waiting = nil
    }
}
