// The whole map beside a step of it: small, with the step's row marked. A click goes to the matrix.

import { painted } from "./atlas.js";
import { el } from "./dom.js";
import { mapOf } from "./pick.js";

const [CELL, SIDE] = [14, 240]; // pixels of a share and of the longer side, at the most

// rows, columns: the groups of tokens that it shows; `at` is the row that is marked.
export function minimap(context, rows, columns, at) {
  const { scene, layer, head, data, state, place, say } = context;
  const cell = Math.min(CELL, SIDE / Math.max(rows.length, columns.length));
  const canvas = el("canvas", { class: "thumb", width: columns.length, height: rows.length });
  const row = (part) => `${(100 * part) / rows.length}%`;
  const open = () => state.set({ view: "matrix", layer: scene.layers.indexOf(layer), head });
  const button = el("button", { type: "button", class: "minimap", title: "Open the matrix", onclick: open,
    "aria-label": `${place}: ${rows.length} tokens that were written by ${columns.length} that were looked at. Open the matrix.`,
    style: { width: `${Math.max(columns.length * cell, 24)}px`, height: `${Math.max(rows.length * cell, 24)}px` } },
    canvas, at < 0 ? null : el("i", { "aria-hidden": "true", style: { top: row(at), height: row(1) } })); // prettier-ignore
  mapOf(data, scene, context.pick, rows, columns).then((shares) => painted(canvas, shares, rows.length, columns.length, state), (error) => say(error.message, true));
  return button;
}
