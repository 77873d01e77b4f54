import ControlLoop
import Core
import Foundation
import FoundationNetworking
import Policy
import Synchronization
import Testing

@Suite struct Events {
    @Test func everyChangeReachesEveryReader() async throws {
        try await TestServer.run { server in
            let readers = try [EventReader(server), EventReader(server)]
            for reader in readers { try await reader.wait { $0.contains("event: reset") } }
            // The hub's own subscription comes up beside the first readers.
            while server.store.content.withLock({ $0.listeners.isEmpty }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            for kind in Change.Kind.allCases {
                server.store.tell(Change(kind: kind, route: RouteName("support-chat"), id: "x-\(kind)"))
            }
            for reader in readers {
                for kind in Change.Kind.allCases {
                    let line = #"data: {"id":"x-\#(kind)","kind":"\#(kind)","route":"support-chat"}"#
                    try await reader.wait { $0.contains("event: change\n" + line + "\n\n") }
                }
                reader.cancel()
            }
        }
    }
}

/// Collects an event stream's text.
private final class EventReader: NSObject, URLSessionDataDelegate, Sendable {
    private let text = Mutex("")
    private let session = Mutex<URLSession?>(nil)

    init(_ server: TestServer) throws {
        super.init()
        guard let url = URL(string: server.base + "/api/v1/events") else { throw URLError(.badURL) }
        var request = URLRequest(url: url)
        request.setValue("Bearer \(server.tokens[.viewer] ?? "")", forHTTPHeaderField: "Authorization")
        let session = URLSession(configuration: .ephemeral, delegate: self, delegateQueue: nil)
        self.session.withLock { $0 = session }
        session.dataTask(with: request).resume()
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        text.withLock { $0 += String(decoding: data, as: UTF8.self) }
    }

    func cancel() { session.withLock { $0?.invalidateAndCancel() } }

    func wait(_ condition: (String) -> Bool) async throws {
        for _ in 0..<2_000 {
            if condition(text.withLock { $0 }) { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("The stream did not say it: \(text.withLock { $0 })")
    }
}
