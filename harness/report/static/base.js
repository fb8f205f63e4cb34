"use strict";
// One object holds what the scripts of the page share. Text reaches the page by textContent alone.
const AT = { figures: [], plotly: null };

AT.data = JSON.parse(document.getElementById("data").textContent);

AT.el = function (tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "style") Object.assign(node.style, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
};

AT.byId = (id) => document.getElementById(id);

// Numbers as text ---------------------------------------------------------------------------------

AT.percent = function (value) {
  if (value === null) return "";
  const whole = Math.round(100 * value);
  if (whole === 100 && value < 1) return "99 %";
  if (whole === 0 && value > 0) return "1 %";
  return `${whole} %`;
};
AT.fixed = (digits) => (value) => (value === null ? "" : value.toFixed(digits));
AT.seconds = function (value) {
  if (value === null || value <= 0) return value === null ? "" : "0";
  if (value < 0.0001) return "<.0001";
  return value >= 10 ? value.toFixed(0) : Number(value.toPrecision(2)).toString();
};
AT.trials = (value) => (value === null ? "–" : String(Math.round(value * 10) / 10));
AT.short = function (value) {
  if (value === null || value === undefined) return "";
  if (value !== 0 && (Math.abs(value) >= 1e7 || Math.abs(value) < 1e-4)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
};
AT.whole = (value) =>
  value === null ? "" : Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
AT.clip = (text, length) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);

// "stage=MODEL:SAMPLES,..." to a map from stage to [model, samples].
AT.parse = function (text) {
  const choices = new Map();
  for (const part of text ? text.split(",") : []) {
    const equals = part.indexOf("=");
    const colon = part.lastIndexOf(":");
    choices.set(part.slice(0, equals), [part.slice(equals + 1, colon), Number(part.slice(colon + 1))]);
  }
  return choices;
};

AT.describe = (text) =>
  [...AT.parse(text)].map(([stage, [model, samples]]) => `${stage}: ${model} × ${samples}`).join(", ");

AT.problemName = function (problem) {
  return `${problem.table} (${problem.kind}), budget ${AT.short(problem.budget)} ${problem.cost}`;
};

// Kinds of table in one order everywhere, the surest first.
AT.kinds = (kinds) => ["measured", "published", "modelled"].filter((kind) => kinds.includes(kind));

AT.badge = (kind) => AT.el("span", { class: `kind ${kind}` }, kind);

// What is chosen on the page, and who wants to know -------------------------------------------------

AT.state = { problem: 0, agents: new Set() };
AT.listeners = [];
AT.onChange = (listener) => AT.listeners.push(listener);
AT.change = function (changes) {
  Object.assign(AT.state, changes);
  for (const listener of AT.listeners) listener(changes);
};

// A choice of problem appears in several sections; they show the same one.
AT.problemSelect = function (select) {
  AT.data.problems.forEach((problem, i) => {
    select.append(AT.el("option", { value: String(i) }, AT.problemName(problem)));
  });
  select.addEventListener("change", () => AT.change({ problem: Number(select.value) }));
  AT.onChange(() => {
    select.value = String(AT.state.problem);
  });
};

// Telling a screen reader, and a person, that something was done.
AT.say = function (text) {
  const line = AT.byId("said");
  line.textContent = text;
  line.classList.add("shown");
  clearTimeout(AT.saying);
  AT.saying = setTimeout(() => line.classList.remove("shown"), 2200);
};

AT.save = function (name, href) {
  const link = AT.el("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
};

// Light and dark -------------------------------------------------------------------------------------

AT.system = window.matchMedia("(prefers-color-scheme: dark)");
AT.dark = function () {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : AT.system.matches;
};
AT.themeButton = function () {
  const button = AT.byId("theme");
  const label = () => {
    button.textContent = AT.dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", AT.dark() ? "Use light colours" : "Use dark colours");
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = AT.dark() ? "light" : "dark";
    label();
    AT.change({ theme: true });
  });
  AT.system.addEventListener("change", () => {
    label();
    AT.change({ theme: true });
  });
  label();
};
AT.themeButton();
