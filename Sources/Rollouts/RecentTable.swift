import Foundation

/// Sixteen bits for each of the newest hashes.
///
/// It holds at most `limit`, and at least the newer half of that. Two generations, of which the older one goes when the
/// newer is full: what is written again stays.
package struct RecentTable: Sendable, Equatable {
    package static let limit = 8_192

    private var recent: [UInt32: UInt16] = [:]
    private var older: [UInt32: UInt16] = [:]

    package init() {}

    var count: Int { recent.count + older.count }

    subscript(hash: UInt32) -> UInt16? {
        get { recent[hash] ?? older[hash] }
        set {
            if recent[hash] == nil {
                older[hash] = nil
                if recent.count >= Self.limit / 2 { (older, recent) = (recent, [:]) }
            }
            recent[hash] = newValue
        }
    }
}

extension RecentTable: Codable {
    private enum CodingKeys: String, CodingKey { case recent, older }

    package init(from decoder: any Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        recent = Self.unpack(try c.decode(Data.self, forKey: .recent))
        older = Self.unpack(try c.decode(Data.self, forKey: .older))
    }

    package func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(Self.pack(recent), forKey: .recent)
        try c.encode(Self.pack(older), forKey: .older)
    }

    /// Six bytes a hash, little-endian, in the order of hashes.
    private static func pack(_ table: [UInt32: UInt16]) -> Data {
        var data = Data(capacity: table.count * 6)
        for (hash, bits) in table.sorted(by: { $0.key < $1.key }) {
            for place in 0..<4 { data.append(UInt8(truncatingIfNeeded: hash >> UInt32(8 * place))) }
            for place in 0..<2 { data.append(UInt8(truncatingIfNeeded: bits >> UInt16(8 * place))) }
        }
        return data
    }

    private static func unpack(_ data: Data) -> [UInt32: UInt16] {
        var table: [UInt32: UInt16] = [:]
        let bytes = Array(data.prefix(limit * 6))
        for start in stride(from: 0, to: bytes.count - 5, by: 6) {
            let hash = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
            table[hash] = UInt16(bytes[start + 4]) | UInt16(bytes[start + 5]) << 8
        }
        return table
    }
}
