package import StreamProcessing

extension [Trial] {
    /// Requests that were assigned by themselves, failures first, with their feedback behind them.
    ///
    /// - Parameters:
    ///   - costs: of the first answers, nano-dollars.
    ///   - quality: feedback on the first answers, 0...1.
    ///   - firstPair: of the first request, one more for each further one; `nil` for no pairs.
    package static func requests(
        _ count: Int64, failures: Int64 = 0, costs: [Int64] = [], quality: [Double] = [], at: Int64 = 0,
        firstPair: UInt32? = nil
    ) -> [Trial] {
        func pair(_ index: Int64) -> UInt32? { firstPair.map { $0 + UInt32(index) } }
        let requests = (0..<count).map { index in
            let cost = Int(index) < costs.count ? costs[Int(index)] : nil
            return Trial(
                at: at + index, pair: pair(index),
                .request(Trial.Answer(index < failures ? .failed : [], cost: cost)))
        }
        return requests
            + quality.enumerated().map { index, value in
                Trial(at: at + Int64(index), pair: pair(Int64(index)), .quality(value))
            }
    }
}

extension Trial {
    /// The parts of a request that failed or not; `nil` for feedback.
    package var answer: Answer? { if case .request(let answer) = observation { answer } else { nil } }
    package var qualityValue: Double? { if case .quality(let value) = observation { value } else { nil } }
}
