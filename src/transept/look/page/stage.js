// The stage: how a text was written, token by token, and what could have been written instead.

import { cutter } from "./cuts.js";
import { copies } from "./copy.js";
import { alike } from "./data.js";
import { drawn, el, percent, shown, toggle, wide } from "./dom.js";
import * as python from "./python.js";
import { tree } from "./tree.js";
import { gathered, largest } from "./words.js";

const RIBBONS = 4;
const CUTS = 5;
const PAUSE = 700;

let playing = null;

// A step at a time from here, or from the start where this is the end; again stops it.
function play(go, step, own) {
  if (playing !== null) {
    clearInterval(playing);
    playing = null;
    go(step);
    return;
  }
  let at = step >= own - 1 ? -1 : step;
  playing = setInterval(() => {
    at += 1;
    if (at >= own - 1) {
      clearInterval(playing);
      playing = null;
    }
    go(at);
  }, PAUSE);
  go(Math.max(at, 0));
}

function draw(root, context) {
  const { scene, layer, heads, state, sides, open, data, say } = context;
  const written = scene.sides.find(({ name }) => name === "target") ?? scene.sides[0];
  const read = sides.columns;
  const skipped = written.texts.length - scene.target.length; // rows before the first token of its own
  const own = scene.target.length;
  const row = (step) => (scene.sides.length > 1 ? skipped + step : skipped + step - 1); // a decoder alone writes one ahead
  const step = Math.min(state.now.step ?? own - 1, own - 1);
  const known = row(step) >= 0;
  const groups = read.texts.map((text, t) => ({ text, members: [t] }));
  let shares = read.texts.map(() => 0);

  const from = read.texts.map((text, t) => el("span", { class: `token${read.words[t] === null ? " parks" : ""}` }, shown(text)));
  const to = scene.target.map((_, at) => el("button", { type: "button", class: `token${at === step ? " from" : ""}${at > step ? " ahead" : ""}`,
    "aria-pressed": String(at === step), onclick: () => state.set({ step: at }) }, shown(written.texts[skipped + at]))); // prettier-ignore
  const svg = drawn("svg", { class: "arcs", "aria-hidden": "true" });
  const board = el("div", { class: "lines apart" }, svg, el("div", { class: "line" }, el("span", { class: "side" }, "looked at"), ...from),
    el("div", { class: "line" }, el("span", { class: "side" }, "written"), ...to)); // prettier-ignore

  function ribbons() {
    const base = board.getBoundingClientRect();
    svg.setAttribute("viewBox", `0 0 ${base.width} ${base.height}`);
    if (!to[step]) return;
    const box = to[step].getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2 - base.left, box.top - base.top];
    svg.replaceChildren(...largest(shares, RIBBONS).filter((t) => shares[t] > 0.02).map((t) => {
      const other = from[t].getBoundingClientRect();
      const [x2, y2] = [other.left + other.width / 2 - base.left, other.bottom - base.top];
      return drawn("path", { d: `M${x},${y} C${x},${(y + y2) / 2} ${x2},${(y + y2) / 2} ${x2},${y2}`, "stroke-width": 1 + 14 * shares[t], "stroke-opacity": 0.2 + 0.5 * shares[t] });
    }));
  }

  const choices = known ? scene.choices[row(step)] ?? [] : [];
  const list = el("ol", { class: "choices", "aria-label": "What could stand here" }, ...choices.map(([id, text, probability]) => {
    const taken = id === scene.target[step];
    const name = `${shown(text)}, ${percent(probability, probability < 0.01 ? 3 : 1)}`;
    const body = [el("span", { class: "bar" }, el("i", wide(probability))), el("span", {}, shown(text)), el("small", {}, percent(probability, probability < 0.01 ? 3 : 1))];
    if (taken || !data.asks) return el("li", { class: taken ? "taken" : "", "aria-label": name }, ...body);
    const force = () => open(scene.title, [...scene.target.slice(0, step), id]);
    return el("li", {}, el("button", { type: "button", "aria-label": `${name}: write this, and go on`, title: "Write this instead, and let the model go on", onclick: force }, ...body));
  }));

  const cutting = el("div", { class: "cutting" });

  async function look() {
    const lines = await data.looked(scene, layer, [row(step)], false);
    if (!board.isConnected) return; // another step was taken
    shares = [...gathered(lines[alike(scene, layer).indexOf(layer)], { all: layer.shape[0], chosen: heads }, groups, false)];
    from.forEach((token, t) => {
      token.title = percent(shares[t], 1);
      token.style.setProperty("--share", (0.85 * Math.sqrt(shares[t])).toFixed(3));
    });
    ribbons();
    const links = largest(shares, CUTS).filter((t) => shares[t] >= 0.01).map((t) => ({ text: read.texts[t], share: shares[t], queries: [row(step)], keys: [t] }));
    cutting.replaceChildren(...cutter(context, written.texts[skipped + step], links, false));
  }

  const go = (to) => state.set({ step: Math.max(0, Math.min(own - 1, to)) });
  const bar = el("div", { class: "steps", role: "group", "aria-label": "Steps" },
    el("button", { type: "button", onclick: () => go(0), disabled: step <= 0 }, "First"),
    el("button", { type: "button", onclick: () => go(step - 1), disabled: step <= 0 }, "Back"),
    el("button", { type: "button", onclick: () => go(step + 1), disabled: step >= own - 1 }, "Step"),
    el("button", { type: "button", "aria-pressed": String(playing !== null), onclick: () => play(go, step, own) }, playing ? "Stop" : "Play"),
    el("span", {}, own ? `token ${step + 1} of ${own}` : "nothing was written")); // prettier-ignore

  const copied = known && copies(context, "what it looked at", {
    nodes: () => [board],
    table: () => [["looked at", "share"], ...read.texts.map((text, t) => [text, shares[t]])],
    python: () => python.row(context, { members: [row(step)] }, groups, false),
  });
  const copiedList = choices.length > 0 && copies(context, "what could stand here", {
    nodes: () => [list],
    table: () => [["id", "token", "probability"], ...choices.map(([id, ...rest]) => [String(id), ...rest])],
    python: () => python.choices(context, row(step), choices.length),
  });
  const beam = scene.branches
    ? [el("h2", {}, "The beam ", toggle(state.now.beam ? "hide" : "show", state.now.beam, (beam) => state.set({ beam }), { "aria-label": "Show the beam" })), state.now.beam ? tree(context) : null]
    : [];
  root.replaceChildren(board, bar, ...[copied].filter(Boolean), cutting,
    el("div", { class: "beside" }, el("section", {}, el("h2", {}, "What could stand here"), list, copiedList || null), el("section", {}, ...beam))); // prettier-ignore
  root.repaint = null;
  root.resized = ribbons;
  ribbons();
  if (known) look().catch((error) => say(error.message, true));
}

export const stage = {
  name: "stage",
  title: "Stage",
  tools: ["heads"],
  note: "Each token with what the layer looked at when it was written. Another token may be forced: the model goes on from there.",
  shows: (layer, scene) => layer.rows === scene.layers.at(-1).rows, // what a written token looked at
  fits: (scene) => scene.choices.length > 0 && scene.target.length > 0,
  draw,
};
