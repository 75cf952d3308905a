// The matrix: exact shares of one map, for as many words as there are.

import { alike } from "./data.js";
import { colour, drawn, el, fixed, percent, shown, sized } from "./dom.js";
import { hue } from "./atlas.js";
import { copies } from "./copy.js";
import * as python from "./python.js";
import { beside, besideName, congruent, lessened, partner, places, spelt } from "./partner.js";
import { mapOf } from "./pick.js";
import { legible } from "./svg.js";

const LABELS = 96;
const MEANS = 28; // pixels of the bars below
const ORDERS = { "": "as written", columns: "columns: most looked at first", rows: "rows: narrowest first" };

function draw(root, context) {
  const { layer, pick, state, scene, data } = context;
  let { rows, columns } = context;
  const [R, C] = [rows.length, columns.length];
  let shares = new Float32Array(R * C);
  const canvas = el("canvas", { tabindex: 0, role: "img", class: "matrix",
    "aria-label": `${context.place}: ${R} rows, what looks, by ${C} columns, what they look at. A table of numbers follows.` }); // prettier-ignore
  const told = el("p", { class: "caption", "aria-live": "polite" }, " ");
  const picture = document.createElement("canvas");
  const B = state.now.other === null ? null : partner(context);
  const before = root.querySelector("details.numbers[open]"); // a table that was opened stays open
  const other = el("select", { onchange: () => state.set({ other: other.value || null }) }, ...choices(context, B));
  const key = el("span", { hidden: true });
  let differs = false;
  let [zoom, left, top] = [0, 0, 0]; // CSS pixels of a cell; the corner that is shown, in cells
  let [wide, high] = [0, 0];
  let waiting = false;
  let [means, ends] = [new Float32Array(C), null]; // how much each column is looked at; where what a row sees ends

  function fill() {
    Object.assign(picture, { width: C, height: R });
    const pen = picture.getContext("2d");
    const [plus, less] = [hue("--hue"), hue("--other")];
    const image = pen.createImageData(C, R);
    const numbers = new Uint32Array(image.data.buffer);
    const packed = ([r, g, b], strength) => ((255 * strength) << 24) | (b << 16) | (g << 8) | r;
    for (let i = 0; i < shares.length; i++) numbers[i] = packed(shares[i] < 0 ? less : plus, state.shade(Math.abs(shares[i])));
    pen.putImageData(image, 0, 0);
    means = new Float32Array(C);
    for (let i = 0; i < shares.length; i++) means[i % C] += shares[i] / R;
    if (layer.role === "decoder" && state.now.order !== "columns") ends = rows.map(({ members }, r) => {
      let end = C;
      while (end > 0 && columns[end - 1].members[0] > members.at(-1) && shares[r * C + end - 1] === 0) end--;
      return end;
    }); // prettier-ignore
  }

  // What comes later, and cannot be seen.
  function hatch(pen, shownR, shownC) {
    if (!ends) return;
    pen.save();
    pen.beginPath();
    for (let r = Math.floor(top); r < Math.min(R, top + shownR); r++) {
      const [x, y] = [LABELS + Math.max(ends[r] - left, 0) * zoom, LABELS + Math.max(r - top, 0) * zoom];
      const [x2, y2] = [LABELS + shownC * zoom, LABELS + Math.min(r + 1 - top, shownR) * zoom];
      if (x2 > x) pen.rect(x, y, x2 - x, y2 - y);
    }
    pen.clip();
    pen.beginPath();
    for (let x = LABELS - shownR * zoom; x < LABELS + shownC * zoom; x += 8) {
      pen.moveTo(x, LABELS + shownR * zoom);
      pen.lineTo(x + shownR * zoom, LABELS);
    }
    pen.strokeStyle = colour("--line");
    pen.stroke();
    pen.restore();
  }

  // How much each column is looked at, the mean of the rows.
  function below(pen, shownR, shownC) {
    if (differs) return;
    const most = means.reduce((one, other) => Math.max(one, other), 1e-9);
    pen.fillStyle = colour("--quiet");
    for (let c = Math.floor(left); c < Math.min(C, left + shownC); c++) {
      const [x, x2] = [Math.max(c - left, 0) * zoom, Math.min(c + 1 - left, shownC) * zoom];
      const tall = ((MEANS - 6) * means[c]) / most;
      pen.fillRect(LABELS + x, LABELS + shownR * zoom + MEANS - tall, Math.max(x2 - x - (zoom > 4 ? 1 : 0), 0.5), tall);
    }
    pen.fillText("mean", LABELS - 6 - pen.measureText("mean").width, LABELS + shownR * zoom + MEANS - 4);
  }

  function paint() {
    waiting = false;
    const pen = sized(canvas, wide + LABELS, high + LABELS + MEANS);
    pen.clearRect(0, 0, wide + LABELS, high + LABELS + MEANS);
    pen.imageSmoothingEnabled = false;
    const [shownC, shownR] = [Math.min(C - left, wide / zoom), Math.min(R - top, high / zoom)];
    pen.drawImage(picture, left, top, shownC, shownR, LABELS, LABELS, shownC * zoom, shownR * zoom);
    pen.fillStyle = colour("--text");
    pen.font = `${Math.min(13, Math.max(9, zoom - 1))}px system-ui, sans-serif`;
    const every = Math.ceil(11 / zoom); // labels never stand on each other
    for (let r = Math.ceil(top / every) * every; r < Math.min(R, top + shownR); r += every) {
      pen.textAlign = "right";
      pen.fillText(shown(rows[r].text).slice(0, 14), LABELS - 6, LABELS + (r - top + 0.5) * zoom + 4, LABELS - 10);
    }
    for (let c = Math.ceil(left / every) * every; c < Math.min(C, left + shownC); c += every) {
      pen.save();
      pen.translate(LABELS + (c - left + 0.5) * zoom + 4, LABELS - 6);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      pen.fillText(shown(columns[c].text).slice(0, 14), 0, 0, LABELS - 10);
      pen.restore();
    }
    hatch(pen, shownR, shownC);
    pen.textAlign = "left";
    below(pen, shownR, shownC);
    pen.strokeStyle = colour("--line");
    pen.strokeRect(LABELS - 0.5, LABELS - 0.5, shownC * zoom + 1, shownR * zoom + 1);
  }

  // The whole map, wherever it is looked at.
  const cell = Math.min(14, 1200 / Math.max(R, C));
  canvas.extent = () => [0, 0, LABELS + C * cell, LABELS + R * cell + (differs ? 0 : MEANS)];
  canvas.vector = () => {
    const every = Math.ceil(11 / cell);
    const font = { "font-size": Math.min(11, Math.max(cell - 1, 8)), "font-family": "system-ui, sans-serif", fill: colour("--text") };
    const name = ({ text }) => legible([...shown(text)].slice(0, 14).join(""));
    const named = (list, told) => list.flatMap((group, i) => (i % every ? [] : [drawn("text", { ...font, ...told(LABELS + (i + 0.5) * cell + 4) }, name(group))]));
    const [foot, most] = [LABELS + R * cell + MEANS, means.reduce((one, other) => Math.max(one, other), 1e-9)];
    const bars = differs ? [] : [drawn("path", { fill: colour("--quiet"), d: [...means].map((mean, c) => `M${(LABELS + c * cell).toFixed(1)},${foot}v${(-(MEANS - 6) * mean / most).toFixed(2)}h${(0.9 * cell).toFixed(2)}V${foot}z`).join("") })];
    return [...bars, drawn("image", { href: picture.toDataURL(), x: LABELS, y: LABELS, width: C * cell, height: R * cell, preserveAspectRatio: "none", "image-rendering": "pixelated" }),
      ...named(rows, (y) => ({ x: LABELS - 6, y, "text-anchor": "end" })), ...named(columns, (x) => ({ transform: `translate(${x} ${LABELS - 6}) rotate(-90)` }))]; // prettier-ignore
  };

  function later() {
    left = Math.max(0, Math.min(left, C - wide / zoom));
    top = Math.max(0, Math.min(top, R - high / zoom));
    if (!waiting) requestAnimationFrame(paint);
    waiting = true;
    if (table.open) {
      clearTimeout(settled);
      settled = setTimeout(write, 250);
    }
  }

  function fit() {
    const room = canvas.parentElement.clientWidth - LABELS - 2;
    if (room < 1) return; // no window, or one without width
    const tall = Math.max(240, Math.min(window.innerHeight * 0.7, 900)) - LABELS;
    [wide, high] = [room, tall];
    zoom = Math.min(room / C, tall / R, 36);
    [wide, high] = [Math.min(room, Math.max(zoom * C, 1)), Math.min(tall, Math.max(zoom * R, 1))];
    if (zoom < 4) [wide, high] = [room, tall];
    later();
  }

  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const c = Math.floor((event.clientX - box.left - LABELS) / zoom + left);
    const r = Math.floor((event.clientY - box.top - LABELS) / zoom + top);
    return r >= 0 && c >= 0 && r < R && c < C && event.clientX - box.left >= LABELS && event.clientY - box.top >= LABELS ? [r, c] : null;
  }

  function tell(cell) {
    if (!cell) return;
    const [r, c] = cell;
    const share = shares[r * C + c];
    const mean = differs ? "" : `; ${shown(columns[c].text)} has ${percent(means[c], 2)} on average`;
    told.textContent = ends && c >= ends[r] ? `${shown(rows[r].text)} → ${shown(columns[c].text)}: comes later, and is not seen` : `${shown(rows[r].text)} → ${shown(columns[c].text)}: ${differs && share > 0 ? "+" : ""}${percent(share, 2)}${mean}`;
  }

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => (drag = null));
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return tell(cellAt(event));
    left -= (event.clientX - drag[0]) / zoom;
    top -= (event.clientY - drag[1]) / zoom;
    drag = [event.clientX, event.clientY];
    later();
  });
  canvas.addEventListener("wheel", (event) => {
    const cell = cellAt(event);
    if (!cell || !(event.ctrlKey || event.shiftKey || zoom * Math.max(R, C) > 1.01 * Math.max(wide, high) || event.deltaY < 0)) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - LABELS, event.clientY - box.top - LABELS];
    const next = Math.min(48, Math.max(Math.min(wide / C, high / R), zoom * Math.exp(-event.deltaY / 400)));
    left += x / zoom - x / next;
    top += y / zoom - y / next;
    zoom = next;
    later();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) [left, top] = [left + 4 * step[0], top + 4 * step[1]];
    else if (event.key === "+") zoom = Math.min(48, zoom * 1.25);
    else if (event.key === "-") zoom = Math.max(Math.min(wide / C, high / R), zoom / 1.25);
    else return;
    event.preventDefault();
    event.stopPropagation();
    later();
  });

  const table = el("details", { class: "numbers", open: Boolean(before), style: before ? { "min-height": `${before.offsetHeight}px` } : {} }, el("summary", {}, "The numbers"));
  let settled = null;
  const write = () => {
    if (!zoom) return; // the shares are not here yet
    table.style.minHeight = "";
    table.replaceChildren(table.firstChild, numbers(rows, columns, shares, [Math.floor(top), Math.floor(left)], [Math.ceil(top + high / zoom), Math.ceil(left + wide / zoom)]));
  };
  table.addEventListener("toggle", () => table.open && write());

  // Rows or columns in another order, where one is wanted.
  function sort() {
    const { order } = state.now;
    if (!order || !Object.hasOwn(ORDERS, order)) return;
    const spread = (r) => shares.subarray(r * C, (r + 1) * C).reduce((sum, share) => (share > 0 ? sum - share * Math.log(share) : sum), 0);
    const sums = new Float32Array(C);
    for (let i = 0; i < shares.length; i++) sums[i % C] += shares[i];
    const keys = order === "rows" ? rows.map((_, r) => spread(r)) : [...sums].map((sum) => -sum);
    const turned = [...keys.keys()].sort((one, other) => keys[one] - keys[other]);
    const own = shares;
    if (order === "rows") {
      shares = Float32Array.from(own, (_, i) => own[turned[Math.floor(i / C)] * C + (i % C)]);
      rows = turned.map((r) => rows[r]);
    } else {
      shares = Float32Array.from(own, (_, i) => own[Math.floor(i / C) * C + turned[i % C]]);
      columns = turned.map((c) => columns[c]);
    }
  }
  const ordered = el("select", { onchange: () => state.set({ order: ordered.value }) }, ...Object.entries(ORDERS).map(([value, text]) => el("option", { value, selected: value === state.now.order }, text)));
  const copied = copies(context, "the matrix", {
    nodes: async () => (await ready, [canvas]),
    table: async () => (await ready, [["looks ↓ at →", ...columns.map(({ text }) => text)], ...rows.map(({ text }, r) => [text, ...shares.subarray(r * C, (r + 1) * C)])]),
    python: B === null || B.scene === scene ? () => python.map(context, rows, columns, B) : null, // a program is of one text
  });
  root.replaceChildren(
    el("p", { class: "axes" }, "Rows: what looks. Columns: what it looks at. ", el("label", {}, "Order ", ordered), " ", el("label", {}, "Subtract: ", other), " ", key),
    el("div", { class: "held" }, canvas), told, copied, table);
  root.repaint = () => {}; // nothing here hangs on a pin
  root.resized = fit;
  const own = mapOf(data, scene, pick, rows, columns);
  const ready = Promise.all([own, B === null ? null : lessened(context, B)]).then(([mine, taken]) => {
    if (!canvas.isConnected) return; // another view was chosen meanwhile
    shares = taken ? mine.map((share, i) => share - taken[i]) : mine;
    differs = Boolean(taken);
    key.hidden = B === null;
    key.textContent = taken ? `Blue: more here. Orange: more in ${whose(context, B)}.` : "The words of the two differ, and their matrices have no difference: Compare shows a word at a time.";
    sort();
    fill();
    fit();
    if (table.open) write();
  });
  ready.catch((error) => context.say(error.message, true));
}

