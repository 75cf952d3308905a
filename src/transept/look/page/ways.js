// The way from what was read to an output, attention by attention: a line for each share above a threshold.

import { copies } from "./copy.js";
import { drawn, el, percent, shown } from "./dom.js";
import * as python from "./python.js";
import { largest } from "./words.js";

const [WIDE, HIGH, FOOT, EDGE] = [46, 58, 84, 74]; // pixels of a token, a step, the names below, the names beside
const MOST = 80; // tokens
const FIRST = 3; // per cent

// The attentions of the stack that wrote it: those of `scene` in their order.
const steps = (scene) => scene.layers.filter(({ role }) => scene.sides.length === 1 || role !== "encoder");

export const fits = (scene) => scene.sides.every(({ grid, step, texts }) => grid === null && step === null && texts.length <= MOST);

function graph(context, lines, least, output) {
  const { scene, spokenLayer } = context;
  const own = scene.sides.at(-1);
  const other = scene.sides.length > 1 ? scene.sides[0] : null;
  const names = steps(scene);
  const before = other ? other.texts.length + 1 : 0; // columns of the other side, and a gap
  const x = (at, across) => EDGE + WIDE * ((across ? 0 : before) + at + 0.5);
  const y = (level) => 12 + HIGH * (names.length - level);
  const kept = lines.filter(([, , , share]) => share >= least / 100);
  const [width, height] = [EDGE + WIDE * (before + own.texts.length), y(0) + FOOT];
  const paths = kept.map(([step, row, column, share, across]) => {
    const [x1, y1, x2, y2] = [x(row, false), y(step + 1), x(column, across), across ? y(0) : y(step)];
    return drawn("path", { d: `M${x1},${y1} C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2} ${x2},${y2}`, class: across ? "across" : null, "stroke-width": (1 + 9 * share).toFixed(2), "stroke-opacity": (0.25 + 0.7 * share).toFixed(2) },
      drawn("title", {}, `${spokenLayer(names[step])}: ${percent(share, 1)}`)); // prettier-ignore
  });
  const levels = names.map((layer, step) => drawn("text", { x: EDGE - 8, y: y(step + 0.5) + 4, "text-anchor": "end" }, layer.role === "cross" ? `${layer.number} →` : String(layer.number)));
  const label = (side, across) => side.texts.map((text, at) => drawn("text", { transform: `translate(${x(at, across) + 4} ${y(0) + 8}) rotate(-60)`, "text-anchor": "end" }, [...shown(text)].slice(0, 11).join("")));
  return drawn("svg", { class: "ways", role: "img", width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": told(context, lines, output) }, ...paths, ...levels, ...(other ? label(other, true) : []), ...label(own, false));
}

// What of the output came from where, when all layers are passed.
function told({ scene }, lines, output) {
  const own = scene.sides.at(-1).texts;
  const other = scene.sides[0].texts;
  const found = [];
  for (const [step, , column, share, across] of lines) if (across || step === 0) {
    const name = across ? other[column] : own[column];
    const known = found.find((one) => one.name === name && one.column === column && one.across === across);
    if (known) known.share += share;
    else found.push({ name, column, across, share });
  }
  const best = largest(found.map(({ share }) => share), 3).map((i) => `“${shown(found[i].name)}” ${percent(found[i].share)}`);
  return `Of “${shown(output)}” most came from ${best.join(", ")}.`;
}

// The graph of an output, which the model is asked for.
export function ways(context, output, text) {
  const { scene, data } = context;
  const holder = el("section", {});
  data.ways(scene, output).then((lines) => {
    const caption = el("p", { class: "caption" }, told(context, lines, text));
    const drawing = el("div", { class: "scrolled" });
    const counted = el("output", {});
    const slider = el("input", { type: "range", min: 1, max: 40, value: FIRST, "aria-label": "The least share of a line", oninput: () => paint() });
    const paint = () => {
      counted.textContent = `${slider.value} %`;
      drawing.replaceChildren(graph(context, lines, Number(slider.value), text));
    };
    paint();
    const [[, row]] = lines; // the last attention's: where it is written
    requestAnimationFrame(() => (drawing.scrollLeft = EDGE + WIDE * (row + (scene.sides.length > 1 ? scene.sides[0].texts.length + 1 : 0)) - drawing.clientWidth / 2));
    const names = steps(scene);
    holder.replaceChildren(caption, el("label", { class: "slide" }, "lines from ", slider, counted), drawing, copies(context, "the way through the layers", {
      nodes: () => [caption, drawing],
      table: () => [["attention", "row", "column", "share"], ...lines.map(([step, row, column, share]) => [names[step].name, String(row), String(column), share])],
      python: () => python.ways(context, output),
    })); // prettier-ignore
  }, (error) => holder.replaceChildren(el("p", { class: "axes" }, error.message)));
  return holder;
}
