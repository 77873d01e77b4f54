import Core
import Foundation
import Gateway
import NIOSSL
import Telemetry
import TestSupport
import Testing

/// A provider behind TLS, with a certificate made on the spot.
@Suite(.enabled(if: Certificate.openssl != nil, "needs the openssl command")) struct TLSTests {
    @Test func reachesAProviderWhoseCertificateIsTrusted() async throws {
        let certificate = try Certificate()
        let upstream = try await ScriptedUpstream(tls: certificate.context) { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port) { options in
            options.baseURL = "https://localhost:\(upstream.port)/v1"
            options.trustRootsFile = certificate.file.path
        }
        let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
        #expect(response.status == 200 && response.body == Wire.answer)
        #expect(try await gateway.onlyRecord().outcome == .complete)
        await gateway.stop()
    }

    /// A gateway is an OpenAI-compatible upstream like any other, so one can stand before another.
    @Test func servesClientsOverTLS() async throws {
        let certificate = try Certificate()
        let upstream = try await ScriptedUpstream { _, _ in
            [Wire.streamHead, Wire.chunk(Wire.delta("a")), Wire.chunk(Wire.done), Wire.end]
        }
        let inner = try await TestGateway(upstream: upstream.port) { options in
            options.settings.tls = .init(certificateFile: certificate.file.path, keyFile: certificate.key.path)
            options.settings.requireKeys = false
            options.settings.defaultRoute = RouteName("chat")
        }
        let outer = try await TestGateway(upstream: inner.port) { options in
            options.baseURL = "https://localhost:\(inner.port)/v1"
            options.trustRootsFile = certificate.file.path
        }
        let response = try await RawClient.ask(Wire.post(Wire.streamBody), port: outer.port)
        #expect(response.status == 200 && response.body == Wire.delta("a") + Wire.done)
        #expect(try await outer.onlyRecord().outcome == .complete)
        #expect(try await inner.onlyRecord().outcome == .complete)
        await outer.stop()
        await inner.stop()
    }

    @Test func refusesACertificateThatNobodyVouchesFor() async throws {
        let certificate = try Certificate()
        let upstream = try await ScriptedUpstream(tls: certificate.context) { _, _ in [Wire.response(Wire.answer)] }
        let gateway = try await TestGateway(upstream: upstream.port) {
            $0.baseURL = "https://localhost:\(upstream.port)/v1"
        }
        let response = try await RawClient.ask(Wire.post(Wire.body), port: gateway.port)
        #expect(response.status == 502 && response.body.contains("upstream_tls"))
        let record = try await gateway.onlyRecord()
        #expect(record.outcome == .upstreamError && record.error == .tls)
        #expect(upstream.requests.isEmpty)
        await gateway.stop()
    }
}
