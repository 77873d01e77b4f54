// Fetches, follows the event stream, and draws what changed.

import * as views from "./views.js";

const element = (id) => document.getElementById(id);
const state = { session: null, routes: [], name: null, span: 600000, data: null, open: new Set(), details: new Map(),
  dirty: new Set(), drawn: new Map(), loading: false, read: 0 };
/** What the address asks for: route, span, live=off, token. */
const link = new URLSearchParams(location.hash.slice(1));
const everything = ["windows", "rollouts", "decisions", "findings", "route"];
const touched = { route: ["route"], policy: ["route"], pointer: ["route", "rollouts"], rollout: ["rollouts"],
  decision: ["decisions"], finding: ["findings"] };

class Unauthorized extends Error {}

async function call(method, path, body) {
  const headers = { "X-Trimtab-Console": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.status === 401) throw new Unauthorized((await response.json()).detail);
  if (response.status === 204) return null;
  const answer = await response.json();
  if (!response.ok) {
    const errors = (answer.errors ?? []).map((error) => `${error.pointer} ${error.detail}`).join(" ");
    throw new Error([answer.detail, errors, answer.remedy].filter(Boolean).join(" "));
  }
  return answer;
}
const get = (path) => call("GET", `/api/v1/${path}`);

// Sign in

/** A link with `#token=…` signs in by itself. What follows # never leaves the browser; it is taken out of the address. */
async function signInByLink() {
  const token = link.get("token");
  if (!token) return;
  link.delete("token");
  history.replaceState(null, "", `#${link}`);
  await call("POST", "/login", { token });
}

async function start() {
  try {
    await signInByLink();
    state.session = await get("session");
  } catch (error) {
    if (!(error instanceof Unauthorized)) notice(error.message);
    return showLogin();
  }
  element("login").hidden = true;
  const { name, role } = state.session;
  element("who").replaceChildren(`${name} (${role})`,
    views.h("button", { type: "button", onclick: () => call("POST", "/logout").finally(() => location.reload()) }, "Sign out"));
  element("who").hidden = false;
  await loadRoutes();
  // A still picture, for print and for browsers that wait until nothing is loading.
  if (link.get("live") !== "off") follow();
  setInterval(markWindows, 5000);
}

function showLogin() {
  element("console").hidden = element("controls").hidden = element("who").hidden = true;
  element("login").hidden = false;
  element("token").focus();
}

element("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  element("login-error").textContent = "";
  try {
    await call("POST", "/login", { token: element("token").value.trim() });
    element("token").value = "";
    await start();
  } catch (error) {
    element("login-error").textContent = error.message;
  }
});

// Load

async function loadRoutes() {
  state.routes = (await get("routes?limit=200")).items;
  const names = state.routes.map((route) => route.name);
  state.span = Number(link.get("span")) || state.span;
  if (!names.includes(state.name)) state.name = names.includes(link.get("route")) ? link.get("route") : names[0];
  element("route").replaceChildren(...names.map((name) => views.h("option", { value: name }, name)));
  element("console").hidden = false;
  if (!names.length) {
    element("summary").replaceChildren(views.empty("No routes yet. Write one in YAML and run ",
      views.h("code", {}, "trimtab routes apply -f route.yaml"), "."));
    return;
  }
  element("route").value = state.name;
  element("span").value = String(state.span);
  element("controls").hidden = false;
  state.data = null;
  mark(everything);
}

/** A long span is dear to read and changes slowly. */
function markWindows() {
  if (Date.now() - state.read >= Math.max(2000, state.span / 150)) mark(["windows"]);
}

/** Notes what must be read again; reads at most twice a second. */
function mark(parts) {
  parts.forEach((part) => state.dirty.add(part));
  if (!state.loading) {
    state.loading = true;
    setTimeout(load, state.data ? 500 : 0);
  }
}

