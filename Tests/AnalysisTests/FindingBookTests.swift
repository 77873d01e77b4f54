import Analysis
import Core
import StreamProcessing
import Testing

/// A statement lasts as one finding, and ends as one.
struct FindingBookTests {
    private let minute: Int64 = 60_000

    private func said(
        _ code: String = "performance.errors", _ subject: Subject = .model("a/b"), _ estimate: Double = 0.1,
        _ severity: Finding.Severity = .warning
    ) -> Observation {
        Observation(
            .performance, code, subject, "Failures.", severity: severity, confidence: 0.99,
            magnitude: Interval(estimate: estimate, lower: 0, upper: 1), window: Window(start: 0, end: minute),
            evidence: [:], objective: .availability)
    }

    private struct Diary {
        var book = FindingBook()
        var generator = SplitMix64(seed: 1)
        mutating func take(_ seen: [Observation], _ minute: Int64) -> [FindingBook.Change] {
            book.take(seen, of: "chat", now: minute * 60_000, closeAfterMs: 600_000, using: &generator)
        }
    }

    @Test func aStatementThatLastsIsOneFinding() throws {
        var diary = Diary()
        let opened = diary.take([said()], 1)
        #expect(opened.count == 1)
        let first = try #require(opened.first?.finding)
        #expect(first.status == .open && first.openedAt == minute)
        for now in 2...4 { #expect(diary.take([said()], Int64(now)).isEmpty) }
        // Five minutes after the last word of it, or when it is news.
        #expect(diary.take([said()], 6).map(\.finding.id) == [first.id])
        #expect(diary.take([said()], 7).isEmpty)
        #expect(diary.take([said("performance.errors", .model("a/b"), 0.2)], 8).map(\.finding.id) == [first.id])
        #expect(diary.take([said("performance.errors", .model("a/b"), 0.2, .critical)], 9).count == 1)
        #expect(diary.book.open.count == 1)
    }

    /// Once for each rise: what comes and goes at a threshold is no news each time.
    @Test func itIsRaisedWhenItIsMoreSevereThanEver() throws {
        var diary = Diary()
        func said(_ severity: Finding.Severity) -> [Observation] {
            [self.said("performance.errors", .model("a/b"), 0.1, severity)]
        }
        _ = diary.take(said(.info), 1)
        var raised: [Int64] = []
        for (now, severity) in [Finding.Severity.warning, .info, .warning, .critical, .warning, .critical].enumerated()
        {
            let change = try #require(diary.take(said(severity), Int64(now) + 2).first)
            if case .raised = change { raised.append(Int64(now) + 2) }
        }
        #expect(raised == [2, 5])
        #expect(diary.take(said(.info), 8).first?.finding.peakSeverity == .critical)
        let closed = try #require(diary.take([], 30).first?.finding)
        #expect(closed.severity == .info && closed.peakSeverity == .critical)
    }

    @Test func itIsClosedOnceNothingHasSaidSoForAWhile() throws {
        var diary = Diary()
        _ = diary.take([said()], 1)
        #expect(diary.take([], 10).isEmpty)
        // Once more just before: it goes on.
        #expect(diary.take([said()], 10).allSatisfy { if case .updated = $0 { true } else { false } })
        #expect(diary.take([], 19).isEmpty)
        let closed = try #require(diary.take([], 20).first)
        guard case .closed(let finding) = closed else { throw TrimtabError("test", "not closed", remedy: "") }
        #expect(finding.openedAt == minute && finding.closedAt == 20 * minute && finding.status == .closed)
        #expect(diary.book.open.isEmpty)
        let again = try #require(diary.take([said()], 21).first)
        #expect(again.finding.id != finding.id)
    }

    @Test func subjectsAndCodesAreApart() {
        var diary = Diary()
        let seen = [said(), said("performance.errors", .model("c/d")), said("performance.latency_slo")]
        #expect(diary.take(seen, 1).count == 3)
        #expect(Set(diary.book.open.map(\.id)).count == 3)
    }

    @Test func whatWeighsMoreFindsRoom() {
        var diary = Diary()
        let many = (0..<150).map { said("performance.errors", .model("m/\($0)")) }
        #expect(diary.take(many, 1).count == FindingBook.mostOpen)
        #expect(diary.book.suppressed == 50)
        let changes = diary.take([said("performance.errors", .model("worse/1"), 1, .critical)], 2)
        #expect(changes.count == 2)
        #expect(diary.book.open.count == FindingBook.mostOpen)
        #expect(diary.book.open.contains { $0.severity == .critical })
    }
}
