// The two sides of an attention where it is compared or filmed: lines of words, or the places of a picture.

import { hue } from "./atlas.js";
import { el } from "./dom.js";
import { line, walk } from "./focus.js";
import { sideOf } from "./partner.js";

const SIDE = 320;
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// The places of a picture have numbers for names, which are told apart from shares.
export const named = (groups, side) => (side.grid ? groups.map((group) => (group.word === null ? group : { ...group, text: `(${group.text})` })) : groups);

// A pixel for each place of a picture, orange where its number is below 0.
export function coloured(canvas, values, most, state) {
  const [plus, less] = [hue("--hue"), hue("--other")].map((colour) => colour.slice(0, 3));
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => image.data.set([...(value < 0 ? less : plus), 230 * state.shade(Math.abs(value) / most)], 4 * i));
  pen.putImageData(image, 0, 0);
}

// A picture under what is painted over its places. `pick` is told the place that is clicked at, or gone to by the arrows.
function places(scene, side, state, pick) {
  const [rows, columns] = side.grid;
  const before = side.texts.length - rows * columns;
  const canvas = el("canvas", { width: columns, height: rows, class: "over", role: "img", tabindex: pick ? 0 : null });
  const photo = scene.picture ? [el("img", { src: scene.picture, alt: scene.title })] : [];
  let held = null;
  if (pick) {
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((v) => Math.min(Math.max(v, 0), 0.9999));
      pick(before + Math.floor(y * rows) * columns + Math.floor(x * columns));
    });
    canvas.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      const at = held !== null && held >= before ? held - before : 0;
      const [y, x] = [Math.floor(at / columns) + step[0], (at % columns) + step[1]];
      if (y >= 0 && x >= 0 && y < rows && x < columns) pick(before + y * columns + x);
      event.preventDefault();
    });
  }
  // values: a number for each token of the side, orange where it is below 0.
  function paint(values, most, from, label) {
    held = from;
    coloured(canvas, values.slice(before), most, state);
    canvas.setAttribute("aria-label", label);
  }
  const ratio = columns / rows;
  return { node: el("div", { class: "board", style: { width: `${SIDE}px`, "aspect-ratio": String(ratio) } }, ...photo, canvas), paint };
}

// What looks and what is looked at: {nodes, one, other, picture}; `one` and `other` are lines, null where a picture is.
export function sides({ scene, layer, rows, columns, same, state }, when) {
  const [asking, asked] = [layer.rows, layer.columns].map((name) => sideOf(scene, name));
  const picture = asked.grid ? places(scene, asked, state, same ? when.pin : null) : null;
  const own = picture && same ? rows.filter((group) => group.word === null) : rows; // the others are places
  const one = line(layer.rows, "asking", own, true, { over() {}, ...when });
  const other = same ? one : picture ? null : line(layer.columns, "asked", columns, false, {});
  walk(one);
  const nodes = [picture?.node, other === one ? null : other?.node, one.node].filter(Boolean);
  return { nodes, one, other, picture };
}

// The strength of what is looked at, as a share of the most.
export const strength = (state, value, most) => Math.round(state.shade(Math.abs(value) / most) * 34) / 40;
