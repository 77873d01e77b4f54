#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// CPU time of this process, all threads, user and system: what "on one core" means on a machine that others use too.
enum CPUClock {
    /// Seconds.
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
