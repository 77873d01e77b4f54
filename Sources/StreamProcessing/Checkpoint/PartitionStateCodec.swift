import Core
import Telemetry

extension PartitionState {
    private static let version: UInt8 = 1

    /// The stored form of everything but the open windows, which are rows of their own.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(version: Self.version)
        writer.append(Int64(partition))
        writer.append(nextOffset)
        writer.append(largestTimestamp)
        writer.append(watermark)
        writer.append(paneNumber)
        writer.append(UInt64(producers.count))
        for (producer, position) in producers.sorted(by: { $0.key < $1.key }) {
            writer.append(producer.utf8)
            writer.append(position.seq)
            writer.append(position.offset)
        }
        writer.append(UInt64(pendingFeedback.count))
        for pending in pendingFeedback {
            var json: [UInt8] = []
            EventEncoder.encode(.feedback(pending.feedback), into: &json)
            writer.append(json)
            writer.append(pending.offset)
            writer.append(pending.since)
        }
        return writer.bytes
    }

    /// `nil` for bytes of another version, cut short, with something behind, or that make no sense.
    package init?(encoded bytes: some Collection<UInt8>) {
        guard var reader = ByteReader(bytes, version: Self.version),
            let partition = reader.signed(), let nextOffset = reader.signed(),
            let largest = reader.optionalSigned(), let watermark = reader.optionalSigned(),
            let paneNumber = reader.signed(), let producers = reader.producers(),
            let pending = reader.pendingFeedback(), reader.isAtEnd, nextOffset >= 0, (0...65_535).contains(partition)
        else { return nil }
        self.init(partition: Int(partition))
        self.nextOffset = nextOffset
        largestTimestamp = largest
        self.watermark = watermark
        self.paneNumber = paneNumber
        self.producers = producers
        pendingFeedback = pending
    }
}

extension ByteReader {
    fileprivate mutating func producers() -> [String: ProducerPosition]? {
        guard let entries = count() else { return nil }
        var producers: [String: ProducerPosition] = [:]
        for _ in 0..<entries {
            guard let name = text(), let seq = signed(), let offset = signed() else { return nil }
            producers[name] = ProducerPosition(seq: seq, offset: offset)
        }
        return producers
    }

    fileprivate mutating func pendingFeedback() -> [PendingFeedback]? {
        guard let entries = count() else { return nil }
        var pending: [PendingFeedback] = []
        let decoder = EventDecoder()
        for _ in 0..<entries {
            guard let json = part(), let offset = signed(), let since = signed(),
                case .feedback(let feedback)? = try? decoder.decode(Array(json), kind: .feedback)
            else { return nil }
            pending.append(PendingFeedback(feedback: feedback, offset: offset, since: since))
        }
        return pending
    }
}
