import CKafka
import Synchronization

/// What the rebalance callback leaves for the loop. Both run on the same thread, inside and after a poll.
///
/// Sendable: its only state is behind mutexes.
final class ConsumerContext: KafkaContext, @unchecked Sendable {
    enum Rebalance: Sendable {
        case assign([Int])
        case revoke([Int])
        case lose([Int])
    }

    private let rebalances = Mutex<[Rebalance]>([])
    private let closing = Mutex(false)

    var isClosing: Bool {
        get { closing.withLock { $0 } }
        set { closing.withLock { $0 = newValue } }
    }

    func takeRebalances() -> [Rebalance] {
        rebalances.withLock { rebalances in
            defer { rebalances = [] }
            return rebalances
        }
    }

    func rebalance(_ client: OpaquePointer, _ code: rd_kafka_resp_err_t, _ partitions: [Int]) {
        // While the consumer closes, nobody is left to decide: everything goes at once.
        if isClosing { return unsafe _ = rd_kafka_assign(client, nil) }
        let lost = unsafe rd_kafka_assignment_lost(client) != 0
        rebalances.withLock { rebalances in
            if code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                rebalances.append(.assign(partitions))
            } else {
                rebalances.append(lost ? .lose(partitions) : .revoke(partitions))
            }
        }
    }
}
