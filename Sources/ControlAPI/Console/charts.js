// Small charts, drawn as SVG by hand: lines over time with marks where policies changed, and the front.

const space = "http://www.w3.org/2000/svg";

export function s(tag, attributes = {}, ...children) {
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** About `count` round values within [low, high]. */
export function ticks(low, high, count = 2) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

const clock = (at, span) => new Date(at).toLocaleString([], span > 86400000
  ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/**
 * Lines over time.
 *
 * series: [{key, label, role: "total"|"stable"|"candidate"|"old", points: [[time, value|null]]}]
 * marks: [{at, kind, label}]; from, to: milliseconds; zero: whether the axis starts at 0.
 */
export function lines({ width, height = 132, series, marks, from, to, zero, ceiling, format, label, onPoint }) {
  const box = { left: 0, right: 30, top: 14, bottom: 16 };
  const values = series.flatMap((one) => one.points.map((point) => point[1])).filter((value) => value !== null);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, tabindex: 0 });
  if (!values.length) return svg;
  let low = zero ? 0 : Math.min(...values), high = Math.max(...values);
  const pad = (high - low) * 0.12 || Math.abs(high) * 0.1 || 1;
  high = Math.min(high + pad, ceiling ?? Infinity);
  if (!zero) low = Math.max(0, low - pad);
  if (high <= low) high = low + pad;
  const x = (at) => box.left + ((at - from) / (to - from)) * (width - box.left - box.right);
  const y = (value) => height - box.bottom - ((value - low) / (high - low)) * (height - box.top - box.bottom);

  const scale = s("g");
  for (const tick of ticks(low, high)) {
    svg.append(s("line", { class: "grid", x1: 0, x2: width - box.right, y1: y(tick), y2: y(tick) }));
    scale.append(s("text", { class: "tick", x: 0, y: y(tick) - 3 }, format(tick)));
  }
  svg.append(s("text", { x: 0, y: height - 3 }, clock(from, to - from)));
  svg.append(s("text", { x: width - box.right, y: height - 3, "text-anchor": "end" }, clock(to, to - from)));
  let labelled = -Infinity;
  for (const mark of marks) {
    if (mark.at < from || mark.at > to) continue;
    const at = x(mark.at);
    const line = s("line", { class: `mark ${mark.kind}`, x1: at, x2: at, y1: 10, y2: height - box.bottom });
    line.append(s("title", {}, mark.title));
    svg.append(line);
    if (at - labelled < 26) continue;
    svg.append(s("text", { x: Math.min(at + 3, width - box.right - 18), y: 9 }, mark.label));
    labelled = at;
  }
  const ends = [];
  for (const one of series) {
    let path = "", open = false, last = null;
    for (const [at, value] of one.points) {
      if (value === null) { open = false; continue; }
      path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
      last = [x(at), y(value)];
    }
    if (!last) continue;
    const kind = one.role === "total" ? "total" : `line s-${one.role}`;
    svg.append(s("path", { class: kind, d: path, "stroke-linejoin": "round" }));
    if (one.role !== "total") {
      svg.append(s("circle", { class: `dot s-${one.role}`, cx: last[0], cy: last[1], r: 2 }));
      ends.push({ role: one.role, label: one.label, x: last[0], y: last[1] });
    }
  }
  svg.append(scale);
  labelEnds(svg, ends, height - box.bottom);
  if (onPoint) follow(svg, { x, from, to, width, height, box, series, onPoint });
  return svg;
}

/** Names the lines at their ends, moved apart where they would cover each other. */
function labelEnds(svg, ends, bottom) {
  ends.sort((a, b) => a.y - b.y);
  let last = -Infinity;
  for (const end of ends) {
    const at = Math.min(Math.max(end.y + 4, last + 12), bottom + 4);
    svg.append(s("text", { class: `tag s-${end.role}`, x: end.x + 5, y: at }, end.label));
    last = at;
  }
}

