/// The most frequent items of a stream, in a fixed number of counters (Metwally, Agrawal, El Abbadi, "Efficient
/// computation of frequent and top-k elements in data streams", 2005).
///
/// Of N events counted by k counters, every item with more than N/k events is listed, and an item's count lies between
/// its true number and N/k above it; `error` bounds by how much. As long as there are no more than k items, all is
/// exact. What is held depends on the contents alone, so that a sketch read back continues as the original would:
/// among equal counts the item that sorts last is given up first. Empty, it owns no memory.
package struct SpaceSaving: Sendable {
    package static let capacities = 1...1_000

    package struct Counter: Sendable, Equatable {
        package var item: String
        /// At least the true number of events, and at most `error` more.
        package var count: Int64
        /// What the item may owe to those whose counter it took over.
        package var error: Int64

        package init(item: String, count: Int64, error: Int64) {
            self.item = item
            self.count = count
            self.error = error
        }
    }

    package let capacity: Int
    /// N: how many events were counted.
    package private(set) var total: Int64 = 0
    private var counters: [Counter] = []
    /// Where in `counters` an item is.
    private var places: [String: Int] = [:]
    /// Places of all counters, as a heap with the first to give up on top; empty until one must be given up. It orders
    /// by the counts of `seen`: counts only grow, so they are looked at anew only where they reach the top.
    private var heap: [Int] = []
    private var seen: [Int64] = []

    /// `capacity` is how many counters there are, brought into `capacities`.
    package init(capacity: Int) {
        self.capacity = min(max(capacity, Self.capacities.lowerBound), Self.capacities.upperBound)
    }

    /// Counts `item` `count` times; counts that are not positive are ignored.
    package mutating func insert(_ item: String, count added: Int64 = 1) {
        guard added > 0 else { return }
        total &+= added
        if let place = places[item] {
            counters[place].count &+= added
        } else if counters.count < capacity {
            places[item] = counters.count
            counters.append(Counter(item: item, count: added, error: 0))
        } else {
            let place = leastPlace()
            let least = counters[place].count
            places[counters[place].item] = nil
            places[item] = place
            counters[place] = Counter(item: item, count: least &+ added, error: least)
            refreshTop()
        }
    }

    /// Adds the events of `other` (Agarwal, Cormode, Huang, Phillips, Wei, Yi, "Mergeable summaries", 2012): both
    /// promises hold for the sum, over the smaller of the two capacities, and both orders give the same.
    ///
    /// An item that only one of them lists may have had up to the other's least count there. Which items of equal
    /// rank survive depends on how more than two are grouped; their bounds do not.
    package mutating func merge(_ other: SpaceSaving) {
        let floor = leastCount, otherFloor = other.leastCount
        var all = counters
        for index in all.indices {
            let theirs = other.places[all[index].item].map { other.counters[$0] }
            all[index].count &+= theirs?.count ?? otherFloor
            all[index].error &+= theirs?.error ?? otherFloor
        }
        for theirs in other.counters where places[theirs.item] == nil {
            all.append(Counter(item: theirs.item, count: theirs.count &+ floor, error: theirs.error &+ floor))
        }
        var merged = SpaceSaving(capacity: min(capacity, other.capacity))
        merged.total = total &+ other.total
        merged.adopt(all.sorted(by: Self.leads).prefix(merged.capacity))
        self = merged
    }

    /// The `k` items with the highest counts, the highest first; among equal counts in the order of the items.
    package func top(_ k: Int) -> [Counter] { Array(counters.sorted(by: Self.leads).prefix(max(0, k))) }

    // MARK: Counters

    /// The most events that an item which is not listed can have had.
    private var leastCount: Int64 {
        counters.count < capacity ? 0 : counters.lazy.map(\.count).min() ?? 0
    }

    private static func leads(_ a: Counter, _ b: Counter) -> Bool {
        a.count != b.count ? a.count > b.count : a.item < b.item
    }

    private mutating func adopt(_ kept: some Sequence<Counter>) {
        counters = Array(kept)
        for (place, counter) in counters.enumerated() { places[counter.item] = place }
    }

    /// The place of the counter to give up, which is then on top of the heap.
    private mutating func leastPlace() -> Int {
        if heap.isEmpty {
            // From the last of the ranking to its first, every array is a heap.
            heap = counters.indices.sorted { Self.leads(counters[$1], counters[$0]) }
            seen = counters.map(\.count)
        }
        while seen[heap[0]] != counters[heap[0]].count { refreshTop() }
        return heap[0]
    }

    /// Sees the count of the counter on top, and lets it sink to where it belongs.
    private mutating func refreshTop() {
        let moved = heap[0]
        seen[moved] = counters[moved].count
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, goesBefore(heap[child + 1], heap[child]) { child += 1 }
            guard goesBefore(heap[child], moved) else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = moved
    }

    private func goesBefore(_ a: Int, _ b: Int) -> Bool {
        seen[a] != seen[b] ? seen[a] < seen[b] : counters[b].item < counters[a].item
    }
}

