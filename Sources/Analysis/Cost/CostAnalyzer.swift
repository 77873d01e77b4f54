import Core
import Statistics
import StreamProcessing
import Telemetry

/// What a route spends, what it will have spent, what it need not spend, and what is paid for a token.
///
/// Rises, prices and unknown costs are looked at every minute; the rest, which days decide, every ten.
package struct CostAnalyzer: Analyzer {
    package static let kind = AnalyzerKind.cost
    package static let thresholds: [Threshold] = [
        .costRise, .acceptedCostRise, .spenderRise, .unknownCost, .priceChange, .budgetMonth, .budgetRisk, .wasteDay,
        .wasteShare, .longOutput, .batchDiscount, .qualityMargin,
    ]
    /// Models of a route that are told apart.
    private static let mostModels = 64
    /// The name of the others.
    private static let others = "others"
    private static let slowMs: Int64 = 600_000

    private var models: [String: ModelCost] = [:]
    /// Of all models together, where their mix changes.
    private var rise = RiseDetector()
    private var reference: CostReference?
    private var hour: Int64 = -1
    private var spend = SpendHistory()
    private var keys = SpenderBook()
    private var projects = SpenderBook()
    private var prompts = PromptWaste()
    /// What days say, as of the last look; not written down, because it follows from the rest.
    private var standing: [Observation] = []
    private var lookedAt: Int64 = .min

    private enum CodingKeys: String, CodingKey {
        case models, rise, reference, hour, spend, keys, projects, prompts
    }

    package init() {}

    package mutating func observe(_ minute: RouteMinute, _ context: RouteContext) -> [Observation] {
        spend.add(minute)
        take(minute.results, context)
        guard !minute.isGap else { return standing }
        let at = minute.window.start
        var total = UsageSums(), undecided = false
        for model in minute.models where !model.modelKey.isEmpty && model.users.requests > 0 {
            let name = place(model.modelKey)
            models[name, default: ModelCost()].observe(
                model.users, context.prices[model.modelKey], context.settings, at: at)
            undecided = undecided || models[name]?.price.isUndecided == true
            total.merge(UsageSums(model.users))
        }
        for feedback in minute.feedback {
            guard let quality = feedback.values[Feedback.quality], quality.n > 0 else { continue }
            models[place(feedback.modelKey)]?.take(quality: quality, at: at)
        }
        enterHour(at)
        let changed = models.values.contains { $0.price.changes.last.map { at - $0.at < 300_000 } ?? false }
        if changed {
            rise.reset()
            hour = -1
        } else if let reference, !undecided {
            rise.add(total, reference, margin: context.settings[.costRise], at: at)
        }
        let now = CostMoment(window: minute.window, context: context)
        var seen: [Observation] = []
        for (name, model) in models.sorted(by: { $0.key < $1.key }) {
            seen += [now.rise(name, model), now.unknownCost(name, model)].compactMap { $0 }
        }
        if rise.stands, let reference { seen += [now.mixRise(rise, reference, models)].compactMap { $0 } }
        if lookedAt == .min || at / Self.slowMs != lookedAt / Self.slowMs || changed {
            lookedAt = at
            look(now)
        }
        return seen + standing
    }

    /// The model's own name as long as there is room.
    private func place(_ name: String) -> String {
        models[name] != nil || models.count < Self.mostModels - 1 ? name : Self.others
    }

    /// Compares the mix of models with what it was at these hours.
    private mutating func enterHour(_ ms: Int64) {
        guard ms / ModelCost.hourMs != hour else { return }
        hour = ms / ModelCost.hourMs
        var slots: [UsageSums] = [], isSeasonal = true
        for name in models.keys {
            models[name]?.enterHour(ms)
            guard let past = models[name]?.past else { continue }
            // Hours are alike for all models, or all hours are compared.
            guard !slots.isEmpty else {
                (slots, isSeasonal) = past
                continue
            }
            guard past.slots.count == slots.count else { continue }
            for index in slots.indices where past.slots[index].priced > 0 { slots[index].merge(past.slots[index]) }
        }
        reference = CostReference(slots, isSeasonal: isSeasonal)
    }

    private mutating func take(_ results: [MergedWindow], _ context: RouteContext) {
        for result in results {
            let at = result.window.start
            switch result.key.window {
            case WindowDefinition.spend:
                guard result.key.others.count == 2 else { continue }
                projects.add(result.key.others[0], result.aggregate, at: at)
                keys.add(result.key.others[1], result.aggregate, at: at)
            case WindowDefinition.sizes:
                guard let size = result.key.others.first else { continue }
                models[place(result.key.modelKey)]?.take(
                    size: size, result.aggregate, longFactor: context.settings[.longOutput], at: at)
            case WindowDefinition.prompts: prompts.take(result.aggregate, at: at)
            default: break
            }
        }
    }

    private mutating func look(_ now: CostMoment) {
        standing = now.forecast(spend)
        keys.advance(to: now.now - 1)
        projects.advance(to: now.now - 1)
        standing += now.spenders(keys, .key) + now.spenders(projects, .project)
        for (name, model) in models.sorted(by: { $0.key < $1.key }) {
            standing += now.prices(name, model) + now.waste(name, model)
            standing += [now.perAccepted(name, model)].compactMap { $0 }
        }
        standing += now.dearerModels(models)
        standing += now.promptWaste(prompts, models) + now.batchable(keys)
    }
}

/// The minute that statements are made at.
struct CostMoment {
    var window: Window
    var context: RouteContext

    var now: Int64 { window.end }
    func threshold(_ threshold: Threshold) -> Double { context.settings[threshold] }

    func observation(
        _ code: String, _ subject: Subject, _ statement: String, _ severity: Finding.Severity,
        _ confidence: Double, _ magnitude: Interval, over milliseconds: Int64, _ evidence: [String: Double],
        action: String
    ) -> Observation {
        Observation(
            .cost, code, subject, statement, severity: severity, confidence: min(max(confidence, 0), 0.9999),
            magnitude: magnitude, window: Window(start: max(0, now - milliseconds), end: now), evidence: evidence,
            objective: .cost, action: action)
    }
}