/** A cross hair under the pointer or, with the arrow keys, from step to step. */
function follow(svg, { x, from, to, width, height, box, series, onPoint }) {
  const times = [...new Set(series.flatMap((one) => one.points.map((point) => point[0])))].sort((a, b) => a - b);
  const cross = s("line", { class: "cross", y1: box.top, y2: height - box.bottom, visibility: "hidden" });
  svg.append(cross);
  let index = times.length - 1;
  const show = () => {
    cross.setAttribute("x1", x(times[index]));
    cross.setAttribute("x2", x(times[index]));
    cross.setAttribute("visibility", "visible");
    onPoint(times[index]);
  };
  const hide = () => {
    cross.setAttribute("visibility", "hidden");
    onPoint(null);
  };
  svg.addEventListener("pointermove", (event) => {
    const share = (event.offsetX / svg.clientWidth) * width;
    const at = from + ((share - box.left) / (width - box.left - box.right)) * (to - from);
    index = times.reduce((best, time, n) => (Math.abs(time - at) < Math.abs(times[best] - at) ? n : best), 0);
    show();
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    index = Math.min(times.length - 1, Math.max(0, index + move));
    show();
  });
}

/** Cost against quality with intervals. points: [{name, quality, cost, onFront, chosen, current}] */
export function front({ width, height = 300, points, label }) {
  const box = { left: 44, right: 16, top: 16, bottom: 34 };
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  const costs = points.flatMap((point) => [point.cost.lower, point.cost.upper]).filter((value) => value > 0);
  const qualities = points.flatMap((point) => [point.quality.lower, point.quality.upper]);
  const logarithmic = Math.max(...costs) / Math.min(...costs) > 12;
  const scale = logarithmic ? Math.log10 : (value) => value;
  const floor = Math.min(...costs);
  const place = (value) => scale(Math.max(value, logarithmic ? floor : 0));
  let [left, right] = [place(Math.min(...costs)), place(Math.max(...costs))];
  let [low, high] = [Math.min(...qualities), Math.max(...qualities)];
  const padX = (right - left) * 0.08 || 0.1, padY = (high - low) * 0.1 || 0.01;
  [left, right, low, high] = [left - padX, right + padX, Math.max(0, low - padY), Math.min(1, high + padY)];
  if (!logarithmic) left = Math.max(0, left);
  const x = (value) => box.left + ((place(value) - left) / (right - left)) * (width - box.left - box.right);
  const y = (value) => height - box.bottom - ((value - low) / (high - low)) * (height - box.top - box.bottom);

  for (const tick of ticks(low, high, 4)) {
    svg.append(s("line", { class: "grid", x1: box.left, x2: width - box.right, y1: y(tick), y2: y(tick) }));
    svg.append(s("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(2)));
  }
  const marks = logarithmic
    ? [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].filter((n) => scale(n) >= left && scale(n) <= right)
    : ticks(left, right, 4);
  for (const mark of marks) {
    svg.append(s("text", { x: x(mark), y: height - 18, "text-anchor": "middle" }, `$${+mark.toPrecision(2)}`));
  }
  svg.append(s("text", { x: width - box.right, y: height - 3, "text-anchor": "end" },
    `USD per 1,000 requests${logarithmic ? " (log scale)" : ""} →`));
  svg.append(s("text", { x: 0, y: 10 }, "quality ↑"));

  const hull = points.filter((point) => point.onFront).sort((a, b) => a.cost.estimate - b.cost.estimate);
  if (hull.length > 1) {
    const path = hull.map((point, n) => (n
      ? `H${x(point.cost.estimate).toFixed(1)}V${y(point.quality.estimate).toFixed(1)}`
      : `M${x(point.cost.estimate).toFixed(1)} ${y(point.quality.estimate).toFixed(1)}`)).join("");
    svg.append(s("path", { class: "hull", d: path }));
  }
  for (const point of points) {
    const [cx, cy] = [x(point.cost.estimate), y(point.quality.estimate)];
    svg.append(s("line", { class: "whisker", x1: x(point.cost.lower), x2: x(point.cost.upper), y1: cy, y2: cy }));
    svg.append(s("line", { class: "whisker", x1: cx, x2: cx, y1: y(point.quality.lower), y2: y(point.quality.upper) }));
    const kind = point.chosen ? "point chosen" : point.onFront ? "point on" : "point";
    svg.append(s("circle", { class: kind, cx, cy, r: 4.5 }, s("title", {}, point.title)));
    if (point.current) svg.append(s("circle", { class: "ring", cx, cy, r: 8 }));
    const toLeft = cx > width * 0.6;
    svg.append(s("text", { class: "name", x: toLeft ? cx - 11 : cx + 11, y: cy - 7,
      "text-anchor": toLeft ? "end" : "start" }, point.name + (point.current ? " (now)" : "")));
  }
  return svg;
}
