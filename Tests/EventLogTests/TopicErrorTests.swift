import Core
import EventLog
import TestSupport
import Testing

/// What a person reads when the topic cannot be used, and whether the service waits or gives up.
@Suite struct TopicErrorTests {
    private func settings(_ servers: String) -> KafkaLogSettings {
        var settings = KafkaLogSettings(properties: ["bootstrap.servers": servers])
        settings.partitions = 4
        settings.answerMs = 1_000
        return settings
    }

    private func fault(_ settings: KafkaLogSettings) async throws -> TrimtabError? {
        let reader = try KafkaLogReader(settings: settings)
        do {
            _ = try await reader.partitionCount()
        } catch {
            await reader.close()
            return error as? TrimtabError
        }
        await reader.close()
        return nil
    }

    @Test func saysWhatToDoAboutATopicThatIsNotMade() async throws {
        let broker = try ScriptedKafka.answering(createError: 38, message: "only one broker")
        let error = try #require(try await fault(settings(broker.bootstrapServers)))
        #expect(error.code == "event_log.kafka.topic")
        #expect(error.summary.contains("only one broker (INVALID_REPLICATION_FACTOR)"))
        #expect(error.remedy.contains("with 4 partitions"))
        broker.close()
    }

    @Test func saysWhichRightsAreMissing() async throws {
        let broker = try ScriptedKafka.answering(topics: [KafkaLogSettings.defaultTopic: -29])
        let error = try #require(try await fault(settings(broker.bootstrapServers)))
        #expect(error.code == "event_log.kafka.rights")
        #expect(error.remedy.contains("'trimtab.stream'"))
        broker.close()
    }

    @Test func saysWhoDoesNotAnswer() async throws {
        let error = try #require(try await fault(settings("127.0.0.1:1")))
        #expect(error.code == "event_log.kafka.unavailable")
        #expect(error.summary.contains("127.0.0.1:1") && error.summary.contains("Connection refused"))
    }

    @Test func aReaderMakesTheTopic() async throws {
        let broker = try ScriptedKafka.answering()
        #expect(try await fault(settings(broker.bootstrapServers)) == nil)
        broker.close()
    }

    /// A wrong count never mends itself, so reading ends; a cluster that is away is waited for.
    @Test func readingEndsOnAWrongPartitionCountAndWaitsForACluster() async throws {
        let broker = try ScriptedKafka.answering(topics: [KafkaLogSettings.defaultTopic: 7])
        let wrong = try KafkaLogReader(settings: settings(broker.bootstrapServers))
        await #expect {
            for _ in 0..<100 { _ = try await wrong.next(timeout: .milliseconds(100)) }
        } throws: { error in
            (error as? TrimtabError)?.code == "event_log.kafka.partitions"
        }
        await wrong.close()
        broker.close()
        let away = try KafkaLogReader(settings: settings("127.0.0.1:1"))
        for _ in 0..<15 {
            guard case .idle = try await away.next(timeout: .milliseconds(100)) else {
                Issue.record("Something came from nowhere.")
                break
            }
        }
        await away.close()
    }
}