async function load() {
  const parts = new Set(state.dirty);
  state.dirty.clear();
  try {
    if (state.name) await refresh(parts);
  } catch (error) {
    if (error instanceof Unauthorized) return showLogin();
    parts.forEach((part) => state.dirty.add(part));
    connection(false);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
  state.loading = false;
  if (state.dirty.size) mark([]);
}

async function refresh(parts) {
  const name = state.name, route = encodeURIComponent(name);
  const data = state.data ?? { name };
  const jobs = {
    windows: async () => {
      state.read = Date.now();
      data.series = await get(`windows?route=${route}&span_ms=${state.span}`);
    },
    route: async () => {
      data.route = await get(`routes/${route}`);
      data.policy = await get(`routes/${route}/policies/${data.route.pointer.stable}`);
    },
    rollouts: async () => {
      data.rollouts = (await get(`rollouts?route=${route}&limit=20`)).items;
      const one = data.rollouts.find((rollout) => rollout.active) ?? data.rollouts[0];
      data.evidence = one ? await get(`rollouts/${one.id}/evidence`) : null;
    },
    decisions: async () => {
      data.list = (await get(`decisions?route=${route}&limit=20`)).items;
      data.decision = await newestWithEstimates(data.list);
    },
    findings: async () => { data.findings = (await get(`findings?route=${route}&status=open&limit=20`)).items; },
  };
  // A rollout's evidence grows with the traffic, without a change of its own.
  if (parts.has("windows") && data.rollouts?.some((rollout) => rollout.active)) parts.add("rollouts");
  await Promise.all([...parts].filter((part) => jobs[part]).map((part) => jobs[part]()));
  if (state.name !== name) return;
  state.data = data;
  draw();
}

async function newestWithEstimates(list) {
  for (const one of list.slice(0, 5)) {
    const whole = await detail(one.id);
    if (whole.alternatives?.length) return whole;
  }
  return null;
}

/** What a decision was made from never changes, so it is read once. */
async function detail(id) {
  if (!state.details.has(id)) {
    if (state.details.size > 100) state.details.clear();
    state.details.set(id, await get(`decisions/${id}`));
  }
  return state.details.get(id);
}

// Draw

/** Replaces a part's content if its data changed, keeping the focus where it was. */
function replace(id, key, nodes) {
  const container = element(id);
  const text = JSON.stringify([key, container.clientWidth]);
  if (state.drawn.get(id) === text) return;
  state.drawn.set(id, text);
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  container.replaceChildren(...nodes());
  if (focused) container.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function draw() {
  const data = state.data;
  if (!data?.series) return;
  const canWrite = state.session.role !== "viewer";
  // The server's clock, not this machine's.
  const step = { ...data, canWrite, now: data.series.to };
  const details = new Map([...state.open].filter((id) => state.details.has(id)).map((id) => [id, state.details.get(id)]));
  replace("summary", [data.series, data.route, data.rollouts], () => views.summary(data));
  replace("charts", [data.series, data.rollouts, data.route], () => views.charts(element("charts"), data));
  replace("rollout", [data.rollouts, data.evidence, Math.floor(step.now / 5000)], () => views.rollout(step, command));
  replace("front", [data.decision?.id, data.policy], () => views.frontier(element("front"), data));
  replace("decisions", [data.list, [...details.keys()]],
    () => views.decisions({ list: data.list, details, canWrite }, decide, toggle));
  replace("findings", data.findings, () => views.findings(data.findings));
  document.body.dataset.ready = "true";
}

async function toggle(id, open) {
  if (open === state.open.has(id)) return;
  if (open) state.open.add(id); else state.open.delete(id);
  if (open) await detail(id);
  draw();
}

// Act

const questions = {
  promote: ["Promote now?", "The candidate takes all traffic at once, whatever the evidence says.", "Promote"],
  abort: ["Abort this rollout?", "The candidate's weight goes to 0 at once. A new try is a new rollout.", "Abort"],
  approve: ["Approve this decision?", "Its rollout starts at the first step.", "Approve"],
};

async function command(verb, rollout) {
  await act(verb, `rollouts/${rollout.id}:${verb}`, {});
}

async function decide(verb, decision) {
  await act(verb, `decisions/${decision.id}:${verb}`);
}

async function act(verb, path, body) {
  if (questions[verb] && !(await confirmed(...questions[verb]))) return;
  try {
    notice((await call("POST", `/api/v1/${path}`, body)).message);
  } catch (error) {
    notice(error.message);
  }
  mark(["rollouts", "decisions", "route"]);
}

function confirmed(title, text, verb) {
  element("confirm-title").textContent = title;
  element("confirm-text").textContent = text;
  element("confirm-ok").textContent = verb;
  const dialog = element("confirm");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true }));
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => { element("notice").hidden = true; }, 8000);
}

// Follow

function connection(live) {
  element("live").className = live ? "on" : "off";
  const text = live ? "live" : "reconnecting";
  if (element("live").textContent !== text) element("live").textContent = text;
}

function follow() {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("reset", () => {
    connection(true);
    mark(everything);
  });
  source.addEventListener("change", (event) => {
    const change = JSON.parse(event.data);
    if (change.kind === "route" && !state.routes.some((route) => route.name === change.route)) return loadRoutes();
    if (change.kind === "windows") return markWindows();
    if (!change.route || change.route === state.name) mark(touched[change.kind] ?? []);
  });
  source.addEventListener("error", () => connection(false));
}

element("route").addEventListener("change", (event) => choose({ name: event.target.value }));
element("span").addEventListener("change", (event) => choose({ span: Number(event.target.value) }));

function choose(changes) {
  Object.assign(state, changes);
  history.replaceState(null, "", `#route=${encodeURIComponent(state.name)}&span=${state.span}`);
  state.data = null;
  state.open.clear();
  mark(everything);
}

new ResizeObserver(() => draw()).observe(element("main"));
start();
