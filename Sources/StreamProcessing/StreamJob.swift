/// What names the state of a stream in the store.
package enum StreamJob {
    /// Jobs with this prefix count a past range again; their results stand apart from those of live traffic.
    package static let backfillPrefix = "backfill-"
}
