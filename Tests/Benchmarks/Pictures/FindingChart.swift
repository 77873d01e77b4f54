import Analysis
import Core
import Foundation

/// Curves over time, what was expected of them, and what was said of them, as an SVG picture for light and dark pages.
struct FindingChart {
    struct Point {
        /// Milliseconds since the epoch.
        var at: Int64
        /// `nil` breaks the line.
        var value: Double?
    }

    struct Curve {
        var name: String
        var points: [Point]
        var isDashed = false
    }

    struct Band {
        var name: String
        var points: [(at: Int64, lower: Double, upper: Double)]
    }

    struct Mark {
        var at: Int64
        var value: Double
        var text: String
    }

    /// Curves of one unit, on an axis of their own.
    struct Panel {
        var unit: String
        var curves: [Curve]
        var band: Band?
        var marks: [Mark] = []
        var fromZero = true
    }

    var title: String
    /// Event time that is shown, milliseconds since the epoch.
    var span: Range<Int64>
    var panels: [Panel]
    var findings: [ToldFinding]

    private static let width = 900.0, left = 58.0, right = 886.0, rowHeight = 16.0, header = 17.0
    private static let mostRows = 6, mostLetters = 130
    private static let colours = ["#2e86ab", "#c9570c", "#3c8d53"]
    private static let colourOfSeverity: [Finding.Severity: String] = [
        .info: "#5b8def", .warning: "#e09f1f", .critical: "#d1495b",
    ]

    private var rows: [ToldFinding] { Array(findings.prefix(Self.mostRows)) }
    private var top: Double { 36 + Self.rowHeight * Double(rows.count) }
    private var height: Double { max(260, top + 186) }
    private var bottom: Double { height - 24 }

