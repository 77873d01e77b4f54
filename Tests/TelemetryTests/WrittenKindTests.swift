import Core
import Telemetry
import Testing

/// What a reader of Kafka takes for the kind of an event without reading the record's header.
@Suite struct WrittenKindTests {
    private func kind(_ bytes: some Collection<UInt8>) -> LogEvent.Kind? {
        Array(bytes).withUnsafeBytes { unsafe LogEvent.Kind(written: $0) }
    }

    @Test(
        "What the encoder writes tells its kind, numbered or not, and each of its beginnings the same or nothing",
        arguments: [1, 2, 3] as [UInt64])
    func written(seed: UInt64) {
        var events = RandomEvents(seed: seed)
        for number in 0..<300 {
            let event = events.next()
            var bytes: [UInt8] = []
            EventEncoder.encode(event, as: .init(producer: "gw-7f3a/12", seq: Int64(number)), into: &bytes)
            #expect(kind(bytes) == event.kind)
            for length in 0..<min(bytes.count, 150) {
                #expect([nil, event.kind].contains(kind(bytes.prefix(length))))
            }
            bytes = []
            EventEncoder.encode(event, as: .init(producer: "", seq: 0), into: &bytes)
            #expect(kind(bytes) == event.kind)
        }
    }

    @Test(
        "Another's form tells nothing, so that its header decides",
        arguments: [
            "", "{", "null", #"{"v":1}"#, #"{"v":1,"id":""#, #"{"v":1,"id":"ID"}"#, #"{"v":2,"id":"ID","at":1}"#,
            #"{"v":1,"id":"a","at":1}"#, #"{"v":1,"id":"ID0","at":1}"#, #"{"id":"ID","v":1,"at":1}"#,
            #"{"v":1,"id":"ID", "at":1}"#, #"{"v":1,"id":"ID","name":"x","request":"b"}"#,
            #"{"v":1,"id":"ID\"","at":1}"#, #"{"v":1,"id":"ID","producer":"b\"","seq":1,"at":1}"#,
            #"{"v":1,"id":"ID","seq":-1,"at":1}"#, #"{"v":1,"id":"ID","producer":"b","#,
            #"{"v":1,"id":"ID","producer":""#, #"{"v":1,"id":"ID","producer":"b"#,
        ])
    func others(text: String) {
        let id = UUIDv7(high: 7, low: 7).description
        #expect(kind(text.replacing("ID", with: id).utf8) == nil)
        #expect(kind(#"{"v":1,"id":"\#(id)","at":1}"#.utf8) == .request)
    }
}
