// Word focus: one word, and what it looks at, in the running text.

import { colour, drawn, el, percent, shown, sized } from "./dom.js";
import { alike } from "./data.js";
import { mapOf, shared, sharedAt } from "./pick.js";
import { largest } from "./words.js";
import { cutter } from "./cuts.js";
import { copies } from "./copy.js";
import * as python from "./python.js";
import { legible } from "./svg.js";

const ARCS = 5;
const CUTS = 6;
const MANY = 100; // words: beyond it their tints change at once
const LEAST = 0.01;
const SHOWS = 0.15; // a share of one word on another from which on it is worth to begin with
const [LEFT, STEP, NAMES] = [30, 18, 64]; // pixels of the strip: beside it, a layer, below it

// What one word looks at, in a sentence that is always true.
export function told(context, from, shares, others, backward) {
  const { place, pick } = context;
  const best = largest(shares, others.length).filter((i) => !others[i].parks && shares[i] >= LEAST).slice(0, 3);
  const words = best.map((i) => `${shown(others[i].text)} ${percent(shares[i])}`);
  const parked = others.reduce((sum, { parks }, i) => sum + (parks ? shares[i] : 0), 0);
  if (backward) return `${place}: ${shown(from.text)} is looked at by ${words.join(", ") || "no word"}.`;
  const rest = parked >= LEAST && !pick.max ? `; ${percent(parked)} is parked on ends and marks` : "";
  return `${place}: ${shown(from.text)} looks at ${words.join(", ") || "no word"}${rest}.`;
}

export function line(name, kind, found, active, when) {
  const tokens = found.map((group, i) =>
    el("button", {
      type: "button", class: `token${group.parks ? " parks" : ""}`, data: { at: i }, tabindex: active ? (i === 0 ? 0 : -1) : -1,
      disabled: !active, onpointerenter: active && (() => when.over(i)), onclick: active && (() => when.pin(i)),
      onfocus: active && (() => when.over(i)),
    }, shown(group.text))); // prettier-ignore
  const label = { source: "read", target: "written", given: "what stood before", text: "text", picture: "picture" }[name] ?? name;
  return { tokens, node: el("div", { class: `line ${kind}`, role: "group", "aria-label": label }, el("span", { class: "side" }, label), ...tokens) };
}

// The way of a curve at 0.75, where those that part from one word stand apart.
const along = (from, one, two, to) => 0.015625 * from + 0.140625 * one + 0.421875 * two + 0.421875 * to;

// Draws them, and gives a place on each.
export function arcs(svg, root, from, targets) {
  const base = root.getBoundingClientRect();
  const middle = (node) => {
    const box = node.getBoundingClientRect();
    return [box.left + box.width / 2 - base.left, box.top - base.top, box.bottom - base.top];
  };
  const [x, top, bottom] = middle(from);
  svg.setAttribute("viewBox", `0 0 ${base.width} ${base.height}`);
  const places = [];
  svg.replaceChildren(...targets.map(([node, share]) => {
    const [x2, top2, bottom2] = middle(node);
    const width = 1 + 7 * Math.sqrt(share);
    const [y, y2] = bottom2 <= top ? [top, bottom2] : top2 >= bottom ? [bottom, top2] : [top, top2];
    const bent = bottom2 <= top || top2 >= bottom ? (y + y2) / 2 : top - Math.min(12 + Math.abs(x2 - x) / 6, 38); // beside it: an arc
    places.push([along(x, x, x2, x2), along(y, bent, bent, y2)]);
    return drawn("path", { d: `M${x},${y} C${x},${bent} ${x2},${bent} ${x2},${y2}`, "stroke-width": width, "stroke-opacity": 0.25 + 0.6 * share });
  }));
  return places;
}

// The word to begin with: the first that looks at another one, else the one that looks at others most. Ends and marks
// are no words. weights: rows by columns.
export function telling(weights, rows, columns, same) {
  const most = rows.map((row, r) => (row.parks ? -1 : columns.reduce((best, column, c) => (column.parks || (same && c === r) ? best : Math.max(best, weights[r * columns.length + c])), 0)));
  const first = most.findIndex((share) => share >= SHOWS);
  return first >= 0 ? first : largest(most, 1)[0] ?? 0;
}

