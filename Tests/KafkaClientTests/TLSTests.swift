import Foundation
import KafkaClient
import TestSupport
import Testing

/// TLS between our clients and a real broker behind a relay that ends it.
@Suite struct TLSTests {
    /// An authority made for one test, and a certificate that it signed for `localhost`.
    private struct Certificates {
        let folder = NSTemporaryDirectory() + "trimtab-tls-\(UInt64.random(in: 0 ... .max))"
        var authority: String { folder + "/ca.pem" }
        var certificate: String { folder + "/broker.pem" }
        var key: String { folder + "/broker.key" }

        init() throws {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let names = folder + "/names"
            try "subjectAltName=DNS:localhost\n".write(toFile: names, atomically: true, encoding: .utf8)
            let new = ["req", "-newkey", "rsa:2048", "-nodes"]
            for arguments in [
                new + ["-x509", "-days", "1", "-subj", "/CN=test", "-keyout", folder + "/ca.key", "-out", authority],
                new + ["-subj", "/CN=localhost", "-keyout", key, "-out", folder + "/broker.csr"],
                [
                    "x509", "-req", "-days", "1", "-in", folder + "/broker.csr", "-CA", authority, "-CAkey",
                    folder + "/ca.key", "-CAcreateserial", "-extfile", names, "-out", certificate,
                ],
            ] { try #require(try ScriptedKafka.run("openssl", arguments) == 0) }
        }

        func remove() { try? FileManager.default.removeItem(atPath: folder) }
    }

    @Test(.enabled(if: ScriptedKafka.tansuPath != nil, "\(ScriptedKafka.noTansu)"), .timeLimit(.minutes(2)))
    func recordsGoAndComeThroughTLSAndAnUnknownAuthorityIsRefused() async throws {
        let own = try Certificates()
        let other = try Certificates()
        let broker = try ScriptedKafka.tansu(certificate: own.certificate, key: own.key)
        let properties = [
            "bootstrap.servers": broker.bootstrapServers, "security.protocol": "ssl", "broker.address.family": "v4",
            "ssl.ca.location": own.authority,
        ]
        try await KafkaAdmin.ensureTopic("events", partitions: 2, properties: properties)
        let producer = try KafkaProducer(topic: "events", properties: properties, maxInFlight: 10_000)
        for number in 0..<2_000 { #expect(producer.send(number, partition: number % 2) == .queued) }
        #expect(try await producer.deliveries(2_000).allSatisfy { $0.error == nil })
        await producer.close()
        let grouped = properties.merging(["session.timeout.ms": "6000", "fetch.wait.max.ms": "10"]) { $1 }
        let consumer = try KafkaConsumer(settings: .init(topic: "events", group: "tls", properties: grouped))
        let records = try await consumer.collect(2_000)
        for partition in 0..<2 {
            #expect(records[partition]?.map(\.number) == Array(stride(from: partition, to: 2_000, by: 2)))
        }
        await consumer.close()

        for wrong in [["ssl.ca.location": other.authority], ["security.protocol": "plaintext"]] {
            await #expect("\(wrong)") {
                try await KafkaAdmin.ensureTopic(
                    "events", partitions: 2, properties: properties.merging(wrong) { $1 }, timeoutMs: 3_000)
            } throws: { error in
                let error = error as? KafkaError
                return wrong["ssl.ca.location"] == nil
                    ? error?.cause == .unreachable && "\(error.map { "\($0)" } ?? "")".contains("security.protocol")
                    : error?.cause == .tls && "\(error.map { "\($0)" } ?? "")".contains("ssl.ca.location")
            }
        }
        broker.close()
        own.remove()
        other.remove()
    }
}
