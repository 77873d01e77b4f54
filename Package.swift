// swift-tools-version: 6.2
import PackageDescription

// One set of rules for every target of ours: Swift 6, no silent existentials or imports, and no warning left standing.
let rules: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]
// Targets that touch C: every unsafe operation must be spelled `unsafe`, so that an audit is one search.
let cRules = rules + [.strictMemorySafety()]

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
]
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

// For a target whose objects belong to one owner and call nobody back: the checks at run time that no two accesses to them
// overlap find nothing, and cost a tenth of the time. What the compiler can check it still does.
let ownedByOne = ["-enforce-exclusivity=unchecked"]

func ours(
    _ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil, flags: [String] = []
) -> Target {
    let settings = flags.isEmpty ? rules : rules + [.unsafeFlags(flags)]
    return .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}
func wrapper(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: cRules)
}
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestSupport"], resources: resources, swiftSettings: rules)
}

let package = Package(
    name: "trimtab",
    products: [.executable(name: "trimtab", targets: ["trimtab"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    ],
    targets: [
        // C libraries, from Debian's packages.
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CSimdJSON", cxxSettings: [.unsafeFlags(["-O3"])], linkerSettings: [.linkedLibrary("simdjson")]),

        // Base.
        ours("Core"),
        ours("Statistics"),
        ours("BlockingExecutors"),

        // Wrappers: the only places that call C.
        wrapper("PostgresClient", ["CPostgres", "BlockingExecutors"]),
        wrapper("KafkaClient", ["CKafka", "BlockingExecutors"]),
        wrapper("CurlClient", ["CCurl", "BlockingExecutors"]),
        wrapper("Compression", ["CZlib"]),

        // Schemas.
        wrapper("Telemetry", ["Core", "CSimdJSON"]),
        ours("Policy", ["Core", crypto]),

        // Pure logic: no I/O, no clock, no global state.
        ours("StreamProcessing", ["Core", "Telemetry", "Statistics"], flags: ownedByOne),
        ours("Analysis", ["Core", "Telemetry", "Statistics", "StreamProcessing"]),
        ours("Decisions", ["Core", "Statistics", "Analysis", "StreamProcessing", "Policy"]),
        ours("Rollouts", ["Core", "Statistics", "Policy", "StreamProcessing"]),
        ours("ControlLoop", ["Core", "Telemetry", "Statistics", "StreamProcessing", "Policy", "Analysis", "Decisions", "Rollouts"]),

        // Edges.
        ours("Gateway", ["Core", "Telemetry", "Policy", "Statistics", logging, .product(name: "NIOTLS", package: "swift-nio")] + nio),
        ours("EventLog", ["Core", "Telemetry", "KafkaClient", "BlockingExecutors", grdb, logging]),
        ours("Collectors", ["Core", "Telemetry", "Policy", "EventLog", "KafkaClient", "Compression", hummingbird, .product(name: "NIOCore", package: "swift-nio"), logging, lifecycle]),
        ours("StateStore", ["Core", "Telemetry", "Policy", "Statistics", "StreamProcessing", "Analysis", "Decisions", "Rollouts", "ControlLoop", "PostgresClient", crypto, logging], resources: [.embedInCode("Migrations")]),
        ours("Observability", ["Core", logging]),
        ours("ControlAPI", ["Core", "Telemetry", "Policy", "Statistics", "StreamProcessing", "Analysis", "Decisions", "Rollouts", "ControlLoop", hummingbird, .product(name: "NIOCore", package: "swift-nio"), logging, lifecycle], resources: [.embedInCode("Console")]),
        ours("Simulation", ["Core", "Telemetry", "Policy", "Statistics", "StreamProcessing", "Analysis", "Decisions", "Rollouts", "ControlLoop", "Gateway", logging] + nio),

        // Assembly.
        ours("Server", ["Core", "Telemetry", "Policy", "Statistics", "StreamProcessing", "Analysis", "Decisions", "Rollouts", "ControlLoop", "Gateway", "EventLog", "StateStore", "Observability", "ControlAPI", "Collectors", "Simulation", "PostgresClient", "KafkaClient", "CurlClient", "BlockingExecutors", yams, lifecycle, .product(name: "UnixSignals", package: "swift-service-lifecycle"), hummingbird, logging, crypto] + nio),
        .executableTarget(name: "trimtab", dependencies: ["Server", "Simulation", "Core", arguments, yams] + nio, swiftSettings: rules),

        // Tests and benchmarks.
        .target(
            name: "TestSupport",
            dependencies: ["Core", "PostgresClient", "KafkaClient", "CKafka", "Statistics", "StreamProcessing", "Telemetry"] + nio,
            path: "Tests/TestSupport",
            swiftSettings: rules),
        // Rules of other products and the traffic all rules are judged on: apart from the benchmarks, to be tested.
        .target(
            name: "RolloutComparison", dependencies: ["Core", "Statistics", "Policy", "StreamProcessing", "Telemetry", "Rollouts"], path: "Tests/Benchmarks/Rivals",
            swiftSettings: rules),
        .executableTarget(
            name: "trimtab-bench",
            dependencies: ["Core", "Statistics", "Telemetry", "StreamProcessing", "EventLog", "Policy", "Analysis", "Decisions", "Rollouts", "ControlLoop", "Simulation", "StateStore", "PostgresClient", "CKafka", "KafkaClient", "BlockingExecutors", "Server", "TestSupport", "RolloutComparison"],
            path: "Tests/Benchmarks", exclude: ["Peers", "Rivals"], swiftSettings: rules),
        tests("CoreTests", ["Core"]),
        tests("StatisticsTests", ["Statistics", "Core"]),
        tests("PolicyTests", ["Policy", "Core"]),
        tests("TelemetryTests", ["Telemetry", "Core"]),
        tests("StreamProcessingTests", ["StreamProcessing", "Telemetry", "Statistics", "Core"]),
        tests("PostgresClientTests", ["PostgresClient"]),
        tests("StateStoreTests", ["StateStore", logging, "ControlLoop", "PostgresClient", "Core", "Policy", "Telemetry", "Statistics", "StreamProcessing", "Analysis", "Decisions", "Rollouts"]),
        tests("KafkaClientTests", ["KafkaClient"]),
        tests("CurlClientTests", ["CurlClient"] + nio),
        tests("EventLogTests", ["EventLog", "KafkaClient", "Telemetry", "Core", grdb]),
        tests("CollectorsTests", ["Collectors", "EventLog", "KafkaClient", "Compression", "Telemetry", "Policy", "Core", logging, lifecycle, hummingbird]),
        tests("AnalysisTests", ["Analysis", "Statistics", "StreamProcessing", "Telemetry", "Core"]),
        tests("DecisionsTests", ["Decisions", "Analysis", "Statistics", "Policy", "Core"]),
        tests("RolloutsTests", ["Rollouts", "Statistics", "StreamProcessing", "Policy", "Core"]),
        tests("RolloutComparisonTests", ["RolloutComparison", "Statistics", "Core"]),
        tests("ControlLoopTests", ["ControlLoop", "Rollouts", "Decisions", "Analysis", "Statistics", "StreamProcessing", "Policy", "Core"]),
        tests("GatewayTests", ["Gateway", "Simulation", "Policy", "Statistics", "Telemetry", "Core", logging] + nio),
        tests("SimulationTests", ["Simulation", "Gateway", "ControlLoop", "Analysis", "Rollouts", "Statistics", "StreamProcessing", "Policy", "Telemetry", "Core", yams] + nio),
        tests("ControlAPITests", ["ControlAPI", "ControlLoop", "Rollouts", "Decisions", "Analysis", "Statistics", "StreamProcessing", "Telemetry", "Policy", "Core", logging, lifecycle, hummingbird]),
        tests("ObservabilityTests", ["Observability", "Core", logging]),
        tests("ServerTests", ["Server", "Analysis", "CurlClient", "Collectors", "Observability", "PostgresClient", "Simulation", "Gateway", "EventLog", "StateStore", "StreamProcessing", "Rollouts", "ControlLoop", "Policy", "Telemetry", "Core", logging] + nio),
        tests("StyleTests", []),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
