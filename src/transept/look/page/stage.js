// The stage: how a text was written, token by token, and what could have been written instead.

import { cutter } from "./cuts.js";
import { drawn, el, percent, shown, wide } from "./dom.js";
import { largest } from "./words.js";

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
  const { scene, layer, weights, heads, state, sides, open, data } = context;
  const written = scene.sides.find(({ name }) => name === "target") ?? scene.sides[0];
  const read = sides.columns;
  const [, S, T] = layer.shape;
  const skipped = written.texts.length - scene.target.length; // rows before the first token of its own
  const own = scene.target.length;
  const row = (step) => (scene.sides.length > 1 ? skipped + step : skipped + step - 1); // a decoder alone writes one ahead
  const step = Math.min(state.now.step ?? own - 1, own - 1);
  const share = (at, t) => heads.reduce((sum, h) => sum + weights[(h * S + row(at)) * T + t], 0) / heads.length;
  const known = row(step) >= 0;
  const shares = known ? read.texts.map((_, t) => share(step, t)) : read.texts.map(() => 0);

  const from = read.texts.map((text, t) => el("span", { class: `token${read.words[t] === null ? " parks" : ""}`, title: percent(shares[t], 1),
    style: { "--share": (0.85 * Math.sqrt(shares[t])).toFixed(3) } }, shown(text))); // prettier-ignore
  const to = scene.target.map((_, at) => el("button", { type: "button", class: `token${at === step ? " from" : ""}${at > step ? " ahead" : ""}`,
    "aria-pressed": String(at === step), onclick: () => state.set({ step: at }) }, shown(written.texts[skipped + at]))); // prettier-ignore
  const svg = drawn("svg", { class: "arcs", "aria-hidden": "true" });
  const lines = el("div", { class: "lines apart" }, svg, el("div", { class: "line" }, el("span", { class: "side" }, "looked at"), ...from),
    el("div", { class: "line" }, el("span", { class: "side" }, "written"), ...to)); // prettier-ignore

  function ribbons() {
    const base = lines.getBoundingClientRect();
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

  const links = known ? largest(shares, CUTS).filter((t) => shares[t] >= 0.01).map((t) => ({ text: read.texts[t], share: shares[t], queries: [row(step)], keys: [t] })) : [];
  const cutting = el("div", { class: "cutting" }, ...cutter(context, written.texts[skipped + step], links, false));

  const go = (to) => state.set({ step: Math.max(0, Math.min(own - 1, to)) });
  const bar = el("div", { class: "steps", role: "group", "aria-label": "Steps" },
    el("button", { type: "button", onclick: () => go(0), disabled: step <= 0 }, "First"),
    el("button", { type: "button", onclick: () => go(step - 1), disabled: step <= 0 }, "Back"),
    el("button", { type: "button", onclick: () => go(step + 1), disabled: step >= own - 1 }, "Step"),
    el("button", { type: "button", "aria-pressed": String(playing !== null), onclick: () => play(go, step, own) }, playing ? "Stop" : "Play"),
    el("span", {}, own ? `token ${step + 1} of ${own}` : "nothing was written")); // prettier-ignore

  root.replaceChildren(lines, bar, el("h2", {}, "What could stand here"), list, cutting);
  root.repaint = null;
  root.resized = ribbons;
  ribbons();
}

export const stage = {
  name: "stage",
  title: "Stage",
  maps: true,
  tools: ["heads"],
  note: "Each token with what the layer looked at when it was written. Another token may be forced: the model goes on from there.",
  shows: (layer, scene) => layer.rows === scene.layers.at(-1).rows, // what a written token looked at
  fits: (scene) => scene.choices.length > 0 && scene.target.length > 0,
  draw,
};