const whose = (context, B) => [B.scene !== context.scene && besideName(context, B.scene, context.scene), B.place].filter(Boolean).join(", ");

// What can be taken away: any head of this scene, and the same one of another scene that has the same words.
function choices(context, B) {
  const { scene, layer, scenes } = context;
  const others = beside(scenes, scene, layer).filter(({ one }) => one !== scene && congruent(context, one));
  const value = B === null ? "" : B.scene === scene ? spelt({ index: null, layer: B.at, head: B.head }) : null;
  return [
    el("option", { value: "", selected: B === null }, "nothing"),
    ...others.map(({ one, index }) => el("option", { value: `${index}:`, selected: B?.index === index }, B?.index === index ? whose(context, B) : besideName(context, one, scene))),
    ...places(context, { scene, kin: alike(scene, layer) }, value, null),
  ];
}

const MOST = 64;

// What is in view, from one corner to the other, as a table.
function numbers(rows, columns, shares, [top, left], [bottom, right]) {
  const cells = columns.slice(left, Math.min(right, left + MOST));
  const body = rows.slice(top, Math.min(bottom, top + MOST)).map((row, r) =>
    el("tr", {}, el("th", { scope: "row" }, shown(row.text)), ...cells.map((_, c) => el("td", {}, fixed(100 * shares[(top + r) * columns.length + left + c], 1)))));
  const some = body.length < rows.length || cells.length < columns.length;
  const said = some ? [el("p", {}, `Rows ${top + 1} to ${top + body.length} of ${rows.length}, columns ${left + 1} to ${left + cells.length} of ${columns.length}: what is in view, at most ${MOST} of each.`)] : [];
  return el("div", { class: "table" }, ...said, el("table", {}, el("caption", {}, "Shares in per cent"),
    el("thead", {}, el("tr", {}, el("td"), ...cells.map((column) => el("th", { scope: "col" }, shown(column.text))))), el("tbody", {}, ...body))); // prettier-ignore
}

export const matrix = {
  name: "matrix",
  title: "Matrix",
  tools: ["heads", "pieces", "scale"],
  note: "The wheel zooms, dragging moves; arrows, + and − do the same on the keyboard.",
  fits: () => true,
  draw,
};
