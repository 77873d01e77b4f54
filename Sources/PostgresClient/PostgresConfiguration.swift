/// Where a server is and how long to wait for it.
package struct PostgresConfiguration: Sendable, Equatable {
    /// A `postgresql://…` URL or libpq's `key=value` form.
    package var url: String
    /// Shown in `pg_stat_activity`.
    package var applicationName: String
    package var connectTimeoutSeconds = 5
    /// The server ends any statement that takes longer; milliseconds, 0 for no limit.
    package var statementTimeoutMs = 30_000
    /// The server ends a connection that leaves a transaction open and idle for longer; milliseconds.
    package var idleTransactionTimeoutMs = 60_000

    package init(url: String, applicationName: String = "trimtab") {
        self.url = url
        self.applicationName = applicationName
    }
}
