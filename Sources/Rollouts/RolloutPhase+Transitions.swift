/// What can happen to a rollout.
package enum RolloutEvent: Sendable, Equatable {
    case stepPassed
    /// A person goes on to the next step, whatever the present one still needs.
    case skip(by: String)
    case pause(by: String)
    case resume
    /// The last step passed, or a person promoted it.
    case promote
    case end(EndReason)
}

extension RolloutPhase {
    /// The next phase, or `nil` for an edge that does not exist. `promoted` and `ended` are absorbing: a failed rollout
    /// never turns good again.
    ///
    /// - Parameter steps: how many steps are served, the watch included.
    package func successor(on event: RolloutEvent, steps: Int) -> RolloutPhase? {
        switch (self, event) {
        case (.progressing(let step), .stepPassed), (.progressing(let step), .skip), (.paused(let step, _), .skip):
            step + 1 < steps ? .progressing(step: step + 1) : .promoted
        case (.progressing(let step), .pause(let by)): .paused(step: step, by: by)
        case (.paused(let step, _), .resume): .progressing(step: step)
        case (.progressing, .promote), (.paused, .promote): .promoted
        case (.progressing, .end(let reason)), (.paused, .end(let reason)): .ended(reason)
        case (.progressing, .resume), (.paused, .stepPassed), (.paused, .pause): nil
        case (.promoted, _), (.ended, _): nil
        }
    }
}
