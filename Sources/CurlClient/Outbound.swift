/// A `POST` to another service.
package struct OutboundRequest: Sendable {
    /// `http` or `https`.
    package var url: String
    /// In this order. One that holds a line break is refused when it is sent.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// For everything from looking up the name to the last byte.
    package var timeoutMs: Int
    /// Bytes of the answer's body; a longer one is an error.
    package var mostBytes: Int
    /// PEM file of certificate authorities to trust instead of the system's.
    package var trustRootsFile: String?

    package init(
        url: String, headers: [(name: String, value: String)] = [], body: [UInt8], timeoutMs: Int,
        mostBytes: Int = 64 << 10
    ) {
        self.url = url
        self.headers = headers
        self.body = body
        self.timeoutMs = timeoutMs
        self.mostBytes = mostBytes
    }
}

package struct OutboundResponse: Sendable {
    package var status: Int
    package var body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }
}
