/// How unlike everything before it the recent course of a series is.
///
/// The course is described by what lies between means over 3, 9, 27, 81 and 243 points, and the longest of them, each
/// in units of its own range: bands as of a wavelet transform. Descriptions that are unlike all known ones become known
/// ones themselves (leader clustering: Hartigan, "Clustering Algorithms", 1975, chapter 3); the novelty is the distance
/// to the nearest. A point takes the time of `capacity` distances, whatever the length of the series.
struct PatternNovelty: Codable, Sendable, Equatable {
    typealias Course = SIMD8<Double>
    /// Courses remembered; the one met longest ago gives way.
    static let capacity = 24
    /// Share of the record from which on a course is a new one.
    private static let newness = 0.5
    private static let bands = 5
    /// Of the newest point in each mean.
    private static let weights = Course(1.0 / 3, 1.0 / 9, 1.0 / 27, 1.0 / 81, 1.0 / 243, 0, 0, 0)

    private struct Leader: Sendable, Equatable {
        var course: SIMD8<Float>
        var metAt: Int64

        init(_ course: Course, metAt: Int64) {
            self.course = SIMD8()
            for lane in course.indices { self.course[lane] = Float(bounded: course[lane]) }
            self.metAt = metAt
        }
    }

    /// Written down without the lanes that are not used.
    private struct Leaders: Codable, Sendable, Equatable {
        private static let lanes = PatternNovelty.bands + 1
        var all: [Leader] = []

        init() {}

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            let values = try container.decode(PackedFloats.self, forKey: .courses).values
            let metAt = try container.decode([Int64].self, forKey: .metAt)
            guard values.count == metAt.count * Self.lanes, metAt.count <= PatternNovelty.capacity else {
                throw DecodingError.dataCorruptedError(
                    forKey: .courses, in: container, debugDescription: "as many courses as times are needed")
            }
            all = metAt.enumerated().map { index, metAt in
                var course = Course(repeating: 0)
                for lane in 0..<Self.lanes { course[lane] = Double(values[index * Self.lanes + lane]) }
                return Leader(course, metAt: metAt)
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            let values = all.flatMap { leader in (0..<Self.lanes).map { leader.course[$0] } }
            try container.encode(PackedFloats(values), forKey: .courses)
            try container.encode(all.map(\.metAt), forKey: .metAt)
        }

        enum CodingKeys: String, CodingKey { case courses, metAt }
    }

    private var means = Course(repeating: 0)
    private var count: Int64 = 0
    private var range: FadingRange<Course>?
    private var leaders = Leaders()
    private var record = DecayedRecord()

    /// The mean of about the last three points.
    var shortMean: Double { means[0] }

    /// - Parameter missing: points that did not come before this one; the means forget as if they had.
    /// - Returns: the distance to the nearest known course as a share of the greatest so far.
    mutating func add(_ value: Double, missing: Int = 0) -> Double {
        count += 1
        let course = course(value, missing: missing)
        if count > 1 { if range == nil { range = FadingRange(course) } else { range?.add(course) } }
        guard let range else {
            leaders.all.append(Leader(course, metAt: count))
            return 0
        }
        let (nearest, distance) = nearest(to: course, unit: unit(range.width, value))
        let limit = Self.newness * record.highest
        let ratio = record.ratio(distance)
        if distance <= limit {
            leaders.all[nearest].metAt = count
        } else if leaders.all.count < Self.capacity {
            leaders.all.append(Leader(course, metAt: count))
        } else if let oldest = leaders.all.indices.min(by: { leaders.all[$0].metAt < leaders.all[$1].metAt }) {
            leaders.all[oldest] = Leader(course, metAt: count)
        }
        return ratio
    }

    private mutating func course(_ value: Double, missing: Int) -> Course {
        var weights = pointwiseMax(Self.weights, Course(repeating: 1 / Double(count)))
        for _ in 0..<min(missing, 1_000) { weights += (1 - weights) * Self.weights }
        means += weights * (value - means)
        var course = Course(repeating: 0)
        var shorter = value
        for band in 0..<Self.bands {
            course[band] = shorter - means[band]
            shorter = means[band]
        }
        course[Self.bands] = shorter
        return course
    }

    /// One over each band's range; 0 where that is a millionth of the value or less, and what happens in it no news.
    private func unit(_ width: Course, _ value: Double) -> Course {
        let least = Course(repeating: max(1e-6 * max(abs(value), abs(means[Self.bands - 1])), 1e-300))
        return (1 / width).replacing(with: 0, where: width .<= least)
    }

    private func nearest(to course: Course, unit: Course) -> (index: Int, distance: Double) {
        var nearest = 0, least = Double.infinity
        for index in leaders.all.indices {
            let apart = (course - Course(leaders.all[index].course)) * unit
            let squared = (apart * apart).sum()
            if squared < least { (nearest, least) = (index, squared) }
        }
        return (nearest, least.squareRoot())
    }
}
