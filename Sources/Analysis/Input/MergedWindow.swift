package import Statistics
package import StreamProcessing

/// One window of one key over all partitions.
package struct MergedWindow: Sendable, Equatable {
    package var window: Window
    package var key: WindowKey
    package var aggregate: WindowAggregate
    /// By feedback name.
    package var feedback: [String: Moments]

    package init(window: Window, key: WindowKey, aggregate: WindowAggregate, feedback: [String: Moments]) {
        self.window = window
        self.key = key
        self.aggregate = aggregate
        self.feedback = feedback
    }
}
