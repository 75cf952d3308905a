// Head atlas: every head of every layer at once, to find the one that is worth a look.

import { colour, el, shown } from "./dom.js";
import { groups, map, merged } from "./words.js";
import { measured, signed } from "./cuts.js";
import { copies } from "./copy.js";
import * as python from "./python.js";

const SIDE = 56;

// A map as a picture: a pixel for each pair, the hue as strong as the root of the share.
export function painted(canvas, shares, rows, columns) {
  Object.assign(canvas, { width: columns, height: rows });
  const pen = canvas.getContext("2d");
  const [red, green, blue] = hue();
  const image = pen.createImageData(columns, rows);
  const numbers = new Uint32Array(image.data.buffer);
  const tint = (blue << 16) | (green << 8) | red;
  for (let i = 0; i < shares.length; i++) numbers[i] = ((255 * Math.sqrt(Math.min(shares[i], 1))) << 24) | tint;
  pen.putImageData(image, 0, 0);
}

export function hue(name = "--hue") {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = colour(name);
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data];
}

// How spread the rows are: 0 where each looks at one token, 1 where all are looked at alike.
function spreadOf(shares, rows, columns) {
  let sum = 0;
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) {
    const p = shares[r * columns + c];
    if (p > 0) sum -= p * Math.log(p);
  }
  return columns > 1 ? sum / (rows * Math.log(columns)) : 0;
}

function tellSpread(bar, spread) {
  bar.style.width = `${100 * spread}%`;
  bar.parentElement.title = `entropy ${spread.toFixed(2)} of its most`;
}

// Maps of long texts come as small pictures, of tokens: the largest share of each place.
function reduced({ spreads, shares }, { small: [R, C] }, cells) {
  cells.forEach(({ canvas, bar }, head) => {
    painted(canvas, shares.subarray(head * R * C, (head + 1) * R * C), R, C);
    tellSpread(bar, spreads[head]);
  });
}

function cell(context, layer, index, head) {
  const { state, spokenLayer } = context;
  const canvas = el("canvas", { class: "thumb", style: { width: `${SIDE}px`, height: `${SIDE}px` } });
  const bar = el("i");
  const label = layer.labels?.[head] ?? "";
  const name = `${spokenLayer(layer)}, head ${head + 1}${label ? `: ${label}` : ""}`;
  const node = el("button", { type: "button", class: "cell", title: name, "aria-label": name,
    onclick: () => state.set({ layer: index, head, view: context.scene.sides[0].step ? "sound" : context.scene.sides[0].grid ? "matrix" : "words" }) },
    canvas, el("span", { class: "bar" }, bar), el("small", {}, label || String(head + 1))); // prettier-ignore
  const off = context.data.asks && context.scene.asked.length > 0
    ? el("button", { type: "button", class: "off", "aria-label": `Switch off ${spokenLayer(layer)}, head ${head + 1}`, title: "Switch this head off, and measure",
        onclick: () => context.switchOff(index, head, off) }, "off") // prettier-ignore
    : null;
  return { node: el("div", { class: "slot" }, node, off), canvas, bar };
}

function draw(root, given) {
  const result = el("p", { class: "caption", "aria-live": "polite" }, "Switch a head off to measure what it is worth.");
  const context = { ...given, switchOff: async (index, head, off) => {
    const change = await measured(given, { layer: index, head }, [], result, `Without head ${head + 1} of ${given.spokenLayer(given.scene.layers[index])}`);
    if (change !== null) off.textContent = signed(change, 3);
  } }; // prettier-ignore
  const { scene, state, data } = context;
  let filled = Promise.resolve();
  const rows = [];
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) {
      seen.unobserve(target);
      filled = filled.then(target.fill).catch((error) => given.say(error.message, true)); // one after another: the first is there soon
    }
  }, { rootMargin: "200px" });
  const roles = [...new Set(scene.layers.map((layer) => layer.role))];
  const blocks = roles.map((role) => {
    const own = scene.layers.map((layer, i) => [layer, i]).filter(([layer]) => layer.role === role);
    return el("section", { class: "atlas" }, el("h2", {}, { cross: "decoder → source" }[role] ?? role),
      ...own.map(([layer, index]) => {
        const cells = [...Array(layer.shape[0]).keys()].map((head) => cell(context, layer, index, head));
        const row = el("div", { class: "row", role: "group", "aria-label": context.spokenLayer(layer) }, el("b", {}, String(layer.number)), ...cells.map(({ node }) => node));
        row.fill = async () => {
          if (layer.small) return reduced(await data.small(scene, index), layer, cells);
          const weights = await data.weights(scene, index);
          const [from, to] = [layer.rows, layer.columns].map((name) => groups(scene.sides.find((side) => side.name === name), state.now.pieces));
          cells.forEach(({ canvas, bar }, head) => {
            const shares = map(weights, layer.shape, [head], from, to);
            painted(canvas, shares, from.length, to.length);
            tellSpread(bar, spreadOf(shares, from.length, to.length));
          });
        };
        seen.observe(row);
        rows.push(row);
        return row;
      }));
  });
  const sided = (layer) => (layer.small ? {} : {
    from: groups(scene.sides.find((side) => side.name === layer.rows), state.now.pieces),
    to: groups(scene.sides.find((side) => side.name === layer.columns), state.now.pieces),
  });
  const copied = copies(given, "the heads", {
    nodes: async () => {
      for (const row of rows) await row.fill(); // those that nobody has scrolled to are empty
      return blocks;
    },
    table: async () => {
      const lines = [["attention", "head", "entropy of its most", "what it does"]];
      for (const [index, layer] of scene.layers.entries()) for (let head = 0; head < layer.shape[0]; head++) { // prettier-ignore
        const { from, to } = sided(layer);
        const spread = layer.small ? (await data.small(scene, index)).spreads[head]
          : spreadOf(merged(await data.map(scene, index, head), layer.shape[2], from, to), from.length, to.length); // prettier-ignore
        lines.push([layer.name, String(head + 1), spread, layer.labels[head] ?? ""]);
      }
      return lines;
    },
    python: () => python.spreads(given, scene.layers.map((layer) => ({ layer, ...sided(layer) }))),
  });
  root.replaceChildren(...(context.data.asks && scene.asked.length ? [result] : []), ...blocks, copied);
  root.repaint = root.resized = null;
  root.setAttribute("aria-label", `${scene.layers.length} layers, ${shown(scene.title)}`);
}

export const atlas = {
  name: "heads",
  title: "Heads",
  tools: ["pieces"],
  note: "Rows are what looks, columns what is looked at. The bar is the entropy of a head: short where it looks at few things.",
  fits: () => true,
  draw,
};
