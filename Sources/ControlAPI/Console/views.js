// The parts of the page: each takes data and gives nodes. Text only ever becomes text, never markup.

import { front, lines, s } from "./charts.js";

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const format = {
  usd: (value) => (value === null || value === undefined ? "unknown" : value === 0 ? "$0"
    : `$${value >= 100 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(2) : value.toPrecision(2)}`),
  ms: (value) => (value === null || value === undefined ? "–"
    : value >= 10000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`),
  quality: (value) => (value === null || value === undefined ? "–" : value.toFixed(3)),
  count: (value) => new Intl.NumberFormat().format(Math.round(value)),
  rate: (value) => (value === null || value === undefined ? "–" : value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)),
  percent: (value) => (value === null || value === undefined ? "–"
    : `${+(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`),
  time: (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  full: (at) => new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" }),
  since: (ms) => (ms < 90000 ? `${Math.max(0, Math.round(ms / 1000))} s` : ms < 5400000 ? `${Math.round(ms / 60000)} min`
    : `${(ms / 3600000).toFixed(1)} h`),
};

const metrics = [
  { key: "rate", title: "Requests per second", zero: true, format: format.rate, unit: "/s" },
  { key: "cost_per_1000_usd", title: "Cost per 1,000 requests", zero: true, format: format.usd, unit: "" },
  { key: "latency_p95_ms", title: "Latency, 95th percentile", zero: true, format: format.ms, unit: "" },
  { key: "quality", title: "Quality of answers", zero: false, ceiling: 1, format: format.quality, unit: "" },
];

const valueOf = (figures, key, step) => (key === "rate"
  ? figures.requests / (step / 1000) : figures[key] ?? null);

/** stable and candidate as they are now; every other version is history. */
const roleOf = (policy, pointer) => (policy === pointer.stable ? "stable"
  : policy === pointer.candidate ? "candidate" : "old");

export function rolloutMarks(rollouts) {
  return rollouts.flatMap((rollout) => {
    const found = [{ at: rollout.created_at, kind: "started", label: `v${rollout.candidate}?`,
      title: `Rollout of v${rollout.candidate} began` }];
    if (rollout.ended_at) {
      const won = rollout.state === "promoted";
      found.push({ at: rollout.ended_at, kind: won ? "promoted" : "ended",
        label: won ? `v${rollout.candidate}` : `v${rollout.stable}`,
        title: won ? `v${rollout.candidate} became stable` : `v${rollout.candidate}: ${rollout.detail}` });
    }
    return found;
  }).sort((a, b) => a.at - b.at);
}

export function charts(container, data) {
  const { series, route, rollouts } = data;
  const marks = rolloutMarks(rollouts);
  // The newest step is still filling; a rate over it would seem to fall.
  const items = series.items.filter((item) => item.end <= series.to);
  const versions = [...new Set(items.flatMap((item) => item.policies.map((one) => one.policy)))];
  const shown = versions.sort((a, b) => a - b).slice(-6);
  const nodes = metrics.map((metric) => {
    const now = h("p", { class: "now" });
    const by = h("p", { class: "by" });
    const all = [{ key: "total", role: "total", label: "all",
      points: items.map((item) => [item.start, valueOf(item, metric.key, series.step_ms)]) }];
    if (versions.length > 1 || metric.key !== "rate") {
      for (const version of shown) {
        const points = items.map((item) => {
          const own = item.policies.find((one) => one.policy === version);
          return [item.start, own ? valueOf(own, metric.key, series.step_ms) : null];
        });
        if (versions.length > 1) all.push({ key: version, role: roleOf(version, route.pointer), label: `v${version}`, points });
      }
    }
    const show = (at) => {
      const item = at === null ? items.at(-1) : items.find((one) => one.start === at);
      const value = item ? valueOf(item, metric.key, series.step_ms) : null;
      const text = value === null ? "–" : metric.format(value);
      now.replaceChildren(text, h("small", {}, ` ${value === null ? "" : metric.unit} ${at === null ? "" : `at ${format.time(at)}`}`));
      by.replaceChildren(...(item?.policies ?? []).filter(() => versions.length > 1).map((one) =>
        h("span", { class: `s-${roleOf(one.policy, route.pointer)}` },
          `v${one.policy} ${metric.format(valueOf(one, metric.key, series.step_ms))}`)));
    };
    show(null);
    const width = Math.max(240, container.clientWidth / (container.clientWidth > 1040 ? 4.4 : container.clientWidth > 580 ? 2.1 : 1));
    const chart = lines({ width, series: all, marks, from: series.from, to: series.to, zero: metric.zero,
      ceiling: metric.ceiling, format: metric.format,
      label: `${metric.title} over time, now ${now.textContent}`, onPoint: show });
    return h("figure", { class: "chart" }, h("h2", {}, metric.title), now, by, chart);
  });
  if (!items.length) return [empty("No traffic in this span yet. Send a request to the gateway with this route's name as "
    + `its model ("${route.name}"), or choose a longer span.`)];
  return nodes;
}

/** One sentence that says how things stand. */
export function summary({ series, route, rollouts, policy }) {
  const items = series.items.filter((item) => item.end <= series.to);
  const target = policy?.targets?.[0];
  const serving = [h("b", {}, target ? `${target.provider}/${target.model}` : "Nothing"),
    ` serves ${route.name} (policy v${route.pointer.stable}).`];
  const active = rollouts.find((rollout) => rollout.active);
  if (active) serving.push(` v${active.candidate} gets ${active.kind === "shadow" ? "copies of " : ""}${format.percent(active.weight)} of the traffic.`);
  const edge = Math.max(1, Math.floor(items.length / 10));
  const mean = (part) => {
    const cost = part.reduce((sum, item) => sum + item.cost_nano_usd, 0);
    const count = part.reduce((sum, item) => sum + item.requests - item.unknown_cost, 0);
    return count > 0 ? cost / count / 1e6 : null;
  };
  const [before, after] = [mean(items.slice(0, edge)), mean(items.slice(-edge))];
  if (before && after && items.length > 3) {
    const change = after / before - 1;
    if (Math.abs(change) >= 0.01) {
      serving.push(" Cost per 1,000 requests went from ", h("b", {}, format.usd(before)), " to ",
        h("b", {}, format.usd(after)), ", ",
        h("span", { class: change < 0 ? "down" : "up" }, `${format.percent(Math.abs(change))} ${change < 0 ? "less" : "more"}`), ".");
    } else serving.push(` Cost per 1,000 requests holds at ${format.usd(after)}.`);
  }
  return serving;
}

export function rollout(data, act) {
  const { rollouts, evidence, canWrite, now } = data;
  const title = h("h2", { id: "rollout-title" }, "Rollout");
  const one = rollouts.find((rollout) => rollout.active) ?? rollouts[0];
  if (!one) {
    return [h("div", { class: "head" }, title), empty("No rollout yet. A decision starts one by itself when the route's "
      + "autonomy is auto and its rehearsal has passed; you start one with ",
      h("code", {}, "trimtab rollouts start ROUTE --policy N --reason …"), ".")];
  }
  const button = (verb, label, danger) => h("button", { type: "button", "data-key": `rollout-${verb}`,
    class: danger ? "danger" : null, disabled: !canWrite, title: canWrite ? null : "Needs an operator's token",
    onclick: () => act(verb, one) }, label);
  const actions = one.active ? h("div", { class: "actions", role: "group", "aria-label": "Rollout actions" },
    one.state === "paused" ? button("resume", "Resume") : button("pause", "Pause"),
    button("promote", "Promote now"), button("abort", "Abort", true)) : null;
  const step = one.step ?? -1;
  return [
    h("div", { class: "head" }, title, h("span", {}, `v${one.stable} → v${one.candidate}`),
      h("span", { class: `state ${one.state}` }, one.state.replace("_", " ")), actions),
    h("p", { class: "prose" }, one.reason),
    h("p", { class: "soft" }, one.active
      ? `${one.waits_for ?? one.detail} In this step for ${format.since(now - one.step_started_at)}.`
      : `${one.detail} ${one.ended_at ? `Ended ${format.full(one.ended_at)}.` : ""}`),
    ...(one.waivers ?? []).map((waiver) => h("p", { class: "prose" },
      `${heading(waiver.guardrail)} is waived by ${waiver.by} until ${format.full(waiver.until)}: ${waiver.reason}`)),
    h("ol", { class: "ladder", "aria-label": "Steps, share of traffic" }, one.steps.map((weight, index) =>
      h("li", { class: index === step ? "at" : index < step || one.state === "promoted" ? "done" : null,
        "aria-current": index === step ? "step" : null }, format.percent(weight)))),
    evidence ? guardrails(evidence) : null,
  ].filter(Boolean);
}

/** `bad_answers` as people write it. */
const heading = (name) => name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

/** What one arm showed: a share, or a mean in US dollars. */
const shown = (arm) => (arm.mean == null ? format.percent(arm.rate) : format.usd(arm.mean * 1000));

/** An estimated ratio and what is not ruled out. */
function ratio({ estimate, lower, upper }) {
  const times = (value, open) => (value == null ? open : value.toFixed(value < 10 ? 2 : 0));
  return estimate == null ? "–" : `${times(estimate)} (${times(lower, "0")}–${times(upper, "∞")})`;
}

/** A mean difference over pairs and what is not ruled out. */
function difference({ count, estimate, lower, upper }) {
  const points = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  return estimate == null ? "no pairs" : `${points(estimate)} (${points(lower)} to ${points(upper)}) in ${format.count(count)} pairs`;
}

function guardrails(evidence) {
  const e = (log) => (log < 9 ? Math.exp(log).toFixed(log < 2.3 ? 1 : 0) : `10^${(log / Math.LN10).toFixed(1)}`);
  const rows = evidence.guardrails.map((one) => {
    const said = `${heading(one.guardrail)}: evidence against the candidate ${e(one.log_e)}, limit ${e(one.log_limit)}`;
    const fill = s("rect", { class: one.progress > 0.7 ? "fill near" : "fill", x: 0, y: 4, height: 8, width: one.progress * 96 });
    return h("tr", {}, h("td", { title: one.subject }, heading(one.guardrail)),
      h("td", { class: "n" }, shown(one.candidate)), h("td", { class: "n" }, shown(one.control)),
      h("td", { class: "n" }, one.pairs ? difference(one.pairs) : ratio(one.ratio)),
      h("td", { class: "bar-cell" }, s("svg", { class: "meter", viewBox: "0 0 100 16", preserveAspectRatio: "none",
        role: "img", "aria-label": said },
      s("rect", { class: "track", x: 0, y: 4, width: 96, height: 8 }), fill,
      s("line", { class: "limit", x1: 96, x2: 96, y1: 1, y2: 15 }))),
      h("td", { class: "n" }, `${e(one.log_e)} of ${e(one.log_limit)}`));
  });
  const candidate = evidence.steps.reduce((sum, step) => sum + step.candidate.requests, 0);
  const answers = evidence.steps.reduce((sum, step) => sum + step.candidate.answers, 0);
  return h("div", { class: "scroll" }, h("table", { class: "evidence" },
    h("thead", {}, h("tr", {}, h("th", {}, "Guardrail"), h("th", { class: "n" }, "candidate"),
      h("th", { class: "n" }, "control"), h("th", { class: "n" }, "times as much"), h("th", {}, "evidence that it is worse"), h("th", { class: "n" }, "e-value"))),
    h("tbody", {}, rows)),
  h("p", { class: "soft note" }, `From ${format.count(candidate)} candidate requests, ${format.count(answers)} of them judged. `
    + "A bar that reaches its mark rolls the candidate back. ",
    h("a", { href: `/api/v1/rollouts/${evidence.rollout}/evidence.svg`, target: "_blank" }, "Evidence over time")));
}

export function frontier(container, { decision, policy }) {
  const title = h("div", { class: "head" }, h("h2", { id: "front-title" }, "Cost against quality"),
    decision ? h("span", { class: "soft" }, `estimates of ${format.full(decision.at)}`) : null);
  const known = (decision?.alternatives ?? []).filter((one) => one.candidate.forecast.quality
    && one.candidate.forecast.cost_per_1000_usd?.estimate > 0);
  if (!known.length) {
    return [title, empty("No estimates yet. They need requests with a known price and feedback named quality on more than "
      + "one target; the route's exploration share sends some traffic to the others.")];
  }
  const current = policy?.targets?.[0] ? `${policy.targets[0].provider}/${policy.targets[0].model}` : null;
  const points = known.map((one) => {
    const { quality, cost_per_1000_usd: cost } = one.candidate.forecast;
    const name = one.candidate.model_key;
    return { name: name.split("/").slice(1).join("/") || name, quality, cost, onFront: one.on_front,
      chosen: one.verdict === "chosen", current: name === current, title: `${name}: ${one.reason}` };
  });
  const label = points.map((point) => `${point.name}: quality ${point.quality.estimate.toFixed(2)} at `
    + `${format.usd(point.cost.estimate)} per 1,000${point.current ? ", serving now" : ""}`).join("; ");
  return [title, front({ width: Math.max(280, container.clientWidth - 30), points, label }),
    h("p", { class: "soft note" }, "Lines through the points are 95 % intervals. Up and left is better; the ring serves now, "
      + "orange is what the decision chose.")];
}

export function decisions({ list, details, canWrite }, act, open) {
  const title = h("div", { class: "head" }, h("h2", { id: "decisions-title" }, "Decisions"));
  if (!list.length) {
    return [title, empty("No decision yet. The loop looks at the route at every interval and writes down what it found, "
      + "also when it found nothing to do.")];
  }
  return [title, h("ul", { class: "list" }, list.map((one) => {
    const whole = details.get(one.id);
    const what = one.action === "change" ? `Move to ${one.model}` : "Stay";
    return h("li", {}, h("details", { open: whole !== undefined, ontoggle: (event) => open(one.id, event.target.open) },
      h("summary", { "data-key": `decision-${one.id}` }, h("time", { title: format.full(one.at) }, format.time(one.at)),
        h("span", {}, h("b", {}, what), " ", h("span", { class: `status ${one.status}` },
          `${one.code.replaceAll("_", " ")} · ${one.status}`)),
        h("span", { class: "gist" }, one.rationale)),
      h("div", { class: "body" }, h("p", { class: "prose" }, one.rationale),
        one.status === "proposed" && one.waits_for ? h("p", { class: "prose" }, one.waits_for) : null,
        one.status === "proposed" ? h("p", { class: "head" }, ["approve", "reject"].map((verb) =>
          h("button", { type: "button", disabled: !canWrite, "data-key": `${verb}-${one.id}`,
            onclick: () => act(verb, one) }, verb === "approve" ? "Approve and roll out" : "Reject"))) : null,
        whole?.alternatives?.length ? alternatives(whole.alternatives) : null,
        h("p", { class: "soft note" }, one.decided_by ? `${one.status} by ${one.decided_by}. ` : "", "Make it again: ",
          h("code", {}, `trimtab decisions replay ${one.id}`)))));
  }))];
}

function alternatives(list) {
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", {}, "Target"), h("th", { class: "n" }, "quality"),
      h("th", { class: "n" }, "per 1,000"), h("th", {}, "Verdict"))),
    h("tbody", {}, list.map((one) => h("tr", {}, h("td", {}, one.candidate.model_key),
      h("td", { class: "n" }, format.quality(one.candidate.forecast.quality?.estimate)),
      h("td", { class: "n" }, format.usd(one.candidate.forecast.cost_per_1000_usd?.estimate)),
      h("td", {}, h("b", {}, one.verdict.replaceAll("_", " ")), ` ${one.reason}`))))));
}

export function findings(list) {
  const title = h("div", { class: "head" }, h("h2", { id: "findings-title" }, "Findings"));
  if (!list.length) return [title, empty("Nothing stands out. Analyzers report here what they can prove from the traffic.")];
  return [title, h("ul", { class: "list" }, list.map((one) => h("li", { class: "finding" },
    h("time", { title: format.full(one.opened_at) }, format.time(one.opened_at)),
    h("div", {}, h("p", {}, one.statement), one.action ? h("p", { class: "soft" }, one.action) : null, h("p", {}, h("span", { class: `severity ${one.severity}` }, one.severity),
      h("span", { class: "soft" }, ` · ${one.analyzer} · certain to ${format.percent(one.confidence)}`))))))];
}

export const empty = (...text) => h("p", { class: "empty" }, ...text);
