// The way from what was read to an output, attention by attention: a line for each share above a threshold. Of a long text
// the words that no line reaches are drawn together.

import { copies } from "./copy.js";
import { drawn, el, percent, shown } from "./dom.js";
import * as python from "./python.js";
import { groups, largest } from "./words.js";

const [WIDE, HIGH, FOOT, EDGE, GAP] = [46, 58, 84, 74, 34]; // pixels of a word, a step, the names below, those beside, words that are left out
const FIRST = 3; // per cent

// The attentions of the stack that wrote it: those of `scene` in their order.
const steps = (scene) => scene.layers.filter(({ role }) => scene.sides.length === 1 || role !== "encoder");

export const fits = (scene) => scene.sides.every(({ grid, step }) => grid === null && step === null);

// The words of the side that was written and of the other one, null where there is none.
const sidesOf = ({ scene, state }) => [scene.sides.at(-1), scene.sides.length > 1 ? scene.sides[0] : null].map((side) => side && groups(side, state.now.pieces));

// The lines of tokens as lines of words: shares of what is one add up.
function grouped(lines, own, other) {
  const places = (side) => new Map((side ?? []).flatMap(({ members }, at) => members.map((token) => [token, at])));
  const [mine, theirs] = [places(own), places(other)];
  const found = new Map();
  for (const [step, row, column, share, across] of lines) {
    const line = [step, mine.get(row), (across ? theirs : mine).get(column), across];
    const known = found.get(line.join()) ?? { line, share: 0 };
    known.share += share;
    found.set(line.join(), known);
  }
  return [...found.values()].map(({ line: [step, row, column, across], share }) => [step, row, column, share, across]);
}

// Where the words of a side stand from `left` on: {x, gaps, right}. Those that are not `used` share a place, where there are several.
function placed(side, used, left) {
  const [x, gaps] = [new Map(), []];
  let at = left;
  for (let i = 0; i < side.length;) { // prettier-ignore
    let to = i;
    while (to < side.length && !used.has(to)) to += 1;
    if (to - i > 1) {
      gaps.push({ x: at + GAP / 2, count: to - i });
      at += GAP;
      i = to;
    } else {
      x.set(i, at + WIDE / 2);
      at += WIDE;
      i += 1;
    }
  }
  return { x, gaps, right: at };
}

// As much as there is room for, else what lines reach: {node, reached, row}, the place of the word that was written last.
function graph(context, lines, least, output, room) {
  const { scene, spokenLayer } = context;
  const [own, other] = sidesOf(context);
  const names = steps(scene);
  const kept = lines.filter(([, , , share]) => share >= least / 100);
  const last = lines[0]?.[1] ?? 0;
  const mine = new Set([last, ...kept.flatMap(([, row, column, , across]) => (across ? [row] : [row, column]))]);
  const theirs = new Set(kept.filter(([, , , , across]) => across).map(([, , column]) => column));
  const whole = EDGE + WIDE * (own.length + (other ? other.length + 1 : 0)) <= room;
  const every = (side, used) => (whole ? new Set(side.keys()) : used);
  const left = other && placed(other, every(other, theirs), EDGE);
  const right = placed(own, every(own, mine), other ? left.right + WIDE : EDGE);
  const y = (level) => 12 + HIGH * (names.length - level);
  const x = (at, across) => (across ? left : right).x.get(at);
  const [width, height] = [right.right, y(0) + FOOT];
  const paths = kept.map(([step, row, column, share, across]) => {
    const [x1, y1, x2, y2] = [x(row, false), y(step + 1), x(column, across), across ? y(0) : y(step)];
    return drawn("path", { d: `M${x1},${y1} C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2} ${x2},${y2}`, class: across ? "across" : null, "stroke-width": (1 + 9 * share).toFixed(2), "stroke-opacity": (0.25 + 0.7 * share).toFixed(2) },
      drawn("title", {}, `${spokenLayer(names[step])}: ${percent(share, 1)}`)); // prettier-ignore
  });
  const levels = names.map((layer, step) => drawn("text", { x: EDGE - 8, y: y(step + 0.5) + 4, "text-anchor": "end" }, layer.role === "cross" ? `${layer.number} →` : String(layer.number)));
  const label = (side, places) => [...[...places.x].map(([at, x]) => drawn("text", { transform: `translate(${x + 4} ${y(0) + 8}) rotate(-60)`, "text-anchor": "end" }, [...shown(side[at].text)].slice(0, 11).join(""))),
    ...places.gaps.map(({ x, count }) => drawn("text", { x, y: y(0) + 14, "text-anchor": "middle", class: "gap" }, `…${count}`, drawn("title", {}, `${count} words without a line`)))]; // prettier-ignore
  const node = drawn("svg", { class: "ways", role: "img", width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": told(context, lines, output) }, ...paths, ...levels, ...(other ? label(other, left) : []), ...label(own, right));
  const missing = [left, right].flatMap((places) => places?.gaps ?? []).reduce((sum, { count }) => sum + count, 0);
  return { node, missing, row: x(last, false) };
}

// What of the output came from where, when all layers are passed.
function told(context, lines, output) {
  const [own, other] = sidesOf(context);
  const found = [];
  for (const [step, , column, share, across] of lines) if (across || step === 0) {
    const name = (across ? other : own)[column].text;
    const known = found.find((one) => one.name === name && one.column === column && one.across === across);
    if (known) known.share += share;
    else found.push({ name, column, across, share });
  }
  const best = largest(found.map(({ share }) => share), 3).map((i) => `“${shown(found[i].name)}” ${percent(found[i].share)}`);
  return `Of “${shown(output)}” most came from ${best.join(", ")}.`;
}

// The graph of an output, which the model is asked for.
export function ways(context, output, text) {
  const { scene, data, state } = context;
  const holder = el("section", {});
  data.ways(scene, output).then((tokens) => {
    const lines = grouped(tokens, ...sidesOf(context));
    const caption = el("p", { class: "caption" }, told(context, lines, text));
    const drawing = el("div", { class: "scrolled" });
    const [counted, behind] = [el("output", {}), el("small", {})];
    let row = 0;
    const slider = el("input", { type: "range", min: 1, max: 40, value: FIRST, "aria-label": "The least share of a line", oninput: () => paint() });
    const paint = () => {
      counted.textContent = `${slider.value} %`;
      const found = graph(context, lines, Number(slider.value), text, drawing.clientWidth);
      drawing.replaceChildren(found.node);
      ({ row } = found);
      behind.textContent = found.missing ? `${found.missing} ${state.now.pieces ? "tokens" : "words"} have no such line, and stand behind “…”.` : "";
    };
    const names = steps(scene);
    holder.replaceChildren(caption, el("label", { class: "slide" }, "lines from ", slider, counted), " ", behind, drawing, copies(context, "the way through the layers", {
      nodes: () => [caption, drawing],
      table: () => [["attention", "row", "column", "share"], ...tokens.map(([step, row, column, share]) => [names[step].name, String(row), String(column), share])],
      python: () => python.ways(context, output),
    })); // prettier-ignore
    paint(); // once there is a width to fit into
    requestAnimationFrame(() => (drawing.scrollLeft = row - drawing.clientWidth / 2));
  }, (error) => holder.replaceChildren(el("p", { class: "axes" }, error.message)));
  return holder;
}
