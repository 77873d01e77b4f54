/// When which model is asked, evenly spread over a round in which each is asked once. It goes by the clock alone, so that a
/// restart, or another leader, goes on where the last one was.
package struct ProbeSchedule: Sendable {
    private let everyMs: Int64
    /// Turns up to here have been taken, milliseconds since the epoch; `nil` before the first look.
    private var taken: Int64?

    package struct Turn: Sendable, Equatable {
        /// Its place among the models.
        package var model: Int
        /// Of the round, since the epoch.
        package var round: Int64
    }

    /// - Parameter everyMs: length of a round.
    package init(everyMs: Int64) { self.everyMs = max(1, everyMs) }

    /// Takes the next turn that is due. Turns that were missed, while an answer was waited for, are made up for, those of one
    /// round at most.
    ///
    /// - Parameter models: how many there are.
    package mutating func turn(now: Int64, models: Int) -> Turn? {
        let before = min(now, max(taken ?? now, now - everyMs)), count = Int64(models)
        taken = before
        guard count > 0 else { return nil }
        // The first turn after that: turn number n is at n / count rounds.
        let number = ((before + 1) * count + everyMs - 1) / everyMs
        let at = number * everyMs / count
        guard at <= now else { return nil }
        taken = at
        return Turn(model: Int(number % count), round: number / count)
    }

    /// Begins anew: nothing is made up for.
    package mutating func rest() { taken = nil }
}
