import Core
import Foundation
import Gateway
import NIOSSL
import Telemetry
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

/// A self-signed certificate for `localhost` in a folder of its own.
final class Certificate {
    static let openssl = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    let folder: URL
    let file: URL
    let key: URL
    let context: NIOSSLContext

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("trimtab-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        (file, key) = (folder.appendingPathComponent("certificate.pem"), folder.appendingPathComponent("key.pem"))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.openssl))
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key.path, "-out",
            file.path,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        let chain = try NIOSSLCertificate.fromPEMFile(file.path).map { NIOSSLCertificateSource.certificate($0) }
        let configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: key.path, format: .pem)))
        context = try NIOSSLContext(configuration: configuration)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
