import Foundation
import Testing

/// The official `openai` Python client, from PyPI, against the running gateway.
@Suite(.serialized) struct OpenAIClientTests {
    static let version = "1.59.9"

    /// A virtual environment with the client; `nil` where it cannot be had.
    static let python = PythonEnvironment.interpreter(
        "openai-\(version)", packages: ["openai==\(version)", "httpx<0.28"], check: "import openai")

    @Test(.enabled(if: python != nil, "the openai package cannot be installed here"), .timeLimit(.minutes(2)))
    func listsChatsAndStreams() async throws {
        let folder = try ServiceProcess.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let demo = try ServiceProcess.demo(folder: folder, port: 18_280)
        defer { demo.kill() }
        try await demo.ready()
        let script = """
            import sys, openai
            client = openai.OpenAI(base_url="http://127.0.0.1:18280/v1", api_key=open(sys.argv[1] + "/demo.key").read().strip())
            print("models", [model.id for model in client.models.list()])
            raw = client.chat.completions.with_raw_response.create(
                model="support-chat", messages=[{"role": "user", "content": "Hello"}], user="ann")
            answer = raw.parse()
            print("chat", bool(answer.choices[0].message.content), answer.usage.total_tokens > 0)
            print("headers", sorted(h for h in raw.headers if h.startswith("x-trimtab") or h == "x-request-id"))
            pieces, usage = [], None
            for chunk in client.chat.completions.create(
                model="support-chat", messages=[{"role": "user", "content": "Hello"}], stream=True,
                stream_options={"include_usage": True}):
                usage = chunk.usage or usage
                pieces += [c.delta.content for c in chunk.choices if c.delta.content]
            print("stream", len("".join(pieces)) > 0, usage.total_tokens > 0)
            try:
                client.chat.completions.create(model="no-such-route", messages=[])
            except openai.NotFoundError as error:
                print("unknown", "support-chat" in str(error))
            """
        let interpreter = try #require(Self.python)
        let text = try await Wait.upTo(seconds: 30) { () -> String? in
            let text = try await Shell.run(interpreter, ["-c", script, folder])
            return text.contains("unknown") ? text : nil
        }
        #expect(
            text == """
                models ['support-chat']
                chat True True
                headers ['x-request-id', 'x-trimtab-arm', 'x-trimtab-cost-usd', 'x-trimtab-policy', 'x-trimtab-target']
                stream True True
                unknown True

                """)
    }
}
