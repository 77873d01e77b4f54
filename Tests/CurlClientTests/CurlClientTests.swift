import CurlClient
import Foundation
import TestSupport
import Testing

/// The client before a real server on loopback.
@Suite(.timeLimit(.minutes(1))) struct CurlClientTests {
    private func request(_ port: Int, body: String = "{}", timeoutMs: Int = 5_000) -> OutboundRequest {
        OutboundRequest(
            url: "http://127.0.0.1:\(port)/hook?a=1", headers: [("content-type", "application/json")],
            body: Array(body.utf8), timeoutMs: timeoutMs)
    }

    private func failure(_ client: CurlClient, _ request: OutboundRequest) async -> CurlError? {
        await #expect(throws: CurlError.self) { _ = try await client.send(request) }
    }

    @Test func sendsHeadersAndBodyAndTakesTheAnswer() async throws {
        let server = try await ScriptedUpstream { _, _ in [.answer(201, "thanks")] }
        var request = request(server.port, body: #"{"text":"größer"}"#)
        request.headers += [("webhook-id", "a b:c"), ("x-two", "2")]
        let response = try await CurlClient().send(request)
        #expect(response.status == 201 && response.body == Array("thanks".utf8))
        let lines = try #require(server.requests.first).components(separatedBy: "\r\n")
        #expect(lines.first == "POST /hook?a=1 HTTP/1.1" && lines.last == #"{"text":"größer"}"#)
        for line in ["content-type: application/json", "webhook-id: a b:c", "x-two: 2"] {
            #expect(lines.contains(line), "\(lines)")
        }
        #expect(!lines.contains { $0.lowercased().hasPrefix("expect") })
        await server.stop()
    }

    /// What is signed for one address is sent to no other.
    @Test(arguments: [204, 301, 404, 500, 503]) func everyStatusIsAnAnswer(status: Int) async throws {
        let server = try await ScriptedUpstream { _, _ in [.answer(status, headers: "location: /other\r\n")] }
        #expect(try await CurlClient().send(request(server.port)).status == status)
        #expect(server.requests.count == 1)
        await server.stop()
    }

    @Test func bodiesMayBeEmptyOrLarge() async throws {
        let server = try await ScriptedUpstream { request, _ in [.answer(200, "\(request.utf8.count)")] }
        let client = CurlClient()
        let began = ContinuousClock.now
        for body in ["", String(repeating: "x", count: 2 << 20)] {
            let answer = try await client.send(request(server.port, body: body))
            let taken = Int(String(decoding: answer.body, as: UTF8.self)) ?? 0
            #expect(taken > body.utf8.count && taken < body.utf8.count + 500)
        }
        #expect(ContinuousClock.now - began < .milliseconds(900), "nothing waits for '100 Continue'")
        #expect(server.requests.first?.contains("ontent-Length: 0\r\n") == true)
        await server.stop()
    }

    @Test func connectionsAreKept() async throws {
        let server = try await ScriptedUpstream { _, _ in [.answer(200, "ok")] }
        let client = CurlClient()
        for _ in 0..<5 { #expect(try await client.send(request(server.port)).status == 200) }
        #expect(server.opened == 1)
        await server.stop()
    }

    @Test func whoNeverAnswersIsNotWaitedFor() async throws {
        let server = try await ScriptedUpstream { _, number in number == 1 ? [] : [.answer(200)] }
        let client = CurlClient()
        let began = ContinuousClock.now
        #expect(await failure(client, request(server.port, timeoutMs: 200))?.code == 28)
        #expect(ContinuousClock.now - began < .seconds(2))
        // And the next request is as any other.
        #expect(try await client.send(request(server.port)).status == 200)
        await server.stop()
    }

    @Test func anAnswerThatIsTooLongIsAnError() async throws {
        let server = try await ScriptedUpstream { _, _ in [.answer(200, String(repeating: "x", count: 100))] }
        let client = CurlClient()
        var request = request(server.port)
        request.mostBytes = 99
        #expect(await failure(client, request)?.description == "the answer is too long")
        request.mostBytes = 100
        #expect(try await client.send(request).body.count == 100)
        await server.stop()
    }

    @Test func aTaskThatIsCancelledEndsSoon() async throws {
        let server = try await ScriptedUpstream { _, _ in [] }
        let request = request(server.port, timeoutMs: 30_000)
        let client = CurlClient()
        let task = Task { try await client.send(request) }
        #expect(try await eventually { server.requests.count == 1 })
        let began = ContinuousClock.now
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        #expect(ContinuousClock.now - began < .seconds(2))
        await server.stop()
    }

    @Test func whatCannotBeReachedIsNamed() async throws {
        let server = try await ScriptedUpstream { _, _ in [] }
        await server.stop()
        let client = CurlClient()
        let refused = await failure(client, request(server.port))
        #expect(refused?.code == 7 && refused?.description.isEmpty == false)
        var other = request(server.port)
        other.url = "file:///etc/hostname"
        #expect(await failure(client, other)?.code == 1)
        other.url = "http://"
        #expect(await failure(client, other) != nil)
    }

    @Test func aServerThatHangsUpIsNoAnswer() async throws {
        let part = Step.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        let server = try await ScriptedUpstream { _, _ in [part, .close] }
        #expect(await failure(CurlClient(), request(server.port)) != nil)
        await server.stop()
    }

    /// A name or a secret from elsewhere cannot add a header of its own.
    @Test(arguments: ["a\r\nx-evil: 1", "a\nx-evil: 1", "a\r"]) func headersHoldNoLineBreaks(value: String) async throws
    {
        let server = try await ScriptedUpstream { _, _ in [.answer(200)] }
        var request = request(server.port)
        request.headers.append(("x-value", value))
        #expect(await failure(CurlClient(), request)?.description == "a header holds a line break")
        #expect(server.opened == 0)
        await server.stop()
    }

    @Test(.enabled(if: Certificate.openssl != nil, "needs the openssl command"))
    func aCertificateThatNobodyVouchesForIsRefused() async throws {
        let certificate = try Certificate()
        let server = try await ScriptedUpstream(tls: certificate.context) { _, _ in [.answer(200)] }
        var request = request(server.port)
        request.url = "https://localhost:\(server.port)/"
        #expect(await failure(CurlClient(), request)?.code == 60)
        #expect(server.requests.isEmpty)
        // Somebody does.
        request.trustRootsFile = certificate.file.path
        #expect(try await CurlClient().send(request).status == 200)
        await server.stop()
    }

    /// Each has its thread: one that waits holds up no other.
    @Test func clientsDoNotWaitForEachOther() async throws {
        let slow = try await ScriptedUpstream { _, _ in [.pause(milliseconds: 1_500), .answer(200)] }
        let quick = try await ScriptedUpstream { _, _ in [.answer(200)] }
        let waiting = request(slow.port)
        let task = Task { try await CurlClient().send(waiting).status }
        #expect(try await eventually { slow.requests.count == 1 })
        #expect(try await CurlClient().send(request(quick.port)).status == 200)
        #expect(slow.written == 0)
        #expect(try await task.value == 200)
        await slow.stop()
        await quick.stop()
    }
}
