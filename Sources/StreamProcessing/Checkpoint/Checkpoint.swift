package import Core
import Statistics
package import Telemetry

/// A window of one key, or a pane of one, that the watermark and the allowed lateness have not yet closed.
package struct OpenWindow: Sendable, Equatable {
    package var window: Window
    package var key: WindowKey
    /// The number that its next pane gets.
    package var pane: Int
    /// Whether a result of it has been handed out.
    package var emitted: Bool
    /// Events since it last fired; counted only where it is shown early.
    package var newEvents: Int64
    /// When the first of them came, milliseconds since the epoch by the clock.
    package var newSince: Int64?
    package var aggregate: WindowAggregate

    package init(
        window: Window, key: WindowKey, pane: Int, emitted: Bool = false, newEvents: Int64 = 0, newSince: Int64? = nil,
        aggregate: WindowAggregate
    ) {
        self.window = window
        self.key = key
        self.pane = pane
        self.emitted = emitted
        self.newEvents = newEvents
        self.newSince = newSince
        self.aggregate = aggregate
    }

    package var id: WindowID { WindowID(window: window, key: key) }

    /// Whether it has been shown and holds only what is new since.
    var isDiscarding: Bool { pane > 0 && !emitted }
}

/// An event that could not be counted, kept with the reason; offsets go on.
package struct DeadLetter: Sendable, Equatable {
    package var partition: Int
    package var offset: Int64
    /// When it was refused, milliseconds since the epoch.
    package var at: Int64
    package var reason: Reason
    /// What exactly was wrong, for a person: the field's name and what was expected.
    package var detail: String
    package var raw: [UInt8]

    package init(partition: Int, offset: Int64, at: Int64, reason: Reason, detail: String, raw: [UInt8]) {
        self.partition = partition
        self.offset = offset
        self.at = at
        self.reason = reason
        self.detail = detail
        self.raw = raw
    }

    /// The closed list of reasons.
    package enum Reason: String, Sendable, Codable, CaseIterable {
        case future, late
        case malformedJSON = "malformed_json"
        case missingField = "missing_field"
        case badValue = "bad_value"
        case repeatedField = "repeated_field"
        case unsupportedVersion = "unsupported_version"
        case unknownKind = "unknown_kind"
        /// A payload of the collector's own topic, which no stream has read.
        case malformedExport = "malformed_export"
        case requestUnknown = "request_unknown"
        case notOwnRequest = "not_own_request"
    }
}

/// Feedback joined to its request. Counted once by id: the store refuses ids it already has.
package struct AttributedFeedback: Sendable, Equatable {
    package var id: UUIDv7
    package var request: UUIDv7
    package var at: Int64
    /// Its request's own windows, of all definitions that take feedback; those of `requests` first.
    package var windows: [WindowID]
    /// `nil` where its request is no rollout evidence.
    package var evidence: EvidenceKey?
    package var candidateWeight: Double?
    package var unit: UInt32?
    /// As of its request's trial.
    package var trialPair: UInt32?
    package var name: String
    package var value: Double
    /// The other request of a comparing judgement.
    package var pair: UUIDv7?

    package init(_ feedback: Feedback, request: RequestRow, windows: [WindowID]) {
        self.init(feedback, FeedbackTarget(request), windows: windows)
    }

    init(_ feedback: Feedback, _ request: FeedbackTarget, windows: [WindowID]) {
        id = feedback.id
        self.request = feedback.request
        at = feedback.at
        self.windows = windows
        let assignment = request.assignment
        evidence = EvidenceKey(rollout: assignment?.rollout, step: assignment?.step, arm: request.key.arm)
        candidateWeight = assignment?.candidateWeight
        unit = assignment?.unit
        trialPair = Trial.pair(arm: request.key.arm, id: feedback.request, shadowOf: assignment?.shadowOf)
        name = feedback.name
        value = feedback.value
        pair = feedback.pair
    }
}