// Every layer of the same kind, a row of dots each: the area is the share. Below it the words, as many as there is room for.
function strip(context, canvas, lines, asked) {
  const { scene, layer, pick, spokenLayer } = context;
  const layers = alike(scene, layer);
  const [left, step, wide] = [LEFT, STEP, canvas.parentElement.clientWidth];
  const high = step * layers.length + 4;
  const pen = sized(canvas, wide, high + NAMES);
  pen.clearRect(0, 0, wide, high + NAMES);
  const apart = (wide - left) / asked.length;
  const every = Math.ceil(12 / apart);
  const names = asked.flatMap(({ text }, c) => (c % every ? [] : [[left + apart * (c + 0.5) + 4, [...shown(text)].slice(0, 10).join("")]]));
  pen.font = "11px system-ui, sans-serif";
  const [text, quiet, tint] = ["--text", "--quiet", "--hue"].map(colour);
  canvas.vector = () => layers.flatMap((other, r) => {
    const y = 2 + step * (layers.length - 1 - r) + step / 2;
    const width = (wide - left) / lines[r].length;
    const below = r ? [] : names.map(([x, name]) => drawn("text", { transform: `translate(${x} ${high + 4}) rotate(-60)`, "text-anchor": "end", "font-size": 11, "font-family": "system-ui, sans-serif", fill: quiet }, legible(name)));
    return [...below, drawn("text", { x: 6, y: y + 4, "font-size": 11, "font-family": "system-ui, sans-serif", fill: pick.layers.includes(other) ? text : quiet }, String(other.number)),
      ...[...lines[r]].map((share, c) => drawn("circle", { cx: (left + width * (c + 0.5)).toFixed(2), cy: y, r: Math.max((step / 2) * Math.sqrt(Math.min(share, 1)), 0.4).toFixed(2), fill: tint }))]; // prettier-ignore
  });
  layers.forEach((other, r) => {
    const y = 2 + step * (layers.length - 1 - r) + step / 2; // the last layer on top, as in the rail
    pen.fillStyle = pick.layers.includes(other) ? text : quiet;
    pen.fillText(String(other.number), 6, y + 4);
    pen.fillStyle = tint;
    const width = (wide - left) / lines[r].length;
    pen.beginPath();
    lines[r].forEach((share, c) => {
      const [x, radius] = [left + width * (c + 0.5), Math.max((step / 2) * Math.sqrt(Math.min(share, 1)), 0.4)];
      if (radius < 1.5) return pen.fillRect(x - 0.886 * radius, y - 0.886 * radius, 1.772 * radius, 1.772 * radius); // as large
      pen.moveTo(x + radius, y);
      pen.arc(x, y, radius, 0, 2 * Math.PI);
    });
    pen.fill();
  });
  pen.fillStyle = quiet;
  pen.textAlign = "right";
  for (const [x, name] of names) {
    pen.save();
    pen.translate(x, high + 8);
    pen.rotate(-Math.PI / 3);
    pen.fillText(name, 0, 0);
    pen.restore();
  }
  pen.textAlign = "left";
  canvas.onpointermove = (event) => {
    const [c, r] = [Math.floor((event.offsetX - left) / apart), layers.length - 1 - Math.floor((event.offsetY - 2) / step)];
    canvas.title = lines[r]?.[c] === undefined ? "" : `${spokenLayer(layers[r])}: ${shown(asked[c].text)} ${percent(lines[r][c], 1)}`;
  };
  canvas.setAttribute("aria-label", `${spokenLayer(layer)} and its neighbours, a row of dots for each layer`);
}

// The arrows go from word to word of a line.
export function walk({ node, tokens }) {
  node.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    const here = tokens.indexOf(document.activeElement);
    if (!step || here < 0) return;
    const next = tokens[Math.max(0, Math.min(tokens.length - 1, here + step))];
    tokens.forEach((token) => (token.tabIndex = token === next ? 0 : -1));
    next.focus();
    event.preventDefault();
  });
}

