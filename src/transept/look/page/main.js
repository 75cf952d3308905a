// The frame of the page: which scene, which layer, which heads, which view.

import { el, toggle } from "./dom.js";
import { alike, Refused, source } from "./data.js";
import { held, restored, roving } from "./keep.js";
import { kin, pickOf, severalOf, spokenHeads, spokenLayers, SUMS } from "./pick.js";
import { SCALES, State } from "./state.js";
import { groups } from "./words.js";
import { focus } from "./focus.js";
import { atlas } from "./atlas.js";
import { matrix } from "./matrix.js";
import { stage } from "./stage.js";
import { picture } from "./picture.js";
import { sound } from "./sound.js";
import { why } from "./why.js";
import { compare } from "./compare.js";
import { film } from "./film.js";
import { sceneName } from "./partner.js";
import { receive } from "./drop.js";

const VIEWS = [focus, picture, sound, stage, atlas, matrix, compare, film, why];
const FRESH = { pin: null, pins: null, step: null, output: null, against: null, other: null, twin: null }; // what belongs to one scene
const ROLES = { encoder: "encoder", decoder: "decoder", cross: "decoder → source" };

const at = (id) => document.getElementById(id);
const data = source();
const state = new State();
let told = null;

const scene = () => told.scenes[Math.min(state.now.scene, told.scenes.length - 1)];
const fitting = (one) => VIEWS.filter((view) => view.fits(one, data, told));

// The layer and head that are asked for, or that are best looked at first; another layer where the view cannot show it.
function placeOf(one, view = viewOf(one)) {
  const { now } = state;
  const told = now.layer === null && now.head === null && one.first ? one.first : [now.layer ?? 0, now.head];
  let layer = one.layers[Math.min(told[0], one.layers.length - 1)];
  let head = told[1] !== null && told[1] < layer.shape[0] ? told[1] : null;
  if (view.shows?.(layer, one) === false) {
    layer = one.layers.findLast((other) => view.shows(other, one)) ?? layer;
    if (now.layer === null) head = null;
  }
  return { layer, head: head !== null && head < layer.shape[0] ? head : null };
}

// A head alone; or, with a key held down, beside those that are chosen, or no more.
function choose(index, head, more, layers = null) {
  const layer = scene().layers[index];
  const now = placeOf(scene());
  const held = now.layer !== layer ? [] : severalOf(state.now, layer, now.head) ?? (now.head === null ? [] : [now.head]);
  const next = held.includes(head) ? held.filter((one) => one !== head) : [...held, head];
  if (!more || next.length < 2) state.set({ layer: index, layers, head: more ? next[0] ?? null : head, several: null });
  else state.set({ layer: index, layers, head: null, several: String(next.sort((a, b) => a - b)) });
}

// The mean of heads or the largest of them: of those that are chosen, where that is no change of all.
function join(index, max, several) {
  const kept = several && max !== state.now.max ? state.now.several : null;
  state.set({ layer: index, head: null, several: kept, max });
}

function viewOf(one) {
  const views = fitting(one);
  return views.find(({ name }) => name === state.now.view) ?? views[0];
}

export function spokenLayer(layer) {
  return layer.role === "cross" ? `decoder layer ${layer.number} → ${layer.columns}` : `${layer.role} layer ${layer.number}`;
}

const spokenPlace = (one, pick) => `${spokenLayers(one, pick, spokenLayer)}, ${spokenHeads(pick)}`;

function say(text, wrong = false) {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", wrong);
}

const open = (given, target, most, change) => show(() => data.scene(given, target, most), change);

// Another scene, from its beginning.
const turn = (index, change = {}) => state.set({ scene: index, ...FRESH, ...change });

let shows = 0; // how many scenes were asked for

// A scene that the model makes is shown as soon as it is there; where another was asked for meanwhile, it is in the list alone.
async function show(make, change) {
  const mine = ++shows;
  say("The model reads …");
  try {
    const made = await make();
    const twins = made.twin === null ? [] : [await data.again(made.twin)];
    told.scenes.push(made, ...twins);
    if (mine === shows) turn(told.scenes.indexOf(made), change);
    else drawScenes();
  } catch (error) {
    if (mine === shows) say(error.message, true);
  }
}