    var svg: String {
        let size = "0 0 \(Int(Self.width)) \(Int(height))"
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="\(size)" width="900" role="img" aria-label="\(escaped(title))">
            <style>
            text { font: 11px system-ui, sans-serif; fill: #333 } .title { font-size: 13px; font-weight: 600 }
            .soft { fill: #6b6b6b } .grid { stroke: #ddd } .back { fill: #fff } .line { fill: none; stroke-width: 1.3 }
            .dashed { stroke-dasharray: 4 3 } .band { fill: #888; fill-opacity: .3; stroke: #888; stroke-width: .8 }
            @media (prefers-color-scheme: dark) {
            text { fill: #ddd } .soft { fill: #a0a0a0 } .grid { stroke: #333 } .back { fill: #12161c } }
            </style>
            <rect class="back" width="100%" height="100%"/>
            <text class="title" x="8" y="18">\(escaped(title))</text>

            """
        for (index, finding) in rows.enumerated() { svg += row(finding, 26 + Self.rowHeight * Double(index)) }
        svg += timeAxis
        let step = (bottom - top) / Double(panels.count)
        for (index, panel) in panels.enumerated() {
            let from = top + step * Double(index)
            svg += draw(panel, top: from + Self.header, bottom: from + step - (index < panels.count - 1 ? 6 : 0))
        }
        return svg + "</svg>\n"
    }

    /// The statement, over the time it stood.
    private func row(_ finding: ToldFinding, _ y: Double) -> String {
        let from = x(max(finding.openedAt, span.lowerBound)), to = x(min(finding.closedAt ?? .max, span.upperBound))
        let colour = Self.colourOfSeverity[finding.severity] ?? "#888", width = text(max(2, to - from))
        var words = "\(finding.code): \(finding.statement)"
        if words.count > Self.mostLetters {
            words = words.prefix(Self.mostLetters).split(separator: " ").dropLast().joined(separator: " ") + " …"
        }
        return """
            <rect x="\(text(from))" y="\(text(y))" width="\(width)" height="13" fill="\(colour)" fill-opacity=".45"/>
            <rect x="\(text(from))" y="\(text(top))" width="\(width)" height="\(text(bottom - top))" \
            fill="\(colour)" fill-opacity=".12"/>
            <text x="8" y="\(text(y + 10))">\(escaped(words))\
            <title>\(escaped(finding.statement))</title></text>

            """
    }

    // MARK: Axes

    private static let hourMs: Int64 = 3_600_000, dayMs: Int64 = 86_400_000
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// At most a dozen times of the day or dates, UTC.
    private var timeAxis: String {
        let steps = [1, 2, 3, 6, 12, 24, 48, 72, 168].map { Int64($0) * Self.hourMs }
        let step = steps.first { (span.upperBound - span.lowerBound) / $0 <= 13 } ?? 28 * Self.dayMs
        // Whole days are counted from the first one shown.
        let origin = step > Self.dayMs ? span.lowerBound : span.lowerBound / step * step
        var svg = ""
        for at in stride(from: origin, to: span.upperBound, by: Int(step)) where at >= span.lowerBound {
            let place = text(x(at))
            svg += "<path class=\"grid\" d=\"M\(place) \(text(top))V\(text(bottom))\"/>\n"
            svg +=
                "<text class=\"soft\" x=\"\(place)\" y=\"\(text(bottom + 15))\" text-anchor=\"middle\">\(label(at))</text>\n"
        }
        return svg + "<text class=\"soft\" x=\"8\" y=\"\(text(bottom + 15))\">UTC</text>\n"
    }

    private func label(_ at: Int64) -> String {
        let date = CivilDate(milliseconds: at), hour = at % Self.dayMs / Self.hourMs
        if hour == 0 { return "\(date.day) \(Self.months[(date.month - 1) % 12])" }
        return hour < 10 ? "0\(hour):00" : "\(hour):00"
    }

    private func x(_ at: Int64) -> Double {
        let share = Double(at - span.lowerBound) / Double(span.upperBound - span.lowerBound)
        return Self.left + min(max(share, 0), 1) * (Self.right - Self.left)
    }

    /// From the least to the greatest value of a panel, with the round numbers between them.
    private func scale(_ panel: Panel) -> (low: Double, high: Double, ticks: [Double]) {
        var values = panel.curves.flatMap { $0.points.filter { isShown($0.at) }.compactMap(\.value) }
        for point in panel.band?.points ?? [] where isShown(point.at) { values += [point.lower, point.upper] }
        let least = values.min() ?? 0, most = max(values.max() ?? 1, least + 1e-9)
        let low = panel.fromZero ? 0 : least - 0.1 * (most - least), high = most + 0.05 * (most - low)
        let power = pow(10, floor(log10(high - low)))
        let step = [0.1, 0.2, 0.5, 1, 2].map { $0 * power }.first { (high - low) / $0 <= 5 } ?? 5 * power
        let first = Int((low / step).rounded(.up)), last = Int((high / step).rounded(.down))
        return (low, high, (first...max(first, last)).map { Double($0) * step })
    }

    private func isShown(_ at: Int64) -> Bool { span.contains(at) || at == span.upperBound }

    // MARK: Panels

    private func draw(_ panel: Panel, top: Double, bottom: Double) -> String {
        let (low, high, ticks) = scale(panel)
        func y(_ value: Double) -> Double { bottom - (value - low) / (high - low) * (bottom - top) }
        var svg = ""
        for tick in ticks {
            svg += "<path class=\"grid\" d=\"M\(text(Self.left)) \(text(y(tick)))H\(text(Self.right))\"/>\n"
            let number = tick == tick.rounded() ? tick.fixed(0) : tick.fixed(high < 0.5 ? 2 : high < 5 ? 2 : 1)
            svg +=
                "<text class=\"soft\" x=\"\(text(Self.left - 6))\" y=\"\(text(y(tick) + 4))\" text-anchor=\"end\">\(number)</text>\n"
        }
        if let band = panel.band {
            let shown = band.points.filter { isShown($0.at) }
            let outline =
                shown.map { "\(text(x($0.at))) \(text(y($0.upper)))" }
                + shown.reversed().map { "\(text(x($0.at))) \(text(y($0.lower)))" }
            svg += "<path class=\"band\" d=\"M\(outline.joined(separator: "L"))Z\"/>\n"
        }
        for (curve, colour) in zip(panel.curves, Self.colours) {
            svg +=
                "<path class=\"line\(curve.isDashed ? " dashed" : "")\" stroke=\"\(colour)\" d=\"\(path(curve, y))\"/>\n"
        }
        for mark in panel.marks {
            let (x, isLate) = (x(mark.at), x(mark.at) > Self.width / 2)
            svg += "<circle cx=\"\(text(x))\" cy=\"\(text(y(mark.value)))\" r=\"3\" fill=\"\(Self.colours[0])\"/>\n"
            svg += "<text x=\"\(text(isLate ? x - 8 : x + 8))\" y=\"\(text(y(mark.value) - 7))\""
            svg += " text-anchor=\"\(isLate ? "end" : "start")\">\(escaped(mark.text))</text>\n"
        }
        return svg + legend(panel, y: top - 5)
    }

    private func legend(_ panel: Panel, y: Double) -> String {
        var words =
            "<text x=\"\(text(Self.left))\" y=\"\(text(y))\"><tspan class=\"soft\">\(escaped(panel.unit)):</tspan>"
        for (curve, colour) in zip(panel.curves, Self.colours) {
            words += " <tspan fill=\"\(colour)\">\(curve.isDashed ? "╌" : "━")</tspan> \(escaped(curve.name))"
        }
        if let band = panel.band { words += " <tspan class=\"soft\">▒</tspan> \(escaped(band.name))" }
        return words + "</text>\n"
    }

    /// Of all points within two pixels the least and the greatest are drawn.
    private func path(_ curve: Curve, _ y: (Double) -> Double) -> String {
        var path = "", isPen = false, bucket: [(x: Double, y: Double)] = []
        func flush() {
            guard let high = bucket.indices.min(by: { bucket[$0].y < bucket[$1].y }),
                let low = bucket.indices.max(by: { bucket[$0].y < bucket[$1].y })
            else { return }
            for place in high == low ? [high] : [min(high, low), max(high, low)] {
                path += "\(isPen ? "L" : "M")\(text(bucket[place].x)) \(text(bucket[place].y))"
                isPen = true
            }
            bucket = []
        }
        for point in curve.points where isShown(point.at) {
            guard let value = point.value else {
                flush()
                isPen = false
                continue
            }
            let at = x(point.at)
            if let first = bucket.first, at - first.x >= 2 { flush() }
            bucket.append((at, y(value)))
        }
        flush()
        return path
    }

    private func text(_ value: Double) -> String {
        let text = value.fixed(1)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    private func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
    }
}
