import Statistics
import StreamProcessing

extension WindowAggregate {
    /// Standard error of a number of different items, as a share of it: 1.04 / √16384.
    static let distinctError = 0.0081

    /// The order in which the window `prompts` counts.
    private static let prompts = WindowDefinition.analyzers(latenessMs: 0)
        .first { $0.name == WindowDefinition.prompts }?.aggregates

    /// Of the window `prompts`: the number of different items; `nil` where it was not counted.
    func distinct(_ item: CountedItem) -> HyperLogLog? {
        guard let place = Self.prompts?.distinct.firstIndex(of: item), place < distinct.count else { return nil }
        return distinct[place]
    }

    /// Of the window `prompts`: the most frequent items; `nil` where they were not counted.
    func summary(_ item: CountedItem) -> SpaceSaving? {
        guard let place = Self.prompts?.top.firstIndex(where: { $0.item == item }), place < top.count else {
            return nil
        }
        return top[place]
    }
}
