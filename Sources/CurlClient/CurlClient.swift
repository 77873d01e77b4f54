import BlockingExecutors
import CCurl
import Synchronization

/// Sends requests to other services, one at a time, on a thread of its own; connections are kept for the next one.
///
/// For what the control plane sends now and then. Redirects are not followed: a request with a signature or a key goes to
/// the address that was configured, and nowhere else. Proxies are taken from the environment, as by the `curl` command.
@safe package actor CurlClient {
    private nonisolated let executor = ThreadExecutor(name: "curl")
    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    /// Made with the first request. Only used on the actor's thread.
    private var handle: UnsafeMutableRawPointer?

    /// What libcurl sets up once for the whole process; later calls only count.
    private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    package init() {}

    isolated deinit {
        if let handle = unsafe handle { unsafe curl_easy_cleanup(handle) }
    }

    /// Sends a request and takes the whole answer, of any status.
    ///
    /// - Throws: `CurlError` when there is no answer; `CancellationError` when the task is cancelled, within a second.
    package func send(_ request: OutboundRequest) async throws -> OutboundResponse {
        let transfer = Transfer(limit: request.mostBytes)
        return try await withTaskCancellationHandler {
            try perform(request, transfer)
        } onCancel: {
            transfer.cancel()
        }
    }

    private func perform(_ request: OutboundRequest, _ transfer: Transfer) throws -> OutboundResponse {
        let curl = try unsafe opened()
        unsafe curl_easy_reset(curl)
        var headers: UnsafeMutablePointer<curl_slist>?
        defer { unsafe curl_slist_free_all(headers) }
        // Else a body of more than a MiB waits a second for "100 Continue".
        for line in ["expect:"] + request.headers.map({ "\($0.name): \($0.value)" }) {
            guard !line.contains(where: \.isNewline) else { throw CurlError("a header holds a line break") }
            unsafe headers = curl_slist_append(headers, line)
        }
        // libcurl copies what it is given here.
        try unsafe set(curl, CURLOPT_URL, request.url)
        try unsafe set(curl, CURLOPT_PROTOCOLS_STR, "http,https")
        try unsafe set(curl, CURLOPT_USERAGENT, "trimtab")
        if let file = request.trustRootsFile {
            try unsafe set(curl, CURLOPT_CAINFO, file)
            // Else the system's folder of certificates is trusted too.
            try check(unsafe trimtab_curl_set_pointer(curl, CURLOPT_CAPATH, nil))
        }
        try check(unsafe trimtab_curl_set_number(curl, CURLOPT_NOSIGNAL, 1))
        try check(unsafe trimtab_curl_set_number(curl, CURLOPT_NOPROGRESS, 0))
        try check(unsafe trimtab_curl_set_number(curl, CURLOPT_TIMEOUT_MS, request.timeoutMs))
        try check(unsafe trimtab_curl_set_pointer(curl, CURLOPT_HTTPHEADER, headers))
        let context = unsafe Unmanaged.passUnretained(transfer).toOpaque()
        try check(unsafe trimtab_curl_set_pointer(curl, CURLOPT_WRITEDATA, context))
        try check(unsafe trimtab_curl_set_write(curl, Transfer.write))
        try check(unsafe trimtab_curl_set_pointer(curl, CURLOPT_XFERINFODATA, context))
        try check(unsafe trimtab_curl_set_progress(curl, Transfer.progress))
        try check(unsafe trimtab_curl_set_number(curl, CURLOPT_POST, 1))
        try check(unsafe trimtab_curl_set_size(curl, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.count)))
        // An empty body is one, too: without any libcurl would read the standard input.
        let body = request.body.isEmpty ? [0] : request.body
        let taken = unsafe body.withUnsafeBytes {
            unsafe trimtab_curl_set_pointer(curl, CURLOPT_COPYPOSTFIELDS, $0.baseAddress)
        }
        try check(taken)
        let result = unsafe curl_easy_perform(curl)
        if Task.isCancelled { throw CancellationError() }
        guard result == CURLE_OK else { throw CurlError(result, isTooLong: transfer.isTooLong) }
        var status = 0
        try check(unsafe trimtab_curl_get_number(curl, CURLINFO_RESPONSE_CODE, &status))
        return OutboundResponse(status: status, body: transfer.body)
    }

    private func opened() throws(CurlError) -> UnsafeMutableRawPointer {
        if let handle = unsafe handle { return unsafe handle }
        guard Self.isReady, let opened = unsafe curl_easy_init() else { throw CurlError(CURLE_FAILED_INIT) }
        unsafe handle = opened
        return unsafe opened
    }

    private func set(_ curl: UnsafeMutableRawPointer, _ option: CURLoption, _ value: String) throws(CurlError) {
        try check(unsafe value.withCString { unsafe trimtab_curl_set_pointer(curl, option, $0) })
    }

    private func check(_ code: CURLcode) throws(CurlError) {
        guard code == CURLE_OK else { throw CurlError(code) }
    }
}

/// What libcurl's callbacks reach: they run on the client's thread, within `curl_easy_perform`.
private final class Transfer: Sendable {
    private struct State {
        var body: [UInt8] = []
        var isTooLong = false
    }

    private let limit: Int
    private let state = Mutex(State())
    private let isCancelled = Atomic(false)

    init(limit: Int) { self.limit = limit }

    var body: [UInt8] { state.withLock { $0.body } }
    var isTooLong: Bool { state.withLock { $0.isTooLong } }

    func cancel() { isCancelled.store(true, ordering: .relaxed) }

    /// Bytes taken: another number than was given ends the transfer.
    private func take(_ bytes: UnsafeRawBufferPointer) -> Int {
        state.withLock { state in
            guard state.body.count + bytes.count <= limit else {
                state.isTooLong = true
                return -1
            }
            unsafe state.body.append(contentsOf: bytes)
            return bytes.count
        }
    }

    static let write: curl_write_callback = { bytes, size, count, context in
        guard let bytes = unsafe bytes, let context = unsafe context else { return 0 }
        let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
        return unsafe transfer.take(UnsafeRawBufferPointer(start: bytes, count: size * count))
    }

    /// Called at least once a second, and ends the transfer by another answer than 0.
    static let progress: curl_xferinfo_callback = { context, _, _, _, _ in
        guard let context = unsafe context else { return 0 }
        let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
        return transfer.isCancelled.load(ordering: .relaxed) ? 1 : 0
    }
}