// Of the shares those that make up so much of their sum, the largest first; the others are 0.
export function topmost(shares, percent) {
  if (percent >= 100) return shares;
  const kept = new Set();
  let left = (shares.reduce((sum, share) => sum + share, 0) * percent) / 100;
  for (const i of largest(shares, shares.length)) {
    if (left <= 1e-9) break;
    left -= shares[i];
    kept.add(i);
  }
  return shares.map((share, i) => (kept.has(i) ? share : 0));
}

// Words of a decoder that come later, and that one cannot see; backward, those before it, which cannot see it.
export function hidden(layer, from, others, shares, backward) {
  const late = (one, other) => one.members[0] > other.members.at(-1);
  return others.map((other, c) => layer.role === "decoder" && shares[c] === 0 && (backward ? late(from, other) : late(other, from)));
}

// Only where it changes: of many words most stay as they are.
export function tint(token, share) {
  if (token.share === share) return;
  token.share = share;
  token.style.setProperty("--share", share);
}

function draw(root, context) {
  const { scene, layer, pick, data, state, rows, columns, same } = context;
  const backward = state.now.backward;
  const [asking, asked] = backward ? [columns, rows] : [rows, columns];
  const [askingSide, askedSide] = backward ? [layer.columns, layer.rows] : [layer.rows, layer.columns];
  const svg = drawn("svg", { class: "arcs", "aria-hidden": "true" });
  const caption = el("p", { class: "caption", "aria-live": "polite" });
  const parking = el("div", { class: "parking", "aria-hidden": "true" }, el("span", {}, "parked on ends and marks"), el("div", { class: "bar" }, el("i")));
  const canvas = el("canvas", { role: "img" });
  const cutting = el("div", { class: "cutting" });
  let over = null;

  const pinned = () => (state.now.pin !== null && state.now.pin < asking.length ? state.now.pin : null);
  let first = null; // the word that is shown where none is chosen
  const when = {
    over(i) {
      if (over === i) return;
      over = i;
      if (pinned() === null) show(i);
    },
    pin: (i) => state.set({ pin: pinned() === i ? null : i }),
  };
  const one = line(askingSide, "asking", asking, true, when);
  const other = same ? one : line(askedSide, "asked", asked, false, when);
  const snips = el("div", { class: "snips", "data-apart": true });
  const board = el("div", { class: `lines${asked.length > MANY ? " many" : ""}` }, svg, ...(same ? [one.node] : [other.node, one.node]), snips);

  let wanted = null;
  let painted = null; // what is shown now, to be copied
  let [begun, coming] = [null, null]; // when it is
  const ready = async () => (await begun, coming);

  // A word, and what it looks at; or why that cannot be shown.
  function show(i) {
    coming = paint(i);
    coming.catch((error) => {
      if (wanted !== i) return;
      for (const node of [svg, snips]) node.replaceChildren();
      for (const token of other.tokens) tint(token, 0);
      cutting.replaceChildren();
      caption.classList.add("wrong");
      caption.textContent = error.message;
    });
  }

  async function paint(i) {
    wanted = i;
    const lines = await data.looked(scene, layer, asking[i].members, backward);
    if (wanted !== i) return; // the pointer has gone on
    const found = alike(scene, layer).map((one, r) => sharedAt(pick, one, lines[r], asked, backward));
    const shares = shared(pick, scene, lines, asked, backward);
    painted = { from: asking[i], shares, found };
    const tinted = topmost(shares.map((share, c) => (asked[c].parks && !state.now.parked ? 0 : share)), state.now.top);
    const unseen = hidden(layer, asking[i], asked, shares, backward);
    const most = Math.max(...tinted, 1e-9);
    const best = largest(tinted, ARCS).filter((c) => tinted[c] >= LEAST && !(same && c === i));
    const places = arcs(svg, board, one.tokens[i], best.map((c) => [other.tokens[c], tinted[c]])); // places are read before anything is written
    other.tokens.forEach((token, c) => {
      tint(token, Math.round(state.shade(tinted[c] / most) * 34) / 40);
      token.title = unseen[c] ? (backward ? "stands before it, and cannot see it" : "comes later, and is not seen") : `${percent(shares[c], 1)}`;
      if (token.classList.contains("unseen") !== unseen[c]) token.classList.toggle("unseen", unseen[c]);
    });
    one.tokens.forEach((token, c) => {
      if (token.classList.contains("from") !== (c === i)) token.classList.toggle("from", c === i);
      const pressed = String(c === pinned());
      if (token.getAttribute("aria-pressed") !== pressed) token.setAttribute("aria-pressed", pressed);
    });
    caption.classList.remove("wrong");
    caption.textContent = told(context, asking[i], shares, asked, backward);
    const parked = shares.reduce((sum, share, c) => sum + (asked[c].parks ? share : 0), 0);
    parking.hidden = backward || pick.max;
    parking.querySelector("i").style.width = `${100 * parked}%`;
    parking.lastChild.title = percent(parked, 1);
    strip(context, canvas, found, asked);
    const link = (c) => {
      const [queries, keys] = backward ? [asked[c].members, asking[i].members] : [asking[i].members, asked[c].members];
      return { text: asked[c].text, share: shares[c], queries, keys };
    };
    const links = i === pinned() ? largest(shares, CUTS).filter((c) => shares[c] >= LEAST).map(link) : [];
    const { nodes, cut, ends } = cutter(context, asking[i].text, links, backward);
    cutting.replaceChildren(...nodes);
    snips.replaceChildren(...(cut ? best : []).map((c, k) => el("button", { type: "button", tabindex: -1, style: { left: `${places[k][0]}px`, top: `${places[k][1]}px` }, onclick: () => cut(link(c)),
      title: "Cut this link, and measure: below there is a button of it too", "aria-label": `Cut the arc ${ends(link(c))}` }, "×"))); // prettier-ignore
  }

  // A word that is chosen is shown at once; else one is sought that shows something.
  async function begin() {
    const word = Math.max(asking.findIndex((group) => !group.parks), 0);
    if (pinned() !== null || backward || rows.length > MANY || columns.length > MANY) first = word;
    else {
      first = await mapOf(data, scene, pick, rows, columns).then((map) => telling(map, rows, columns, same), () => word); // what is wrong is told by what is shown
      if (!board.isConnected) return;
    }
    one.tokens.forEach((token, i) => (token.tabIndex = i === (pinned() ?? first) ? 0 : -1));
    if (wanted === null || pinned() !== null) root.repaint();
  }

  board.addEventListener("pointerleave", () => {
    over = null;
    if (pinned() === null && first !== null) show(first);
  });
  walk(one);
  const copied = copies(context, "what a word looks at", {
    ready,
    nodes: () => [board, caption],
    table: () => [[backward ? "what looks" : "what is looked at", "share"], ...asked.map(({ text }, c) => [text, painted.shares[c]])],
    python: () => python.row(context, painted.from, asked, backward),
  });
  const copiedStrip = copies(context, "the layers", {
    ready,
    nodes: () => [strip_],
    table: () => [["layer", ...asked.map(({ text }) => text)], ...painted.found.map((shares, r) => [String(alike(scene, layer)[r].number), ...shares])],
    python: () => python.depth(context, painted.from, asked, backward),
  });
  const strip_ = el("div", { class: "strip" }, canvas);
  const shownTop = el("output", {}, `${state.now.top} %`);
  const slider = el("input", { type: "range", min: 10, max: 100, step: 5, value: state.now.top, "aria-label": "Show the largest shares that make up so much", oninput: () => {
    shownTop.textContent = `${slider.value} %`;
    state.set({ top: Number(slider.value) });
  } }); // prettier-ignore
  const threshold = el("label", { class: "slide" }, "show the top ", slider, shownTop);
  root.replaceChildren(board, caption, parking, threshold, copied, cutting, el("h2", {}, "Layer by layer: a dot for each word, its area is the share"), strip_, copiedStrip);
  root.repaint = () => first !== null && show(pinned() ?? over ?? first);
  root.resized = root.repaint;
  begun = begin();
}

export const focus = {
  name: "words",
  title: "Words",
  tools: ["heads", "direction", "pieces", "parked", "scale"],
  note: "Where attention goes is not yet why the model answers as it does: a word may be looked at and not used.",
  fits: (scene) => scene.sides.every((side) => side.grid === null && side.step === null),
  draw,
};
