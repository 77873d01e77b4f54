import Compression
import Core
package import Hummingbird
import NIOCore
package import Policy
import Synchronization
import Telemetry

/// `POST /v1/traces` of OTLP over HTTP: takes an export, in protobuf or JSON, and answers in kind.
///
/// Source of the answers: OpenTelemetry protocol specification 1.x, OTLP/HTTP.
package struct ExportEndpoint: HTTPResponder {
    package typealias Context = BasicRequestContext

    static let path = "/v1/traces"
    /// Exports in work at once; each may hold a body in memory.
    static let mostExports = 16

    let ingest: SpanIngest
    let settings: CollectorSettings.HTTP
    let hasher: KeyHasher
    private let open = Counter()

    package init(ingest: SpanIngest, settings: CollectorSettings.HTTP, hasher: KeyHasher) {
        self.ingest = ingest
        self.settings = settings
        self.hasher = hasher
    }

    package func respond(to request: Request, context: Context) async throws -> Response {
        let encoding = Self.encoding(of: request)
        do throws(ExportRefusal) {
            guard request.uri.path == Self.path else { throw .noSuchPath(request.uri.path) }
            guard request.method == .post else { throw .notAllowed }
            guard open.raise(to: Self.mostExports) else { throw .busy }
            defer { open.lower() }
            let key = try key(of: request)
            guard let encoding else { throw .contentType(request.headers[.contentType]) }
            let answer = try await answer(request, encoding, key)
            ingest.count(.stored, of: .http)
            return Self.response(.ok, answer.encoded(as: encoding), encoding)
        } catch {
            if let result = error.result { ingest.count(result, of: .http) }
            let body = ExportAnswer.status(code: error.code, message: error.message, as: encoding ?? .json)
            var response = Self.response(error.status, body, encoding ?? .json)
            if let header = error.header { response.headers[header.name] = header.value }
            return response
        }
    }

    private func answer(
        _ request: Request, _ encoding: TraceExport.Encoding, _ key: VirtualKey?
    ) async throws(ExportRefusal) -> ExportAnswer {
        do {
            try ingest.admit()
            let spans = try TraceExport.read(await body(of: request), as: encoding)
            let receipt = try await ingest.take(spans, from: .http, key: key)
            try await ingest.settle()
            return ExportAnswer(receipt)
        } catch let error as ExportRefusal {
            throw error
        } catch let error as SpanIngest.Refusal {
            throw .later(error)
        } catch let error as OTLPError {
            throw .export(error)
        } catch {
            throw .malformed("The body ended early.")
        }
    }

    private func body(of request: Request) async throws -> [UInt8] {
        let limit = settings.bodyBytes
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw ExportRefusal.tooLarge(limit)
        }
        let bytes = Array(buffer.readableBytesView)
        switch request.headers[.contentEncoding]?.lowercased() {
        case nil, "identity": return bytes
        case "gzip": break
        case let other?: throw ExportRefusal.contentEncoding(other)
        }
        do {
            return try Gzip.inflate(bytes, limit: limit)
        } catch {
            throw error == .tooLarge ? ExportRefusal.tooLarge(limit) : .malformed("The body is not gzip.")
        }
    }

    /// Who sends; `nil` where nobody is asked.
    private func key(of request: Request) throws(ExportRefusal) -> VirtualKey? {
        guard settings.auth == .keys else { return nil }
        guard let directory = ingest.directory else { throw .notReady }
        let parts = request.headers[.authorization]?.split(separator: " ", maxSplits: 1) ?? []
        guard parts.count == 2, parts[0].lowercased() == "bearer", parts[1].utf8.count <= 256 else {
            throw .unauthorized("An export needs a virtual key: Authorization: Bearer tt-…")
        }
        guard let key = directory.keys[hasher.digest(String(parts[1]))], key.revokedAt == nil else {
            throw .unauthorized("The key is not known or was revoked.")
        }
        return key
    }

    private static func encoding(of request: Request) -> TraceExport.Encoding? {
        let type = request.headers[.contentType]?.prefix { $0 != ";" && $0 != " " }.lowercased()
        return switch type {
        case "application/x-protobuf": .protobuf
        case "application/json": .json
        default: nil
        }
    }

    private static func response(
        _ status: HTTPResponse.Status, _ body: [UInt8], _ encoding: TraceExport.Encoding
    ) -> Response {
        let type = encoding == .json ? "application/json" : "application/x-protobuf"
        return Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }
}

extension ExportAnswer {
    /// Tells of the spans that were refused, by reason.
    init(_ receipt: SpanIngest.Receipt) {
        let reasons = receipt.rejections.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.value) of \($0.key.rawValue): \($0.key.summary)" }
        self.init(rejected: receipt.rejected, message: reasons.joined(separator: "; "))
    }
}

/// A count with a bound.
private final class Counter: Sendable {
    private let value = Mutex(0)

    func raise(to bound: Int) -> Bool {
        value.withLock { value in
            guard value < bound else { return false }
            value += 1
            return true
        }
    }

    func lower() { value.withLock { $0 -= 1 } }
}