/// Feedback that waits for its request.
package struct PendingFeedback: Sendable, Equatable {
    package var feedback: Feedback
    package var offset: Int64
    /// When it arrived, milliseconds since the epoch.
    package var since: Int64

    package init(feedback: Feedback, offset: Int64, since: Int64) {
        self.feedback = feedback
        self.offset = offset
        self.since = since
    }
}

/// The last number seen of one producer run, and where, so that the longest silent one is forgotten first.
package struct ProducerPosition: Sendable, Equatable {
    package var seq: Int64
    package var offset: Int64

    package init(seq: Int64, offset: Int64) {
        self.seq = seq
        self.offset = offset
    }
}

/// Everything that one partition's processor needs to go on after a restart.
package struct PartitionState: Sendable, Equatable {
    package var partition: Int
    /// The next offset to process.
    package var nextOffset: Int64 = 0
    /// The largest event time seen, capped at the clock of that moment; `nil` before the first event.
    package var largestTimestamp: Int64?
    /// Part of the state, so that what was late before a crash is late after it.
    package var watermark: Int64?
    package var producers: [String: ProducerPosition] = [:]
    /// The number of the last evidence pane.
    package var paneNumber: Int64 = 0
    package var pendingFeedback: [PendingFeedback] = []
    /// Stored as rows of their own, and so not part of `encoded()`.
    package var openWindows: [OpenWindow] = []

    package init(partition: Int) { self.partition = partition }
}

/// What one partition's processor did since its last checkpoint: to be stored in one transaction, all or nothing.
package struct Checkpoint: Sendable, Equatable {
    /// Without open windows.
    package var state: PartitionState
    package var changedWindows: [OpenWindow] = []
    package var purgedWindows: [WindowID] = []
    /// Stored results that are to be deleted before those below are stored: of sessions that have grown or merged.
    package var retracted: [WindowID] = []
    /// In firing order; at most one result a window and key, the newest, where panes are accumulating.
    package var results: [WindowResult] = []
    package var feedback: [AttributedFeedback] = []
    package var requests: [RequestRow] = []
    /// Without the quality scores, which `evidence(refusing:)` adds.
    package var panes: [EvidencePane] = []
    package var deadLetters: [DeadLetter] = []

    package init(state: PartitionState) { self.state = state }

    /// What the feedback adds to its windows, without the ids that the store already has; sorted.
    package func feedbackDeltas(refusing refused: Set<UUIDv7> = []) -> [FeedbackDelta] {
        struct Group: Hashable {
            var id: WindowID
            var name: String
        }
        var groups: [Group: Moments] = [:]
        for entry in feedback where !refused.contains(entry.id) {
            for id in entry.windows { groups[Group(id: id, name: entry.name), default: Moments()].add(entry.value) }
        }
        return groups.sorted { ($0.key.id, $0.key.name) < ($1.key.id, $1.key.name) }
            .map { FeedbackDelta(window: $0.key.id.window, key: $0.key.id.key, name: $0.key.name, values: $0.value) }
    }

    /// The panes with their quality scores, without the ids that the store already has; sorted by key.
    package func evidence(refusing refused: Set<UUIDv7> = []) -> [EvidencePane] {
        var byKey = Dictionary(panes.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        for entry in feedback where entry.name == Feedback.quality && !refused.contains(entry.id) {
            guard let key = entry.evidence else { continue }
            let fresh = EvidencePane(
                key: key, partition: state.partition, number: state.paneNumber,
                candidateWeight: entry.candidateWeight ?? 0, trials: [])
            byKey[key, default: fresh].trials.append(
                Trial(unit: entry.unit, at: entry.at, pair: entry.trialPair, .quality(entry.value)))
        }
        return byKey.values.sorted { $0.key < $1.key }
    }
}

extension EvidenceKey {
    /// `nil` for a request that is no rollout evidence: without a rollout, or of an arm that is not compared.
    init?(rollout: UUIDv7?, step: Int?, arm: Arm) {
        guard let rollout, [.stable, .candidate, .shadow].contains(arm) else { return nil }
        self.init(rollout: rollout, step: step ?? 0, arm: arm)
    }
}