extension SpaceSaving: Equatable {
    /// The same counters, so that both continue alike: equal sketches have equal bytes.
    package static func == (a: Self, b: Self) -> Bool {
        a.total == b.total && a.capacity == b.capacity && a.counters.count == b.counters.count
            && a.encoded() == b.encoded()
    }
}

extension SpaceSaving {
    private static let format: UInt8 = 1
    /// The most that a decoded sketch may count: merging a thousand of them cannot overflow.
    private static let countLimit: UInt64 = 1 << 53

    /// The format, capacity, total, number of counters, and each of them from the highest: length of the item, its
    /// UTF-8, count and error, all numbers as LEB128.
    package func encoded() -> [UInt8] {
        var bytes = [Self.format]
        LEB128.append(Int64(capacity), to: &bytes)
        LEB128.append(total, to: &bytes)
        LEB128.append(Int64(counters.count), to: &bytes)
        for counter in top(capacity) {
            LEB128.append(Int64(counter.item.utf8.count), to: &bytes)
            bytes += counter.item.utf8
            LEB128.append(counter.count, to: &bytes)
            LEB128.append(counter.error, to: &bytes)
        }
        return bytes
    }

    /// Reads what `encoded()` wrote; `nil` for anything else.
    package init?(encoded bytes: some Collection<UInt8>) {
        var rest = bytes.makeIterator()
        guard rest.next() == Self.format, let capacity = LEB128.next(&rest).flatMap({ Int(exactly: $0) }),
            Self.capacities.contains(capacity), let total = LEB128.next(&rest), total <= Self.countLimit,
            let number = LEB128.next(&rest), number <= capacity
        else { return nil }
        self.init(capacity: capacity)
        self.total = Int64(total)
        var listed: [Counter] = [], sum: UInt64 = 0
        for _ in 0..<number {
            guard let length = LEB128.next(&rest), length <= bytes.count else { return nil }
            var text: [UInt8] = []
            while text.count < length, let byte = rest.next() { text.append(byte) }
            guard text.count == length, let item = String(validating: text, as: UTF8.self),
                let count = LEB128.next(&rest), count <= total - sum, let error = LEB128.next(&rest), error < count
            else { return nil }
            sum += count
            listed.append(Counter(item: item, count: Int64(count), error: Int64(error)))
        }
        guard rest.next() == nil, Self.isSound(listed, exact: listed.count < capacity ? sum == total : nil) else {
            return nil
        }
        adopt(listed)
        guard places.count == listed.count else { return nil }
    }

    /// Whether the counters are in order and no error is above the least count; where `exact` is known, it must hold,
    /// without any error.
    private static func isSound(_ listed: [Counter], exact: Bool?) -> Bool {
        let bound = exact == nil ? listed.last?.count ?? 0 : 0
        return exact != false && listed.allSatisfy { $0.error <= bound }
            && zip(listed, listed.dropFirst()).allSatisfy { !leads($1, $0) }
    }
}
