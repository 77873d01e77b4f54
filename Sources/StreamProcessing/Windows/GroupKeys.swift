import Telemetry

/// Numbers the keys of one definition in the order of their coming, so that a key that comes again is not built, hashed or
/// compared text by text.
///
/// A request's own texts tell its number by where they are stored: those that came from one reader share their storage. The
/// table that says so holds on to the texts, so no other can take a place that it knows, and a text stored elsewhere only
/// costs time. It starts anew when it is full, so memory is bounded whatever arrives.
final class GroupKeys {
    /// What a key is made of, besides numbers.
    private enum Text { case route, provider, model, credential, key, project, variant, domain }

    private static let fewestRows = 256
    private static let mostRows = 1 << 18
    /// Bytes. A row that fills one is not to lie in two.
    private static let cacheLine = 64

    private let definition: WindowDefinition
    private let texts: [Text]
    private let hasArm: Bool
    private let hasPolicy: Bool
    private let hasSize: Bool
    /// Whether requests of one key tend to come with the same texts.
    private let recurs: Bool
    /// By number.
    private var all: [WindowKey] = []
    private var numbers: [WindowKey: Int] = [:]

    /// Words of a row: two for each text, one of small values, and last the number plus one, 0 in a free row.
    private let width: Int
    /// Open addressing, at most half full; their number is a power of two. Freed with this object, the only one to touch it.
    private var rows: UnsafeMutablePointer<UInt64>
    private var rowCount = 0
    private var used = 0
    /// The words of the request that is looked for; as long as a row.
    private let wanted: UnsafeMutablePointer<UInt64>
    /// The texts that rows speak of.
    private var held: [String?] = []

    /// The number of the key that stands for all beyond a bound.
    static let overflow = 0

    init(_ definition: WindowDefinition) {
        self.definition = definition
        var texts: [Text] = []
        for dimension in definition.key {
            switch dimension {
            case .route: texts.append(.route)
            case .model: texts += [.provider, .model]
            case .provider: texts.append(.provider)
            case .credential: texts.append(.credential)
            case .key: texts.append(.key)
            case .project: texts.append(.project)
            case .variant: texts.append(.variant)
            case .domain: texts.append(.domain)
            case .arm, .policy, .size, .session: break
            }
        }
        self.texts = texts
        hasArm = definition.key.contains(.arm)
        hasPolicy = definition.key.contains(.policy)
        hasSize = definition.key.contains(.size)
        recurs = !definition.key.contains(.session)
        width = 2 * texts.count + 2
        rows = .allocate(capacity: 0)
        wanted = .allocate(capacity: width)
        wanted.initialize(repeating: 0, count: width)
        makeRows(Self.fewestRows)
        _ = number(of: definition.overflowKey)
    }

    deinit {
        rows.deallocate()
        wanted.deallocate()
    }

    var count: Int { all.count }
    subscript(number: Int) -> WindowKey { all[number] }

    func number(of record: borrowing RequestRecord) -> Int {
        guard recurs else { return number(of: definition.key(of: record)) }
        var hash = smallValues(of: record)
        wanted[width - 2] = hash
        for place in texts.indices {
            let (first, second) = storage(of: texts[place], in: record)
            wanted[2 * place] = first
            wanted[2 * place + 1] = second
            hash = (hash ^ first &+ (second << 23 | second >> 41)) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 32
        }
        var row = rows + Int(truncatingIfNeeded: hash) & (rowCount - 1) * width
        while row[width - 1] != 0 {
            if isWanted(row) { return Int(row[width - 1]) - 1 }
            row += width
            if row == rows + rowCount * width { row = rows }
        }
        return learn(record, row)
    }

    /// Of a key that comes from elsewhere.
    func number(of key: WindowKey) -> Int {
        if let number = numbers[key] { return number }
        numbers[key] = all.count
        all.append(key)
        return all.count - 1
    }

    /// Starts anew, and hands out the keys there were, by number.
    func forget() -> [WindowKey] {
        let former = all
        all = []
        numbers = [:]
        makeRows(Self.fewestRows)
        _ = number(of: definition.overflowKey)
        return former
    }

    @inline(__always)
    private func isWanted(_ row: UnsafeMutablePointer<UInt64>) -> Bool {
        for word in 0..<(width - 1) where row[word] != wanted[word] { return false }
        return true
    }

    private func learn(_ record: borrowing RequestRecord, _ row: UnsafeMutablePointer<UInt64>) -> Int {
        let number = number(of: definition.key(of: record))
        // A full table starts anew, larger if it may.
        guard used * 2 < rowCount else {
            makeRows(min(4 * rowCount, Self.mostRows))
            return number
        }
        used += 1
        row.update(from: wanted, count: width - 1)
        row[width - 1] = UInt64(number + 1)
        for text in texts { held.append(self.text(text, of: record)) }
        return number
    }

    private func makeRows(_ count: Int) {
        rows.deallocate()
        rows = UnsafeMutableRawPointer.allocate(byteCount: count * width * 8, alignment: Self.cacheLine)
            .bindMemory(to: UInt64.self, capacity: count * width)
        rows.initialize(repeating: 0, count: count * width)
        (rowCount, used) = (count, 0)
        held.removeAll(keepingCapacity: true)
    }

    // MARK: What a request's key is made of

    private func text(_ text: Text, of record: borrowing RequestRecord) -> String? {
        switch text {
        case .route: record.route
        case .provider: record.provider
        case .model: record.model
        case .credential: record.credential
        case .key: record.key
        case .project: record.project
        case .variant: record.variant
        case .domain: record.domain
        }
    }

    /// Where a text is stored, or itself if it is short: the two words that a string consists of.
    @inline(__always)
    private func storage(of text: Text, in record: borrowing RequestRecord) -> (UInt64, UInt64) {
        switch text {
        case .route: unsafeBitCast(record.route, to: (UInt64, UInt64).self)
        case .provider: unsafeBitCast(record.provider, to: (UInt64, UInt64).self)
        case .model: unsafeBitCast(record.model, to: (UInt64, UInt64).self)
        case .credential: unsafeBitCast(record.credential, to: (UInt64, UInt64).self)
        case .key: unsafeBitCast(record.key, to: (UInt64, UInt64).self)
        case .project: unsafeBitCast(record.project, to: (UInt64, UInt64).self)
        case .variant: unsafeBitCast(record.variant, to: (UInt64, UInt64).self)
        case .domain: unsafeBitCast(record.domain, to: (UInt64, UInt64).self)
        }
    }

    @inline(__always)
    private func smallValues(of record: borrowing RequestRecord) -> UInt64 {
        var values: UInt64 = 0
        if hasPolicy { values = UInt64(truncatingIfNeeded: record.policy ?? 0) << 8 }
        if hasArm { values |= record.arm.number << 4 }
        if hasSize { values |= PromptSize(of: record)?.number ?? 15 }
        return values
    }
}

extension Arm {
    /// Below 16.
    fileprivate var number: UInt64 {
        switch self {
        case .stable: 0
        case .candidate: 1
        case .holdout: 2
        case .explore: 3
        case .forced: 4
        case .shadow: 5
        }
    }
}

extension PromptSize {
    /// Below 15.
    fileprivate var number: UInt64 {
        switch self {
        case .under256: 0
        case .under1k: 1
        case .under4k: 2
        case .under16k: 3
        case .under64k: 4
        case .longer: 5
        }
    }
}
