import NIOCore

/// Who sends a request over an upstream connection and takes the answer: a user's exchange, or a copy of it.
protocol UpstreamUser: AnyObject {
    /// Its place among those that wait for a connection; `nil` once it waits no longer.
    var ticket: Int? { get }
    func connected(_ connection: UpstreamConnection)
    /// No connection could be had.
    func attemptFailed(_ failure: UpstreamFailure)
    func upstreamHead(_ head: HTTPHead)
    func upstreamBody(_ bytes: ByteBuffer)
    func upstreamReadComplete()
    func upstreamEnded()
    /// The connection has broken.
    func upstreamFailed(_ failure: UpstreamFailure, _ connection: UpstreamConnection)
}
