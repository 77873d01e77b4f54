import Core
package import Foundation
package import NIOSSL

/// A self-signed certificate for `localhost` in a folder of its own.
package final class Certificate {
    package static let openssl = ["/usr/bin/openssl", "/usr/local/bin/openssl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    let folder: URL
    package let file: URL
    package let key: URL
    package let context: NIOSSLContext

    /// - Throws: `TrimtabError` where there is no `openssl`, and what reading its files throws.
    package init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("trimtab-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        (file, key) = (folder.appendingPathComponent("certificate.pem"), folder.appendingPathComponent("key.pem"))
        let process = Process()
        guard let openssl = Self.openssl else {
            throw TrimtabError("test.openssl", "There is no openssl.", remedy: "apt-get install openssl")
        }
        process.executableURL = URL(fileURLWithPath: openssl)
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
