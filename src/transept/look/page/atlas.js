// Head atlas: every head of every layer at once, to find the one that is worth a look.

import { boxed } from "./box.js";
import { colour, el, signed } from "./dom.js";
import { mapOf } from "./pick.js";
import { groups, map, merged } from "./words.js";
import { measured } from "./cuts.js";
import { copies } from "./copy.js";
import * as python from "./python.js";

const [SIDE, LARGE] = [56, 224]; // pixels
const SHORT = { encoder: "enc", decoder: "dec", cross: "src" };
const ALIKE = 0.9; // how far two maps go together, from which on they are outlined
const ORDERS = { "": "by layer", narrow: "narrowest first", broad: "broadest first", far: "farthest first", near: "nearest first", worth: "most worth a look first", useful: "most useful first, measured" };

// A map as a picture: a pixel for each pair, the hue as strong as its share is on the scale that is chosen.
export function painted(canvas, shares, rows, columns, state) {
  Object.assign(canvas, { width: columns, height: rows });
  const pen = canvas.getContext("2d");
  const [red, green, blue] = hue();
  const image = pen.createImageData(columns, rows);
  const numbers = new Uint32Array(image.data.buffer);
  const tint = (blue << 16) | (green << 8) | red;
  for (let i = 0; i < shares.length; i++) numbers[i] = ((255 * state.shade(shares[i])) << 24) | tint;
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

// How far the rows look, as a share of the length.
function reachOf(shares, rows, columns) {
  let [sum, all] = [0, 0];
  for (let i = 0; i < shares.length; i++) {
    sum += shares[i] * Math.abs((Math.floor(i / columns) + 0.5) / rows - ((i % columns) + 0.5) / columns);
    all += shares[i];
  }
  return sum / (all || 1);
}

// A map as a direction, so that the product of two is their correlation.
function direction(shares) {
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  const found = Float32Array.from(shares, (share) => share - mean);
  const length = Math.sqrt(found.reduce((sum, one) => sum + one * one, 0)) || 1;
  return found.map((one) => one / length);
}

const wayOf = (cell) => (cell.way ??= direction(cell.shares)); // once it is wanted

// What is known of a cell once its map is there.
function keep(cell, shares, rows, columns, spread, state) {
  painted(cell.canvas, shares, rows, columns, state);
  tellSpread(cell.bar, spread);
  Object.assign(cell, { spread, shares, rows, columns, way: null });
}

function tellSpread(bar, spread) {
  bar.style.width = `${100 * spread}%`;
  bar.parentElement.title = `entropy ${spread.toFixed(2)} of its most`;
}

// Maps of long texts come as small pictures, of tokens: the largest share of each place.
function reduced({ spreads, shares }, { small: [R, C] }, cells, state) {
  cells.forEach((cell, head) => keep(cell, shares.subarray(head * R * C, (head + 1) * R * C), R, C, spreads[head], state));
}

function cell(context, layer, index, head) {
  const { state, spokenLayer } = context;
  const found = { layer, head, label: layer.labels?.[head] ?? "", worth: layer.scores?.[head] ?? 0 };
  const point = (on) => context.point(on ? found : null);
  const canvas = el("canvas", { class: "thumb", style: { width: `${SIDE}px`, height: `${SIDE}px` } });
  const bar = el("i");
  const label = layer.labels?.[head] ?? "";
  const name = `${spokenLayer(layer)}, head ${head + 1}${label ? `: ${label}` : ""}`;
  const node = el("button", { type: "button", class: "cell", title: name, "aria-label": name,
    onpointerenter: () => point(true), onfocus: () => point(true), onpointerleave: () => point(false), onblur: () => point(false),
    "aria-pressed": String(areJoined(context) && context.pick.layers.includes(layer) && context.pick.heads.includes(head)),
    onclick: (event) => event.shiftKey ? context.choose(index, head, true) : state.set({ layer: index, layers: null, head, several: null, view: viewOf(context.scene) }) },
    el("b", { "aria-hidden": "true" }, `${SHORT[layer.role]} ${layer.number}.${head + 1}`), canvas, el("span", { class: "bar" }, bar), el("small", {}, label || String(head + 1))); // prettier-ignore
  const off = context.data.asks && context.scene.asked.length > 0
    ? el("button", { type: "button", class: "off", "aria-label": `Switch off ${spokenLayer(layer)}, head ${head + 1}`, title: "Switch this head off, and measure",
        onclick: () => context.switchOff(index, head, off) }, "switch off") // prettier-ignore
    : null;
  return Object.assign(found, { node: el("div", { class: "slot" }, node, off), button: node, off, index, canvas, bar, name });
}

const viewOf = ({ sides: [side] }) => (side.step ? "sound" : side.grid ? "matrix" : "words"); // what shows a head best
const areJoined = ({ pick, several }) => pick.layers.length > 1 || several !== null;

// What the heads that are chosen are together, which all views of a layer show.
function together(context) {
  const { scene, state, data, pick, rows, columns, place } = context;
  const canvas = el("canvas", { class: "thumb", role: "img", "aria-label": place, style: { width: `${LARGE / 2}px`, height: `${LARGE / 2}px` } });
  mapOf(data, scene, pick, rows, columns).then((shares) => painted(canvas, shares, rows.length, columns.length, state), (error) => context.say(error.message, true));
  const to = (view, name) => el("button", { type: "button", onclick: () => state.set({ view }) }, name);
  const view = viewOf(scene);
  const chips = [...(view === "matrix" ? [] : [to(view, `see them in ${view === "sound" ? "Sound" : "Words"}`)]), to("matrix", "see them in Matrix"),
    el("button", { type: "button", onclick: () => state.set({ layers: null, head: null, several: null }) }, "let them go")]; // prettier-ignore
  return el("section", { class: "together", "aria-label": "The heads that are joined" }, canvas, el("div", {}, el("p", { "aria-live": "polite" }, `Joined: ${place}.`), el("div", { class: "chips" }, ...chips)));
}

function draw(root, given) {
  const result = el("p", { class: "caption", "aria-live": "polite" }, "Switch a head off to measure what it is worth.");
  const context = { ...given, switchOff: async (index, head, off) => {
    const change = await measured(given, { layer: index, head }, [], result, `Without head ${head + 1} of ${given.spokenLayer(given.scene.layers[index])}`);
    if (change !== null) off.textContent = signed(change, 3);
  } }; // prettier-ignore
  const { scene, state, data } = context;
  const all = []; // every cell
  const enlarged = el("canvas", { class: "enlarged", hidden: true, width: LARGE, height: LARGE, "aria-hidden": "true" });
  const pointed = el("p", { class: "caption", "aria-live": "polite" }, "Point at a head to see it large, and which others do the same.");

  // The head that is pointed at, large, and those that look alike outlined; null: none is.
  context.point = (cell) => {
    for (const { button } of all) button.classList.remove("similar");
    enlarged.hidden = !cell?.shares;
    if (!cell?.shares) return;
    const box = cell.canvas.getBoundingClientRect(); // it is shown in the corner that is farthest from it
    const [low, right] = [box.top > window.innerHeight / 2, box.left > window.innerWidth / 2];
    Object.assign(enlarged.style, { top: low ? "8px" : "auto", bottom: low ? "auto" : "8px", left: right ? "12px" : "auto", right: right ? "auto" : "12px" });
    const pen = enlarged.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.clearRect(0, 0, LARGE, LARGE);
    pen.drawImage(cell.canvas, 0, 0, LARGE, LARGE);
    const own = wayOf(cell);
    const fitting = all.filter((other) => other !== cell && other.shares && other.rows === cell.rows && other.columns === cell.columns);
    const others = fitting.filter((other) => wayOf(other).reduce((sum, one, i) => sum + one * own[i], 0) >= ALIKE);
    for (const { button } of others) button.classList.add("similar");
    const named = others.slice(0, 4).map(({ name }) => name).join("; ");
    pointed.textContent = `${cell.name}; entropy ${cell.spread.toFixed(2)} of its most. ${others.length ? `${others.length} look alike: ${named}${others.length > 4 ? " …" : ""}.` : "None that was drawn looks alike."}`;
  };
  const join = (found, heads) => {
    const [first, ...others] = found.map(({ index }) => index);
    const some = heads.length > 1 && heads.length < scene.layers[first].shape[0];
    state.set({ layer: first, layers: others.length ? String([first, ...others]) : null, head: heads.length > 1 ? null : heads[0], several: some ? String(heads) : null, max: false });
  };
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
    const grid = [];
    const block = el("section", { class: "atlas" }, el("h2", {}, `${{ cross: "decoder → source" }[role] ?? role}, a row for each layer`),
      el("div", { class: "row numbers", "aria-hidden": "true" }, el("b", {}), ...[...Array(Math.max(...own.map(([layer]) => layer.shape[0]))).keys()].map((head) => el("span", {}, head === 0 ? "head 1" : String(head + 1)))),
      ...own.map(([layer, index]) => {
        const cells = [...Array(layer.shape[0]).keys()].map((head) => cell(context, layer, index, head));
        const row = el("div", { class: "row", role: "group", "aria-label": context.spokenLayer(layer) }, el("b", {}, String(layer.number)), ...cells.map(({ node }) => node));
        row.fill = async () => {
          if (layer.small) return reduced(await data.small(scene, index), layer, cells, state);
          const weights = await data.weights(scene, index);
          const [from, to] = [layer.rows, layer.columns].map((name) => groups(scene.sides.find((side) => side.name === name), state.now.pieces));
          cells.forEach((cell, head) => {
            const shares = map(weights, layer.shape, [head], from, to);
            keep(cell, shares, from.length, to.length, spreadOf(shares, from.length, to.length), state);
          });
        };
        for (const one of cells) one.node.hidden = state.now.label !== "" && one.label !== state.now.label;
        all.push(...cells);
        grid.push({ layer, index, cells });
        seen.observe(row);
        rows.push(row);
        return row;
      }));
    if (!state.now.label) boxed(block, grid, join);
    return block;
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
  const labels = [...new Set(all.map(({ label }) => label).filter(Boolean))].sort();
  const cuts = data.asks && scene.asked.length > 0;
  const there = { worth: all.some(({ worth }) => worth), useful: cuts };
  const orders = Object.entries(ORDERS).filter(([name]) => there[name] ?? true);
  const choice = (name, values, told) => {
    const select = el("select", { "aria-label": told, onchange: () => state.set({ [name]: select.value }) }, ...values.map(([value, text]) => el("option", { value, selected: value === state.now[name] }, text)));
    return el("label", {}, `${told} `, select);
  }; // prettier-ignore
  const shownHeads = all.filter(({ node }) => !node.hidden).length;
  const chosen = el("div", { class: "chips" }, choice("order", orders, "Order"), ...(labels.length ? [choice("label", [["", "all"], ...labels.map((label) => [label, label])], "Show")] : []),
    el("small", {}, `${shownHeads} of ${all.length} heads`)); // prettier-ignore

  // What the loss of what was written grows by without each head.
  async function weigh(holder) {
    for (const [k, one] of all.entries()) {
      if (!holder.isConnected) return;
      result.textContent = `Head ${k + 1} of ${all.length} is switched off …`;
      const { before, after } = await data.cut(scene, { layer: one.index, head: one.head });
      one.use = before.reduce((sum, p, i) => sum + Math.log(Math.max(p, 1e-30) / Math.max(after[i], 1e-30)), 0) / before.length;
      one.off.textContent = signed(one.use, 3);
    }
    result.textContent = "Below each head: by how much the loss of what was written grows without it, in nats.";
  }

  // One after another, whatever layer they are of. Each must be there before it can be placed.
  async function arrange(holder) {
    for (const row of rows) await row.fill();
    if (state.now.order === "useful") await weigh(holder);
    const reach = ({ shares, rows, columns }) => reachOf(shares, rows, columns);
    const by = { narrow: (one) => one.spread, broad: (one) => -one.spread, near: reach, far: (one) => -reach(one), worth: (one) => -one.worth, useful: (one) => -one.use }[state.now.order];
    if (holder.isConnected) holder.append(...[...all].sort((one, other) => by(one) - by(other)).map(({ node }) => node));
  }
  const sorted = state.now.order && orders.some(([name]) => name === state.now.order) ? el("div", { class: "sorted", role: "group", "aria-label": ORDERS[state.now.order] }) : null;
  if (sorted) blocks.splice(0, blocks.length, el("section", { class: "atlas" }, sorted));
  root.replaceChildren(chosen, ...(cuts ? [result] : []), pointed, ...blocks, ...(areJoined(given) ? [together(given)] : []), copied, enlarged);
  if (sorted) {
    seen.disconnect();
    arrange(sorted).catch((error) => given.say(error.message, true));
  }
  root.repaint = () => {}; // nothing here hangs on a pin
  root.resized = null;
}

export const atlas = {
  name: "heads",
  title: "Heads",
  tools: ["pieces", "scale"],
  note: "Rows are what looks, columns what is looked at. The bar is the entropy of a head: short where it looks at few things. Drag over heads, of one layer or of several, to join them: other views show their mean. A click with Shift, or Shift and Enter, takes one head more.",
  fits: () => true,
  draw,
};
