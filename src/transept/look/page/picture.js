// Pictures: what a place, or the class token, looks at, laid over the picture's own grid.

import { el, percent, wide } from "./dom.js";
import { hue } from "./atlas.js";

const SIDE = 420;

function draw(root, context) {
  const { scene, layer, weights, heads, state, sides } = context;
  const place = sides.columns.grid ? sides.columns : sides.rows;
  const [rows, columns] = place.grid;
  const before = place.texts.length - rows * columns;
  const [, S, T] = layer.shape;
  const asking = sides.rows;
  const pin = Math.min(state.now.pin ?? 0, asking.texts.length - 1);
  const share = (s, t) => heads.reduce((sum, h) => sum + weights[(h * S + s) * T + t], 0) / heads.length;
  const canvas = el("canvas", { width: columns, height: rows, class: "over", role: "img" });
  const caption = el("p", { class: "caption", "aria-live": "polite" });
  const photo = scene.picture ? el("img", { src: scene.picture, alt: scene.title }) : null;
  const board = el("div", { class: "board", style: { width: `${SIDE}px`, height: `${(SIDE * rows) / columns}px` } }, ...(photo ? [photo] : []), canvas);

  function paint(s) {
    const pen = canvas.getContext("2d");
    const [red, green, blue] = hue();
    const image = pen.createImageData(columns, rows);
    const shares = place.texts.map((_, t) => share(s, t));
    const most = Math.max(...shares.slice(before), 1e-9);
    for (let i = 0; i < rows * columns; i++) image.data.set([red, green, blue, 230 * Math.sqrt(shares[before + i] / most)], 4 * i);
    pen.putImageData(image, 0, 0);
    const best = [...shares.keys()].slice(before).sort((a, b) => shares[b] - shares[a]).slice(0, 3);
    const parked = shares.slice(0, before).reduce((sum, one) => sum + one, 0);
    caption.textContent = `${context.spokenLayer(layer)}: ${asking.grid && s >= before ? `the place at ${asking.texts[s]}` : asking.texts[s]} looks at ${best
      .map((t) => `${place.texts[t]} (${percent(shares[t], 1)})`).join(", ")}${before ? `; ${percent(parked)} at what is no place` : ""}.`;
    canvas.setAttribute("aria-label", caption.textContent);
  }

  const choices = asking.grid
    ? asking.texts.slice(0, before).map((text, s) => el("button", { type: "button", "aria-pressed": String(pin === s), onclick: () => state.set({ pin: s }) }, text))
    : asking.texts.map((text, s) => el("button", { type: "button", class: `token${pin === s ? " from" : ""}`, "aria-pressed": String(pin === s), onclick: () => state.set({ pin: s }), onpointerenter: () => paint(s), onpointerleave: () => paint(pin) }, text || "∅"));
  const number = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((v) => Math.min(Math.max(v, 0), 0.9999));
    return before + Math.floor(y * rows) * columns + Math.floor(x * columns);
  };
  if (asking.grid) {
    canvas.addEventListener("pointermove", (event) => paint(number(event)));
    canvas.addEventListener("pointerleave", () => paint(pin));
    canvas.addEventListener("click", (event) => state.set({ pin: number(event) }));
  }
  const answers = scene.answers.length
    ? [el("h2", {}, "The model's answer"), el("ol", { class: "choices" }, ...scene.answers.map(([text, probability]) =>
        el("li", {}, el("span", { class: "bar" }, el("i", wide(probability))), el("span", {}, text), el("small", {}, percent(probability, probability < 0.01 ? 3 : 1)))))]
    : [];
  root.replaceChildren(el("div", { class: "chips" }, ...choices), board, caption, ...answers);
  root.repaint = null;
  root.resized = null;
  paint(pin);
}

export const picture = {
  name: "picture",
  title: "Picture",
  maps: true,
  tools: ["heads"],
  note: "Squares are the model's own: nothing is smoothed. Point at one to see what it looks at; click to hold it.",
  shows: (layer, scene) => scene.sides.some((side) => side.grid !== null && side.name === layer.columns),
  fits: (scene) => scene.sides.some((side) => side.grid !== null),
  draw,
};
