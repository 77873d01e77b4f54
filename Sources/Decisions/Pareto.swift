/// Selection among points of several objectives, all to be small.
package enum Pareto {
    /// The points left after going through the objectives in order, each time keeping those within (1 + slack) of the
    /// best left; by index, so the first is the pick. Objectives are not negative.
    package static func lexicographic(_ points: [[Double]], slack: [Double]) -> [Int] {
        var left = Array(points.indices)
        for (objective, slack) in slack.enumerated() {
            guard let best = left.map({ points[$0][objective] }).min() else { break }
            left.removeAll { points[$0][objective] > best * (1 + slack) }
        }
        return left
    }
}
