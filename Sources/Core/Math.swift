#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Natural logarithm.
package func logarithm(_ x: Double) -> Double { log(x) }
package func exponential(_ x: Double) -> Double { exp(x) }
func cosine(_ x: Double) -> Double { cos(x) }
