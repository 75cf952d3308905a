// Pictures: what some places, or the class token, look at on average, laid over the picture's own grid.

import { hue } from "./atlas.js";
import { copies } from "./copy.js";
import { el, percent, toggle, wide } from "./dom.js";
import * as python from "./python.js";
import { shared } from "./pick.js";
import { largest } from "./words.js";

const SIDE = 420;
const ROLLOUT = "The maps of all layers up to this one, each the mean of its heads and half of what stays, multiplied (Abnar & Zuidema 2020): an estimate of where a place's vector comes from, which says nothing of the values";

const cursors = new WeakMap(); // where the arrows went last, of each scene: a pin draws the picture anew

const numbers = (text) => [...new Set((text.match(/\d+/g) ?? []).map(Number))];

function draw(root, context) {
  const { scene, layer, pick, state, sides, data } = context;
  const place = sides.columns.grid ? sides.columns : sides.rows;
  const [rows, columns] = place.grid;
  const before = place.texts.length - rows * columns;
  const asking = sides.rows;
  const groups = place.texts.map((text, t) => ({ text, members: [t] }));
  const given = numbers(state.now.pins ?? String(state.now.pin ?? "")).filter((one) => one < asking.texts.length);
  const pins = given.length ? given : [0];
  const canvas = el("canvas", { width: columns, height: rows, class: `over${state.now.smooth ? " smooth" : ""}`, role: "img", style: { opacity: state.now.opacity / 100 } });
  const caption = el("p", { class: "caption", "aria-live": "polite" });
  const parked = el("i");
  const parking = before ? el("div", { class: "parking", "aria-hidden": "true" }, el("span", {}, `parked on ${place.texts.slice(0, before).join(" and ")}`), el("div", { class: "bar" }, parked)) : null;
  const photo = scene.picture ? el("img", { src: scene.picture, alt: scene.title }) : null;
  const frames = el("div", { class: "frames", "aria-hidden": "true" });
  const board = el("div", { class: "board", style: { width: `${SIDE}px`, "aspect-ratio": `${columns} / ${rows}` } }, ...(photo ? [photo] : []), canvas, frames);
  const name = (s) => (asking.grid && s >= before ? `the place at (${asking.texts[s]})` : asking.texts[s]);
  const last = pick.layers.at(-1); // attention is followed up to it
  let [painted, wanted] = [null, null];
  const kept = cursors.get(scene);
  let cursor = kept !== undefined && kept < place.texts.length ? kept : pins.find((s) => s >= before) ?? before;

  // The outline of a place.
  function frame(s, kind) {
    const [row, column] = [Math.floor((s - before) / columns), (s - before) % columns];
    const part = (share) => `${100 * share}%`;
    return el("i", { class: kind, style: { left: part(column / columns), top: part(row / rows), width: part(1 / columns), height: part(1 / rows) } });
  }

  async function looked(from) {
    const lines = await data.looked(scene, layer, from, false);
    return shared(pick, scene, lines, groups);
  }

  async function followed(from) {
    const whole = await data.rollout(scene, scene.layers.indexOf(last));
    return Float64Array.from(groups, (_, t) => from.reduce((sum, s) => sum + whole[s * groups.length + t] / from.length, 0));
  }

  async function paint(from) {
    wanted = from;
    frames.replaceChildren(...(asking.grid ? [...pins.filter((s) => s >= before).map((s) => frame(s, "pin")), ...from.filter((s) => s >= before && !pins.includes(s)).map((s) => frame(s, "here"))] : []));
    const shares = await (state.now.rollout ? followed(from) : looked(from));
    if (wanted !== from || !canvas.isConnected) return; // the pointer has gone on
    painted = { from, shares };
    const pen = canvas.getContext("2d");
    const [red, green, blue] = hue();
    const image = pen.createImageData(columns, rows);
    const most = Math.max(...shares.slice(before), 1e-9);
    for (let i = 0; i < rows * columns; i++) image.data.set([red, green, blue, 255 * state.shade(shares[before + i] / most)], 4 * i);
    pen.putImageData(image, 0, 0);
    const best = largest(shares, shares.length).filter((t) => t >= before).slice(0, 3);
    const aside = shares.slice(0, before).reduce((sum, one) => sum + one, 0);
    const unsummed = pick.max && !state.now.rollout;
    if (parking) parking.hidden = unsummed;
    parked.style.width = percent(aside, 2).replace(" ", "");
    const who = from.length > 1 ? `the mean of ${from.length}, ${from.map(name).join("; ")},` : name(from[0]);
    caption.textContent = `${state.now.rollout ? `Attention rollout up to ${context.spokenLayer(last)}` : context.place}: ${who} ${state.now.rollout ? "comes from" : "looks at"} ${best
      .map((t) => `(${place.texts[t]}) ${percent(shares[t], 1)}`).join(", ")}${before && !unsummed ? `; ${percent(aside)} at what is no place` : ""}.`; // prettier-ignore
    canvas.setAttribute("aria-label", caption.textContent);
  }
  let coming = null;
  const show = (from) => (coming = paint(from)).catch((error) => context.say(error.message, true));

  // A place is pinned beside the others, or let go; of words one is looked at.
  function pin(s) {
    const others = given.filter((one) => one !== s);
    const next = given.includes(s) ? others : asking.grid ? [...others, s].sort((a, b) => a - b) : [s];
    state.set({ pins: next.length ? String(next) : null, pin: null });
  }
  const choices = asking.grid
    ? asking.texts.slice(0, before).map((text, s) => el("button", { type: "button", "aria-pressed": String(pins.includes(s)), onclick: () => pin(s) }, text))
    : asking.texts.map((text, s) => el("button", { type: "button", class: `token${pins.includes(s) ? " from" : ""}`, "aria-pressed": String(pins.includes(s)), onclick: () => pin(s), onpointerenter: () => show([s]), onpointerleave: () => show(pins) }, text || "∅")); // prettier-ignore
  const number = (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((v) => Math.min(Math.max(v, 0), 0.9999));
    return before + Math.floor(y * rows) * columns + Math.floor(x * columns);
  };
  if (asking.grid) {
    let over = null;
    board.classList.add("asks");
    board.addEventListener("pointermove", (event) => {
      if (over === number(event)) return;
      over = number(event);
      show([over]);
    });
    board.addEventListener("pointerleave", () => {
      over = null;
      show(pins);
    });
    board.addEventListener("click", (event) => {
      cursors.set(scene, number(event));
      pin(number(event));
    });
    Object.assign(board, { tabIndex: 0 });
    board.setAttribute("role", "application");
    board.setAttribute("aria-label", "The places of the picture: arrows go from one to the next, Enter pins it or lets it go");
    board.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!step && event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      if (!step) return pin(cursor);
      const [row, column] = [Math.floor((cursor - before) / columns) + step[0], ((cursor - before) % columns) + step[1]];
      if (row < 0 || column < 0 || row >= rows || column >= columns) return;
      cursor = before + row * columns + column;
      cursors.set(scene, cursor);
      show([cursor]);
    });
  }
  const shading = el("input", { type: "range", min: 0, max: 100, value: state.now.opacity, "aria-label": "How opaque the colour is",
    oninput: () => (canvas.style.opacity = shading.value / 100), onchange: () => state.set({ opacity: Number(shading.value) }) }); // prettier-ignore
  const answers = scene.answers.length
    ? [el("h2", {}, "The model's answer"), el("ol", { class: "choices" }, ...scene.answers.map(([text, probability]) =>
        el("li", {}, el("span", { class: "bar" }, el("i", wide(probability))), el("span", {}, text), el("small", {}, percent(probability, probability < 0.01 ? 3 : 1)))))]
    : [];
  const copied = copies(context, "what is looked at in the picture", {
    ready: () => coming,
    nodes: () => [board, caption],
    table: () => [["place", "share"], ...place.texts.map((text, t) => [text, painted.shares[t]])],
    python: () => (state.now.rollout ? python.rollout({ ...context, layer: last }, painted.from) : python.tokens(context, painted.from)),
  });
  root.replaceChildren(el("div", { class: "chips" }, ...choices, el("label", { class: "slide" }, "colour ", shading), toggle("smooth", state.now.smooth, (smooth) => state.set({ smooth })),
      toggle("attention rollout", state.now.rollout, (rollout) => state.set({ rollout }), { title: ROLLOUT })),
    board, ...(parking ? [parking] : []), caption, copied, ...answers); // prettier-ignore
  root.repaint = root.resized = null;
  show(pins);
}

export const picture = {
  name: "picture",
  title: "Picture",
  tools: ["heads", "scale"],
  note: "A place is called (row, column), from the top left. Squares are the model's own; smooth mixes neighbours, which the model never did. Point at one to see what it looks at; click to hold it, and others to see their mean.",
  shows: (layer, scene) => scene.sides.some((side) => side.grid !== null && side.name === layer.columns),
  fits: (scene) => scene.sides.some((side) => side.grid !== null),
  draw,
};
