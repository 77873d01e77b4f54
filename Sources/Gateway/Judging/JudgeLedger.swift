package import Statistics

/// How a judge has fared in its latest checks, and whether it is listened to.
package struct JudgeRecord {
    /// Checks after which it is known what the judge is worth.
    package static let enough = 20
    /// Older ones are forgotten, so that a judge can make good.
    package static let most = 200

    package init() {}

    private var results: [Bool] = []
    private var next = 0

    package mutating func add(_ passed: Bool) {
        if results.count < Self.most { results.append(passed) } else { results[next] = passed }
        next = (next + 1) % Self.most
    }

    package var accuracy: Proportion {
        Proportion(events: Int64(results.count { $0 }), trials: Int64(results.count))
    }

    package var isKnown: Bool { results.count >= Self.enough }

    /// Whether the accuracy can be lower than asked, at a lower bound of 95 % (Wilson).
    package func fails(_ minimum: Double) -> Bool { isKnown && accuracy.wilson(confidence: 0.9).lowerBound < minimum }
}

/// What is made of the next sampled pair.
package enum JudgeTurn: Equatable {
    case judge
    case check(JudgeCheck)

    /// A judge that is checked at all is checked first: nothing it says counts before it is known.
    ///
    /// - Parameter draw: uniform on `0..<1`.
    package static func next(_ settings: JudgeSettings, isKnown: Bool, draw: Double) -> JudgeTurn {
        let gold = settings.gold.isEmpty ? 0 : settings.goldShare
        let checks = gold + settings.controlShare
        guard checks > 0 else { return .judge }
        let place = isKnown ? draw : draw * checks
        return place < gold ? .check(.gold) : place < checks ? .check(.control) : .judge
    }
}
