import CCurl

/// Why there is no answer.
package struct CurlError: Error, Sendable, Equatable, CustomStringConvertible {
    /// libcurl's number for it; 0 where it was never asked.
    package let code: Int32
    package let description: String

    init(_ reason: String) {
        code = 0
        description = reason
    }

    init(_ code: CURLcode, isTooLong: Bool = false) {
        self.code = Int32(bitPattern: code.rawValue)
        description = isTooLong ? "the answer is too long" : unsafe String(cString: curl_easy_strerror(code))
    }
}
