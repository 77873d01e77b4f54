package import Analysis
package import Core
package import Decisions
package import Policy
package import Rollouts
import Statistics
package import StreamProcessing
import Telemetry

extension InMemoryControlStore {
    // MARK: Fed by the stream

    /// Keeps what one checkpoint emitted. A later pane replaces the earlier.
    ///
    /// - Parameter watermark: of all live traffic after it; `nil` leaves it.
    package func add(
        results: [WindowResult], feedback deltas: [FeedbackDelta], panes added: [EvidencePane], watermark: Int64? = nil
    ) {
        self.watermark = watermark ?? self.watermark
        for result in results {
            guard let route = RouteName(result.key.route) else { continue }
            partials[route, default: [:]][
                PartialID(window: result.window, key: result.key, partition: result.partition)] = result
        }
        for delta in deltas {
            guard let route = RouteName(delta.key.route) else { continue }
            feedback[route, default: [:]][WindowID(window: delta.window, key: delta.key), default: [:]][
                delta.name, default: Moments()
            ].merge(delta.values)
        }
        for pane in added { panes[pane.key.rollout, default: []].append(pane) }
        if !results.isEmpty { tell(.windows, nil, "") }
    }

    package func evidence(of rollout: UUIDv7, after cursor: [Int: Int64], limit: Int) -> [EvidencePane] {
        let fresh = (panes[rollout] ?? []).filter { $0.number > cursor[$0.partition] ?? -1 }
            .sorted { ($0.number, $0.partition, $0.key) < ($1.number, $1.partition, $1.key) }
        return fresh.count <= limit ? fresh : Array(fresh.prefix(limit)).withoutLastGroup()
    }

    package func statistics(route: RouteName, in range: Range<Int64>) -> [TargetStatistics] {
        var latency: [String: (DDSketch, DDSketch)] = [:]
        var rows: [String: TargetStatistics] = [:]
        for window in requests(route, range) where !window.key.modelKey.isEmpty {
            let key = window.key.modelKey
            var row = rows[key] ?? TargetStatistics(route: route.description, modelKey: key)
            row.add(window.aggregate)
            if let quality = window.feedback[Feedback.quality] { row.quality.merge(quality) }
            rows[key] = row
            latency[key, default: (DDSketch(), DDSketch())].0.merge(window.aggregate.latency)
            latency[key, default: (DDSketch(), DDSketch())].1.merge(window.aggregate.ttft)
        }
        return rows.values.map { row in
            var row = row
            if let times = latency[row.modelKey] { row.setTimes(latency: times.0, ttft: times.1) }
            return row
        }.sorted { $0.modelKey < $1.modelKey }
    }

    package func windows(_ query: WindowQuery) -> [MergedWindow] {
        Array(requests(query.route, query.range).suffix(query.limit))
    }

    private func requests(_ route: RouteName, _ range: Range<Int64>) -> [MergedWindow] {
        merged(route) { $0.key.window == WindowDefinition.requests && range.contains($0.window.start) }
    }

    func merged(_ route: RouteName, where isWanted: (WindowID) -> Bool) -> [MergedWindow] {
        var found: [WindowID: MergedWindow] = [:]
        func entry(_ id: WindowID) -> MergedWindow {
            found[id] ?? MergedWindow(window: id.window, key: id.key, aggregate: WindowAggregate(), feedback: [:])
        }
        for (id, result) in partials[route] ?? [:] {
            let name = WindowID(window: id.window, key: id.key)
            guard isWanted(name) else { continue }
            var window = entry(name)
            window.aggregate.merge(result.aggregate)
            found[name] = window
        }
        for (id, names) in feedback[route] ?? [:] where isWanted(id) {
            var window = entry(id)
            window.feedback.merge(names) { $1 }
            found[id] = window
        }
        return found.sorted { $0.key < $1.key }.map(\.value)
    }

    package func prices() -> PriceBook { book }

    // MARK: Read by people

    package func decisions(_ query: PageQuery) -> [Decision] {
        page(decisions.values, query, id: \.id, route: { $0.route }, state: { $0.status.rawValue })
    }
    package func decision(_ id: UUIDv7) -> Decision? { decisions[id] }
    package func rollouts(_ query: PageQuery) -> [Rollout] {
        page(rollouts.values, query, id: \.id, route: { $0.route }, state: { $0.phase.name })
    }
    package func rollout(_ id: UUIDv7) -> Rollout? { rollouts[id] }
    package func audit(_ query: PageQuery) -> [AuditEntry] {
        page(auditEntries, query, id: \.id, route: { $0.route }, state: { $0.action })
    }

    package func rehearsals(_ query: PageQuery) -> [RehearsalReport] {
        let all = PageQuery(route: query.route, before: query.before, limit: query.limit)
        return page(records.values.flatMap(\.rehearsals), all, id: \.id, route: { $0.route }, state: { _ in "" })
    }

    private func page<Item>(
        _ items: some Sequence<Item>, _ query: PageQuery, id: (Item) -> UUIDv7, route: (Item) -> RouteName?,
        state: (Item) -> String
    ) -> [Item] {
        let fitting = items.filter { item in
            (query.route == nil || route(item) == query.route) && (query.state == nil || state(item) == query.state)
                && query.before.map { id(item) < $0 } ?? true
        }
        return Array(fitting.sorted { id($0) > id($1) }.prefix(query.limit))
    }
}

extension TargetStatistics {
    /// Adds a window's counts; latencies come from merged sketches.
    package mutating func add(_ aggregate: WindowAggregate) {
        requests += aggregate.requests
        failures += aggregate.failures
        cost.merge(aggregate.cost)
        unknownCost += aggregate.unknownCost
    }
}