function drawRail(one, view) {
  const roles = [...new Set(one.layers.filter((layer) => view.shows?.(layer, one) !== false).map((layer) => layer.role))];
  at("rail").hidden = !view.tools.includes("heads");
  const { layer: chosen, head } = placeOf(one, view);
  const { layers } = pickOf(state.now, one, chosen, head);
  at("rail").replaceChildren(
    ...roles.map((role) =>
      el("div", { class: "stack", role: "group", "aria-label": ROLES[role] }, el("h2", {}, ROLES[role]),
        ...one.layers.map((layer, i) => [layer, i]).filter(([layer]) => layer.role === role).reverse()
          .map(([layer, i]) => toggle(String(layer.number), layers.includes(layer),
            () => state.set({ layer: i, layers: null, head: null }), { title: layer.name, "aria-label": spokenLayer(layer) }))))); // prettier-ignore
}

// The layer as a slider, which stays while it is dragged: behind the last layer all of them are one.
function drawDepth(one, { layer, head }, view) {
  const stops = alike(one, layer);
  const { layers } = pickOf(state.now, one, layer, head);
  const [slider, joined] = [at("depth-at"), kin(one, layer).length > 1];
  at("depth").hidden = !view.tools.includes("heads") || stops.length < 2;
  slider.max = stops.length - (joined ? 0 : 1);
  slider.value = state.now.layers === "all" && joined ? stops.length : stops.indexOf(layers[0]);
  slider.oninput = () => {
    const stop = stops[Number(slider.value)];
    if (stop) state.set({ layer: one.layers.indexOf(stop), layers: null, head });
    else state.set({ layer: one.layers.indexOf(layer), layers: "all", head });
  };
  const told = layers.length === stops.length ? "all layers" : `${layers.map(({ number }) => number).join(", ")} of ${stops.length}`;
  at("depth-told").textContent = told;
  slider.setAttribute("aria-valuetext", told);
}

function drawTools(one, { layer, head: chosen }, view, pick) {
  const [heads] = layer.shape;
  const { now } = state;
  const index = one.layers.indexOf(layer);
  const { several } = pick;
  const sides = one.sides.filter(({ name }) => name === layer.rows || name === layer.columns);
  const texts = sides.some(({ grid, step }) => grid === null && step === null);
  const parks = sides.some((side) => groups(side, false).some(({ parks }) => parks));
  const shows = new Set(view.tools.filter((tool) => (tool !== "pieces" || texts) && (tool !== "parked" || parks)));
  const which = several ? "these heads" : "all heads";
  const chips = [...[["mean", false, "mean"], ["max", true, "largest"]].map(([text, max, name]) =>
    el("button", { type: "button", "aria-pressed": String(chosen === null && now.max === max), onclick: () => join(index, max, several),
      "aria-label": `the ${name} of ${several && now.max === max ? "all heads" : which}`, title: max ? `Of each pair ${SUMS}` : null }, text)),
  ...[...Array(heads).keys()].map((head) =>
    el("button", { type: "button", "aria-pressed": String(chosen === head || Boolean(several?.includes(head))),
      onclick: (event) => choose(index, head, event.shiftKey || event.ctrlKey || event.metaKey, now.layers),
      "aria-label": `head ${head + 1}`, title: [layer.labels?.[head], "with Shift: beside the others"].filter(Boolean).join("; "),
    }, String(head + 1)))]; // prettier-ignore
  const scale = el("select", { "aria-label": "Colour", title: "How the strength of a colour goes with the share", onchange: () => state.set({ scale: scale.value }) },
    ...Object.entries(SCALES).map(([value, [name]]) => el("option", { value, selected: value === now.scale }, name))); // prettier-ignore
  at("tools").replaceChildren(
    ...[
      shows.has("heads") && heads > 1 && el("div", { role: "group", "aria-label": "Heads", class: "chips" }, "Heads", ...chips),
      shows.has("direction") && toggle("is looked at by", now.backward, (backward) => state.set({ backward })),
      shows.has("pieces") && toggle("pieces of words", now.pieces, (pieces) => state.set({ pieces })),
      shows.has("parked") && toggle(`tint ${texts ? "ends and marks" : "what is no place"} too`, now.parked, (parked) => state.set({ parked })),
      shows.has("scale") && el("label", {}, "colour ", scale),
      el("button", { type: "button", title: "The address of what is shown now", onclick: link }, "copy link"),
    ].filter(Boolean));
  const label = pick.layers.length === 1 && layer.labels?.[chosen];
  at("where").hidden = !shows.has("heads");
  at("where").textContent = `${spokenPlace(one, pick)}${pick.max ? `: ${SUMS}` : ""}`;
  if (label) at("where").append(" ", el("span", { class: "label" }, label));
}

// The address has all that is chosen.
async function link() {
  try {
    await navigator.clipboard.writeText(location.href);
    say(`Copied: the link to what is shown${data.asks ? ", for this machine, as long as the page is served" : ""}.`);
  } catch {
    say("The browser keeps its clipboard closed: take the link from the address bar.");
  }
}

