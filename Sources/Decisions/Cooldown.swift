import Analysis

/// Why nothing may change now, although something better is known: hysteresis in time.
struct Cooldown: Equatable {
    enum Cause: String { case cooldown, oscillation }
    var cause: Cause
    /// When it ends; `nil` is when a person decides.
    var until: Int64?
    /// One sentence.
    var reason: String
}

extension DecisionInput {
    /// The rollouts that the loop itself started; people's own say nothing about its candidates.
    private var ownHistory: [RolloutHistory] { history.filter(\.byDecision) }

    /// What holds back every change of the route.
    var routeCooldown: Cooldown? {
        let promoted = ownHistory.filter { $0.promoted && now - $0.endedAt < settings.oscillationMs }
        for (newer, older) in zip(promoted, promoted.dropFirst())
        where newer.toModel == older.fromModel && newer.fromModel == older.toModel {
            return Cooldown(
                cause: .oscillation, until: older.endedAt + settings.oscillationMs,
                reason: "the route went from \(older.fromModel) to \(older.toModel) and back within "
                    + "\(settings.oscillationMs.span), so its model stays for now")
        }
        guard let last = ownHistory.first else { return nil }
        let until = last.endedAt + max(settings.cooldownMs, 2 * (last.endedAt - last.startedAt))
        guard now < until else { return nil }
        return Cooldown(
            cause: .cooldown, until: until,
            reason: "the last rollout ended \((now - last.endedAt).span) ago, and its effect is watched for "
                + "another \((until - now).span)")
    }

    /// What holds back a change to `model`: rollbacks of earlier tries since it was last promoted.
    func cooldown(ofModel model: String) -> Cooldown? {
        let tries = ownHistory.prefix { !($0.toModel == model && $0.promoted) }
        let rollbacks = tries.filter { $0.toModel == model && $0.rolledBack }
        guard let last = rollbacks.first else { return nil }
        guard rollbacks.count <= settings.rollbackCooldownsMs.count else {
            return Cooldown(
                cause: .cooldown, until: nil,
                reason: "it was rolled back \(rollbacks.count) times, so a person decides about a further try")
        }
        let until = last.endedAt + settings.rollbackCooldownsMs[rollbacks.count - 1]
        guard now < until else { return nil }
        return Cooldown(
            cause: .cooldown, until: until,
            reason: "it was rolled back \((now - last.endedAt).span) ago and may be tried again in "
                + (until - now).span)
    }
}

extension Int64 {
    /// Milliseconds as a person says them.
    var span: String {
        let seconds = Double(self) / 1_000
        if seconds < 120 { return seconds.fixed(0) + " s" }
        return seconds < 7_200 ? (seconds / 60).fixed(0) + " min" : (seconds / 3_600).fixed(1) + " h"
    }
}
