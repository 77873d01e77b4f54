import Core

/// Appends compact JSON to bytes; whoever calls it sees to it that objects and arrays are closed.
struct JSONWriter {
    var bytes: [UInt8] = []

    mutating func open(_ bracket: Unicode.Scalar) { bytes.append(UInt8(ascii: bracket)) }
    mutating func close(_ bracket: Unicode.Scalar) { bytes.append(UInt8(ascii: bracket)) }

    /// A comma unless an object or an array has just been opened.
    mutating func separate() {
        if let last = bytes.last, last != UInt8(ascii: "{"), last != UInt8(ascii: "[") {
            bytes.append(UInt8(ascii: ","))
        }
    }

    /// A field's name. Names are ours: ASCII without anything to escape.
    mutating func name(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    mutating func field(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        self.name(name)
        string(value)
    }

    mutating func field(_ name: StaticString, _ value: UUIDv7?) {
        guard let value else { return }
        self.name(name)
        id(value)
    }

    mutating func field(_ name: StaticString, _ value: Int64?) {
        guard let value else { return }
        self.name(name)
        integer(value)
    }

    mutating func field(_ name: StaticString, _ value: Bool?) {
        guard let value else { return }
        self.name(name)
        literal(value ? "true" : "false")
    }

    /// A number that is not finite has no JSON form and is left out like `nil`.
    mutating func field(_ name: StaticString, _ value: Double?) {
        guard let value, value.isFinite else { return }
        self.name(name)
        number(value)
    }

    mutating func literal(_ text: StaticString) {
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func integer(_ value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        digits(value.magnitude)
    }

    /// The shortest decimal that reads back as the same number.
    mutating func number(_ value: Double) {
        let thousandths = (value * 1000).rounded()
        guard thousandths.magnitude < 1e15, thousandths / 1000 == value else {
            bytes.append(contentsOf: value.description.utf8)
            return
        }
        if thousandths < 0 { bytes.append(UInt8(ascii: "-")) }
        let magnitude = UInt64(thousandths.magnitude)
        digits(magnitude / 1000)
        var rest = magnitude % 1000
        guard rest > 0 else { return }
        bytes.append(UInt8(ascii: "."))
        var place: UInt64 = 100
        while rest > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(rest / place))
            rest %= place
            place /= 10
        }
    }

    mutating func id(_ id: UUIDv7) {
        bytes.append(UInt8(ascii: "\""))
        for index in 0..<32 {
            if index == 8 || index == 12 || index == 16 || index == 20 { bytes.append(UInt8(ascii: "-")) }
            let word = index < 16 ? id.high : id.low
            hex(UInt8(truncatingIfNeeded: word >> (60 - 4 * UInt64(index & 15))) & 15)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var clean = 0
            for index in utf8.indices {
                let byte = unsafe utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                unsafe bytes.append(contentsOf: utf8[clean..<index])
                escape(byte)
                clean = index + 1
            }
            unsafe bytes.append(contentsOf: utf8[clean...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): literal("\\\"")
        case UInt8(ascii: "\\"): literal("\\\\")
        case 0x0a: literal("\\n")
        case 0x0d: literal("\\r")
        case 0x09: literal("\\t")
        default:
            literal("\\u00")
            hex(byte >> 4)
            hex(byte & 15)
        }
    }

    private mutating func hex(_ nibble: UInt8) { bytes.append(nibble < 10 ? 48 + nibble : 87 + nibble) }

    private mutating func digits(_ value: UInt64) {
        let start = bytes.count
        var rest = value
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }
}