function drawScenes() {
  at("scenes").replaceChildren(...told.scenes.map((one, i) => {
    return el("option", { value: i, selected: i === state.now.scene }, sceneName({ told }, one));
  }));
}

const spokenNote = ({ note }, one) => (typeof note === "function" ? note(one) : note);

function draw() {
  const one = scene();
  if (!one) return;
  const view = viewOf(one);
  const { layer, head } = placeOf(one, view);
  const pick = pickOf(state.now, one, layer, head);
  const place = held(["views", "rail", "tools", "view"].map(at));
  drawScenes();
  at("views").replaceChildren(...fitting(one).map(({ name, title }) =>
    el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "view", tabindex: name === view.name ? 0 : -1, "aria-selected": String(name === view.name), onclick: () => state.set({ view: name }) }, title)));
  at("view").setAttribute("aria-labelledby", `tab-${view.name}`);
  drawRail(one, view);
  drawDepth(one, { layer, head }, view);
  drawTools(one, { layer, head }, view, pick);
  at("note").textContent = [spokenNote(view, one), ...one.unseen].join(" ");
  restored(place);
  try {
    const [rows, columns] = [layer.rows, layer.columns].map((name) => one.sides.find((side) => side.name === name));
    const { now } = state;
    const { heads, several } = pick;
    view.draw(at("view"), {
      scene: one, layer, heads, head, several, pick, place: spokenPlace(one, pick), choose, state, data, open, turn, spokenLayer, say, told, scenes: told.scenes,
      sides: { rows, columns },
      rows: groups(rows, now.pieces),
      columns: groups(columns, now.pieces),
      same: rows === columns,
    });
    restored(place, at("view"));
  } catch (error) {
    at("view").replaceChildren(el("p", { class: "wrong" }, error.message));
    if (!(error instanceof Refused)) throw error;
  }
}

function move(change) {
  const one = scene();
  const { layer, head } = placeOf(one);
  const index = one.layers.indexOf(layer);
  if (change.layer) {
    const alike = one.layers.map((other, i) => [other, i]).filter(([other]) => other.role === layer.role).map(([, i]) => i);
    const next = alike[alike.indexOf(index) + change.layer];
    if (next !== undefined) state.set({ layer: next, layers: null, head });
  }
  if (change.head) {
    const next = (head ?? -1) + change.head;
    if (next < layer.shape[0]) state.set({ layer: index, head: next < 0 ? null : next, several: null });
  }
}

function playOrStop() {
  const audio = at("view").querySelector("audio");
  if (audio) audio.paused ? audio.play().catch((error) => say(error.message, true)) : audio.pause();
  else at("view").querySelector("[data-plays]")?.click();
}

function unpin() {
  if (state.now.pin !== null || state.now.pins !== null) state.set({ pin: null, pins: null });
}

const KEYS = { ArrowUp: { layer: 1 }, ArrowDown: { layer: -1 }, "[": { head: -1 }, "]": { head: 1 } };

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, audio") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") unpin();
  else if (event.key === " " && (event.target.ariaSelected === "true" || [document.body, at("view")].includes(event.target))) playOrStop();
  else if (KEYS[event.key] && !(event.target.closest("canvas") && event.key.startsWith("Arrow"))) move(KEYS[event.key]);
  else return;
  event.preventDefault();
});

async function begin() {
  try {
    told = await data.open();
  } catch (error) {
    say(error.message, true);
    return;
  }
  at("model").textContent = told.against === null ? told.model : `${told.model} and ${told.against}`;
  at("model").title = told.is;
  document.title = `${at("model").textContent} · Transept`;
  at("ask").hidden = !data.asks;
  at("given-label").textContent = { pictures: "Path of a picture", sound: "Path of a sound" }[told.reads] ?? "Text";
  at("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    if (at("given").value) open(at("given").value);
    else say(`There is nothing to look at yet: ${told.reads === "text" ? "write a text" : "write a path"} first.`, true);
  });
  if (data.asks && told.reads !== "text") receive(at("ask"), told, (file) => show(() => data.drop(file)), say);
  at("scenes").addEventListener("change", () => turn(Number(at("scenes").value)));
  roving(at("views"));
  const repaints = new Set(["pin", "pins", "twin", "update", "speed", "top"]);
  state.heard((now, change) => {
    const names = Object.keys(change);
    if (names.includes("view") || names.includes("scene")) say("");
    if (names.length && names.every((name) => repaints.has(name)) && at("view").repaint) at("view").repaint(now);
    else draw();
  });
  window.addEventListener("resize", () => at("view").resized?.());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  if (!told.scenes.length) say("Write a text above, and look.");
  draw();
}

begin();
