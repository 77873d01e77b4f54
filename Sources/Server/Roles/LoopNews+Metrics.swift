import ControlLoop
import Core
import Decisions
import Observability
import Policy
import Rollouts

extension LoopNews {
    func record(in metrics: MetricRegistry) {
        switch self {
        case .looked(let state):
            metrics.set(.rolloutWeight, state.rollout?.weight ?? 0, [.route: state.route.name.description])
        case .acknowledged(let rollout):
            guard case .ended = rollout.phase, let ms = rollout.acknowledgement?.ms else { return }
            metrics.observe(
                .rollbackDuration, Double(ms) / 1_000,
                [.route: rollout.route.description, .result: rollout.phase.name])
        case .failed(let route): metrics.add(.controlStepFailures, 1, [.route: route.description])
        case .wrote(let route, let effects):
            for case .saveDecision(let decision) in effects where decision.status != .superseded {
                metrics.add(.decisions, 1, [.route: route.description, .code: decision.outcome.code])
            }
            for case .saveRollout(let rollout) in effects where !rollout.isActive {
                metrics.add(.rolloutsEnded, 1, [.route: route.description, .result: rollout.phase.name])
            }
        }
    }
}
