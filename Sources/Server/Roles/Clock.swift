import Foundation

/// Milliseconds since the epoch. Only `Server` reads the clock for the control plane.
func currentMilliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
