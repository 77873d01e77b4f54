import Analysis
import ControlLoop
import Core
import CurlClient
package import Logging
package import Observability
package import StateStore

/// Sends events to webhooks, in order and at least once, beside the control loop.
///
/// Each webhook has a task, a connection and a place in the outbox of its own: one that is slow or dead holds up neither
/// the loop nor the others. Nothing is kept here, so whoever leads next goes on from the place that is stored.
package struct WebhookSender: Sendable {
    /// Milliseconds, but for `batch`.
    package struct Pace: Sendable {
        /// Between two looks for events.
        package var pollMs: Int64 = 1_000
        /// For one attempt, whole.
        package var timeoutMs = 10_000
        /// After the first failure; it doubles up to `longestPauseMs`. Each pause is cut by up to a half, at random.
        package var firstPauseMs: Int64 = 1_000
        package var longestPauseMs: Int64 = 900_000
        /// When an attempt fails, events as old as this are given up.
        package var giveUpMs: Int64 = 86_400_000
        /// Events read at a time.
        package var batch = 100

        package init() {}
    }

    private let webhooks: [WebhookSettings]
    private let outbox: EventOutbox
    private let metrics: MetricRegistry
    private let logger: Logger
    private let pace: Pace

    package init(
        webhooks: [WebhookSettings], outbox: EventOutbox, metrics: MetricRegistry, logger: Logger, pace: Pace = Pace()
    ) {
        self.webhooks = webhooks
        self.outbox = outbox
        self.metrics = metrics
        self.logger = logger
        self.pace = pace
    }

    /// Sends while this process leads, until the task is cancelled.
    package func run(while isLeading: @escaping @Sendable () -> Bool) async {
        await withTaskGroup { group in
            group.addTask { await forgetOthers(isLeading) }
            for webhook in webhooks { group.addTask { await serve(webhook, isLeading) } }
        }
    }

    /// Once this process leads, a webhook that is configured no more loses its place.
    private func forgetOthers(_ isLeading: @Sendable () -> Bool) async {
        var forgotten = false
        await repeatedly("Webhooks cannot be looked up") {
            if isLeading(), !forgotten { try await outbox.keep(only: webhooks.map(\.name)) }
            forgotten = isLeading()
        }
    }

    private func serve(_ webhook: WebhookSettings, _ isLeading: @Sendable () -> Bool) async {
        let client = CurlClient()
        var outage = OutageLog()
        await repeatedly("Events cannot be read") {
            guard isLeading() else { return metrics.set(.webhookPendingAge, 0, [.webhook: webhook.name]) }
            try await deliver(to: webhook, client, &outage, isLeading)
        }
    }

    /// Runs `work` once a poll; what it throws is logged as an outage.
    private func repeatedly(_ failure: Logger.Message, _ work: () async throws -> Void) async {
        var outage = OutageLog()
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: .milliseconds(pace.pollMs))
                try await work()
                if let ms = outage.worked(at: currentMilliseconds()) {
                    logger.notice("Webhooks are served again", metadata: ["after_ms": "\(ms)"])
                }
            } catch is CancellationError {
                return
            } catch {
                if outage.failed(at: currentMilliseconds()) { logger.warning(failure, metadata: ["error": "\(error)"]) }
            }
        }
    }

    /// Sends what is due, up to the first failure.
    private func deliver(
        to webhook: WebhookSettings, _ client: CurlClient, _ outage: inout OutageLog, _ isLeading: @Sendable () -> Bool
    ) async throws {
        var (place, events) = try await outbox.due(webhook.name, limit: pace.batch)
        let wanted = events.filter(webhook.wants)
        tellAge(of: wanted.first, webhook)
        let wait = place.nextAt - currentMilliseconds()
        // A pause longer than there is was set by a clock that has been put back.
        guard wait <= 0 || wait > pace.longestPauseMs else { return }
        for (index, event) in wanted.enumerated() {
            guard isLeading() else { return }
            tellAge(of: event, webhook)
            if let failure = try await attempt(event, webhook, client) {
                return try await postpone(wanted[index...], place, webhook, failure, &outage)
            }
            if let ms = outage.worked(at: currentMilliseconds()) {
                logger.notice(
                    "A webhook takes events again", metadata: ["webhook": "\(webhook.name)", "after_ms": "\(ms)"])
            }
            try await outbox.advance(webhook.name, to: event.number)
            metrics.add(.webhookDeliveries, 1, [.webhook: webhook.name, .outcome: "delivered"])
            (place.position, place.failures) = (event.number, 0)
        }
        if let last = events.last { try await outbox.advance(webhook.name, to: last.number) }
        tellAge(of: nil, webhook)
    }

    private func tellAge(of event: EventOutbox.Event?, _ webhook: WebhookSettings) {
        let age = event.map { max(0, currentMilliseconds() - $0.at) } ?? 0
        metrics.set(.webhookPendingAge, Double(age) / 1_000, [.webhook: webhook.name])
    }

    /// - Returns: why it was not delivered; `nil` if it was.
    private func attempt(_ event: EventOutbox.Event, _ webhook: WebhookSettings, _ client: CurlClient) async throws
        -> String?
    {
        let request = WebhookRequest.make(event, to: webhook, now: currentMilliseconds(), timeoutMs: pace.timeoutMs)
        do {
            let status = try await client.send(request).status
            return (200..<300).contains(status) ? nil : "It answers with status \(status)."
        } catch let error as CurlError {
            return error.description
        }
    }

    /// Waits before the next attempt, and gives up what is too old by now.
    private func postpone(
        _ left: ArraySlice<EventOutbox.Event>, _ place: EventOutbox.Place, _ webhook: WebhookSettings,
        _ failure: String, _ outage: inout OutageLog
    ) async throws {
        let now = currentMilliseconds()
        let old = left.prefix { now - $0.at >= pace.giveUpMs }
        var next = place
        next.position = old.last?.number ?? place.position
        next.failures += 1
        let doublings = min(next.failures - 1, 30)
        let pause = min(pace.firstPauseMs << doublings, pace.longestPauseMs)
        next.nextAt = now + Int64.random(in: pause / 2...pause)
        try await outbox.postpone(webhook.name, to: next, error: failure)
        metrics.add(.webhookDeliveries, 1, [.webhook: webhook.name, .outcome: "failed"])
        if outage.failed(at: now) {
            logger.warning(
                "A webhook does not take an event; it is sent again",
                metadata: ["webhook": "\(webhook.name)", "error": "\(failure)", "attempts": "\(next.failures)"])
        }
        guard let last = old.last else { return }
        metrics.add(.webhookDeliveries, Double(old.count), [.webhook: webhook.name, .outcome: "skipped"])
        logger.warning(
            "Events are given up: a webhook has not taken them for too long",
            metadata: ["webhook": "\(webhook.name)", "events": "\(old.count)", "last": "\(last.id)"])
    }
}

extension WebhookSettings {
    fileprivate func wants(_ event: EventOutbox.Event) -> Bool {
        guard let kind = ControlEvent.Kind(rawValue: event.type), kinds.contains(kind) else { return false }
        return event.severity.flatMap(Finding.Severity.init(rawValue:)).map { $0 >= minSeverity } ?? true
    }
}
