/// A quantile sketch with relative error (Masson, Rim, Lee, VLDB 2019).
package struct DDSketch: Sendable, Equatable {
    package init() {}
}
