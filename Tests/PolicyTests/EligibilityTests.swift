import Core
import Foundation
import Policy
import Testing

@Suite struct EligibilityTests {
    private func request(
        key: String? = nil, headers: [String: String] = [:], tags: [String: String] = [:]
    ) throws -> RoutingRequest {
        var request = RoutingRequest(route: try #require(RouteName("chat")), id: UUIDv7(high: 0, low: 0), key: key)
        (request.headers, request.tags) = (headers, tags)
        return request
    }

    @Test func allPartsMustMatchAndOneOfTheKeys() throws {
        let eligibility = Eligibility(
            headers: ["x-team": "search*"], keys: ["beta-*", "ann"], tags: ["tier": "gold", "region": "*"])
        let (headers, tags) = (["x-team": "search-7"], ["tier": "gold", "region": "eu"])
        for key in ["beta-1", "ann"] {
            #expect(eligibility.admits(try request(key: key, headers: headers, tags: tags)))
        }
        #expect(!eligibility.admits(try request(key: "bob", headers: headers, tags: tags)))
        #expect(!eligibility.admits(try request(headers: headers, tags: tags)))
        #expect(!eligibility.admits(try request(key: "ann", tags: tags)))
        #expect(!eligibility.admits(try request(key: "ann", headers: ["x-team": "ads"], tags: tags)))
        // `*` asks for any value, but for one.
        #expect(!eligibility.admits(try request(key: "ann", headers: headers, tags: ["tier": "gold"])))
        #expect(Eligibility().admits(try request()))
    }

    @Test func aValueTooLongMatchesNothing() throws {
        let eligibility = Eligibility(headers: ["x-team": "*"])
        let longest = String(repeating: "a", count: Eligibility.longestValue)
        #expect(eligibility.admits(try request(headers: ["x-team": longest])))
        #expect(!eligibility.admits(try request(headers: ["x-team": longest + "a"])))
    }

    @Test func everyViolationNamesItsPlace() {
        var eligibility = Eligibility(
            headers: ["X-Team": "a", "authorization": "Bearer *", "x-empty": ""], keys: [""], tags: ["a=b": "x"])
        #expect(
            Set(eligibility.violations(at: "/e").map(\.pointer)) == [
                "/e/headers/X-Team", "/e/headers/authorization", "/e/headers/x-empty", "/e/keys/0", "/e/tags/a=b",
            ])
        eligibility = Eligibility(
            headers: Dictionary(uniqueKeysWithValues: (0...Eligibility.mostHeaders).map { ("x-\($0)", "*") }),
            keys: Array(repeating: "k", count: Eligibility.mostKeys + 1),
            tags: Dictionary(uniqueKeysWithValues: (0...RequestTags.most).map { ("t\($0)", "*") }))
        #expect(
            eligibility.violations().map(\.pointer) == [
                "/eligibility/headers", "/eligibility/keys", "/eligibility/tags",
            ])
        #expect(Eligibility(headers: ["x-team_2": "*"], keys: ["*"], tags: ["ä": "*"]).violations().isEmpty)
    }

    @Test(arguments: [
        ("a=b,c=d", ["a": "b", "c": "d"]), (" a = b ,\tc=d=e", ["a": "b", "c": "d=e"]), ("a=1,a=2", ["a": "2"]),
        ("a=", ["a": ""]), ("=b,c,,", [:]), ("", [:]), ("tier=göld", ["tier": "göld"]),
    ])
    func tagsAreReadAsPairs(_ text: String, _ expected: [String: String]) {
        var tags: [String: String] = [:]
        RequestTags.read(text, into: &tags)
        #expect(tags == expected)
    }

    @Test func tagsPastABoundAreLeftOut() {
        var tags: [String: String] = [:]
        let long = String(repeating: "n", count: RequestTags.longestName + 1)
        let value = String(repeating: "v", count: RequestTags.longestValue + 1)
        RequestTags.read("\(long)=x,a=\(value),b=1", into: &tags)
        #expect(tags == ["b": "1"])
        RequestTags.read((0..<100).map { "t\($0)=x" }.joined(separator: ","), into: &tags)
        #expect(tags.count == RequestTags.most && tags["t0"] == "x" && tags["t99"] == nil)
    }

    /// What an older build has written is read, and what this one writes comes back.
    @Test func pointersOfBeforeAreForEveryone() throws {
        let old = #"{"route":"chat","stable":1,"weight":0.5,"salt":7,"epoch":3}"#
        var pointer = try JSONDecoder().decode(RoutePointer.self, from: Data(old.utf8))
        #expect(pointer.eligibility == nil && pointer.mode == .split && pointer.weight == 0.5)
        (pointer.eligibility, pointer.mode) = (Eligibility(keys: ["beta-*"]), .mirror)
        #expect(try JSONDecoder().decode(RoutePointer.self, from: JSONEncoder().encode(pointer)) == pointer)
        let partial = try JSONDecoder().decode(Eligibility.self, from: Data(#"{"tags":{"tier":"gold"}}"#.utf8))
        #expect(partial == Eligibility(tags: ["tier": "gold"]))
    }
}
