// The stage: how a text was written, token by token, and what could have been written instead.

import { cutter, firstWord } from "./cuts.js";
import { copies } from "./copy.js";
import { drawn, el, percent, shown, toggle, wide } from "./dom.js";
import { walk } from "./focus.js";
import { minimap } from "./minimap.js";
import { pace, Player } from "./pace.js";
import * as python from "./python.js";
import { tree } from "./tree.js";
import { shared } from "./pick.js";
import { largest } from "./words.js";

const RIBBONS = 4;
const CUTS = 5;

const player = new Player();

// A step at a time from here, or from the start where this is the end; again stops it.
function play(state, go, step, own) {
  if (player.plays) {
    player.stop();
    go(step);
    return;
  }
  let at = step >= own - 1 ? -1 : step;
  player.start(state, () => {
    if (!document.querySelector("#view .apart")) return player.stop(); // another view was chosen
    at += 1;
    if (at >= own - 1) player.stop();
    go(at);
  });
  go(Math.max(at, 0));
}

// Where it is begun: at the token that was forced, else at the first word of its own.
const opening = (scene) => (forced(scene) ? scene.begun - 1 : Math.max(firstWord(scene) - scene.asked.length + scene.target.length, 0));

// Whether its text goes on from a token that was forced: the last of those that it begins with.
const forced = ({ begun, target }) => begun > 0 && begun < target.length;

// What it was forced from: the scene of the same text that begins with fewer of its tokens, and with as many as can be.
function origin(scenes, scene) {
  const fits = (one) => one !== scene && one.given === scene.given && one.of === scene.of && one.begun < scene.begun && (one.begun === 0 || forced(one))
    && scene.target.slice(0, one.begun).every((token, i) => one.target[i] === token); // prettier-ignore
  return scenes.filter(fits).reduce((best, one) => (best === null || one.begun > best.begun ? one : best), null);
}

function draw(root, context) {
  const { scene, layer, pick, state, sides, open, data, say } = context;
  const written = scene.sides.find(({ name }) => name === "target") ?? scene.sides[0];
  const read = sides.columns;
  const skipped = written.texts.length - scene.target.length; // rows before the first token of its own
  const own = scene.target.length;
  const row = (step) => (scene.sides.length > 1 ? skipped + step : skipped + step - 1); // a decoder alone writes one ahead
  const step = Math.min(state.now.step ?? opening(scene), own - 1);
  const known = row(step) >= 0;
  const mark = forced(scene) ? scene.begun - 1 : null;
  const back = mark === null ? null : origin(context.scenes, scene);
  const groups = read.texts.map((text, t) => ({ text, members: [t] }));
  let shares = read.texts.map(() => 0);

  const from = read.texts.map((text, t) => el("button", { type: "button", class: `token${read.words[t] === null ? " parks" : ""}`, tabindex: t ? -1 : 0,
    onpointerenter: () => users(t), onfocus: () => users(t), onpointerleave: () => users(null), onblur: () => users(null) }, shown(text))); // prettier-ignore
  const to = scene.target.map((_, at) => el("button", { type: "button", class: `token${at === step ? " from" : ""}${at > step ? " ahead" : ""}${at === mark ? " forced" : ""}`, title: at === mark ? "This token was forced: the model went on from here" : null,
    "aria-pressed": String(at === step), onclick: () => state.set({ step: at }), onpointerenter: () => preview(at), onpointerleave: () => users(null) }, shown(written.texts[skipped + at]))); // prettier-ignore
  const svg = drawn("svg", { class: "arcs", "aria-hidden": "true" });
  const board = el("div", { class: "lines apart" }, svg, el("div", { class: "line" }, el("span", { class: "side" }, "looked at"), ...from),
    el("div", { class: "line" }, el("span", { class: "side" }, "written"), ...to)); // prettier-ignore
  walk({ node: board.children[1], tokens: from });
  const using = el("p", { class: "caption", "aria-live": "polite" });
  const tell = (shares, texts, before) => {
    const best = largest(shares, RIBBONS).filter((i) => shares[i] >= 0.01).map((i) => `${shown(texts(i))} ${percent(shares[i])}`);
    using.textContent = `${before} ${best.join(", ") || "no token"}.`;
  };

  // What the token looked at; or, of one that is read, those that looked at it: pairs of tokens with their share.
  function ribbons(pairs = largest(shares, RIBBONS).map((t) => [to[step], from[t], shares[t]])) {
    const base = board.getBoundingClientRect();
    svg.setAttribute("viewBox", `0 0 ${base.width} ${base.height}`);
    svg.replaceChildren(...pairs.filter(([one, , share]) => one && share > 0.02).map(([one, two, share]) => {
      const [box, other] = [one, two].map((token) => token.getBoundingClientRect());
      const [x, y] = [box.left + box.width / 2 - base.left, box.top - base.top];
      const [x2, y2] = [other.left + other.width / 2 - base.left, other.bottom - base.top];
      return drawn("path", { d: `M${x},${y} C${x},${(y + y2) / 2} ${x2},${(y + y2) / 2} ${x2},${y2}`, "stroke-width": 1 + 14 * share, "stroke-opacity": 0.2 + 0.5 * share });
    }));
  }

  let asked = null;
  // Which of the written tokens look at one that is read; null: none is pointed at any more.
  const users = (t) => pointedAt(t).catch((error) => say(error.message, true));
  const preview = (at) => previewed(at).catch((error) => say(error.message, true));

  async function pointedAt(t) {
    asked = t;
    for (const token of to) token.style.removeProperty("--share");
    if (t === null) {
      ribbons();
      return looked();
    }
    const lines = await data.looked(scene, layer, [t], true);
    if (asked !== t || !board.isConnected) return; // the pointer has gone on
    const all = shared(pick, scene, lines, [...Array(layer.shape[1]).keys()].map((s) => ({ members: [s] })), true);
    const found = scene.target.map((_, at) => (row(at) >= 0 ? all[row(at)] : 0));
    found.forEach((share, at) => to[at].style.setProperty("--share", (0.85 * state.shade(share)).toFixed(3)));
    ribbons(largest(found, RIBBONS).map((at) => [to[at], from[t], found[at]]));
    tell(found, (at) => written.texts[skipped + at], `${shown(read.texts[t])} is looked at by`);
  }

  // What another token looked at, while it is pointed at: a click goes there.
  async function previewed(at) {
    if (at === step || row(at) < 0) return;
    asked = `${at}`;
    const lines = await data.looked(scene, layer, [row(at)], false);
    if (asked !== `${at}` || !board.isConnected) return; // the pointer has gone on
    const found = shared(pick, scene, lines, groups);
    ribbons(largest(found, RIBBONS).map((t) => [to[at], from[t], found[t]]));
    tell(found, (t) => read.texts[t], `${shown(written.texts[skipped + at])}, when it was written, looked at`);
  }
  const looked = () => known && tell(shares, (t) => read.texts[t], `${shown(written.texts[skipped + step])}, when it was written, looked at`);

  const choices = known ? scene.choices[row(step)] ?? [] : [];
  const list = el("ol", { class: "choices", "aria-label": "What could stand here" }, ...choices.map(([id, text, probability]) => {
    const taken = id === scene.target[step];
    const name = `${shown(text)}, ${percent(probability, probability < 0.01 ? 3 : 1)}`;
    const body = [el("span", { class: "bar" }, el("i", wide(probability))), el("span", {}, shown(text)), el("small", {}, percent(probability, probability < 0.01 ? 3 : 1))];
    if (taken || !data.asks) return el("li", { class: taken ? "taken" : "", "aria-label": name }, ...body);
    const force = () => open(scene.given, [...scene.target.slice(0, step), id], null, { step });
    return el("li", {}, el("button", { type: "button", "aria-label": `${name}: write this, and go on`, title: "Write this instead, and let the model go on", onclick: force }, ...body));
  }));

  const cutting = el("div", { class: "cutting" });

  async function look() {
    const lines = await data.looked(scene, layer, [row(step)], false);
    if (!board.isConnected) return; // another step was taken
    shares = [...shared(pick, scene, lines, groups)];
    from.forEach((token, t) => {
      token.title = percent(shares[t], 1);
      token.style.setProperty("--share", (0.85 * state.shade(shares[t])).toFixed(3));
    });
    if (asked === null) {
      ribbons();
      looked();
    }
    const links = largest(shares, CUTS).filter((t) => shares[t] >= 0.01).map((t) => ({ text: read.texts[t], share: shares[t], queries: [row(step)], keys: [t] }));
    cutting.replaceChildren(...cutter(context, written.texts[skipped + step], links, false).nodes);
  }

  const go = (to) => state.set({ step: Math.max(0, Math.min(own - 1, to)) });
  const bar = el("div", { class: "steps", role: "group", "aria-label": "Steps" },
    el("button", { type: "button", onclick: () => go(0), disabled: step <= 0 }, "First"),
    el("button", { type: "button", onclick: () => go(step - 1), disabled: step <= 0 }, "Back"),
    el("button", { type: "button", onclick: () => go(step + 1), disabled: step >= own - 1 }, "Step"),
    el("button", { type: "button", "aria-pressed": String(player.plays), data: { plays: "" }, onclick: () => play(state, go, step, own) }, player.plays ? "Stop" : "Play"),
    el("span", {}, own ? `token ${step + 1} of ${own}${step === mark ? ", forced" : ""}` : "nothing was written"), pace(state),
    ...(mark === null || !(back || data.asks) ? [] : [el("button", { type: "button", title: "To what was written before this token was forced",
      onclick: () => (back ? context.turn(context.scenes.indexOf(back), { step: mark }) : open(scene.given, null, null, { step: mark })) }, "Undo the forcing")])); // prettier-ignore

  const coming = known ? look() : null;
  const copied = known && copies(context, "what it looked at", {
    ready: () => coming,
    nodes: () => [board, using],
    table: () => [["looked at", "share"], ...read.texts.map((text, t) => [text, shares[t]])],
    python: () => python.row(context, { members: [row(step)] }, groups, false),
  });
  const copiedList = choices.length > 0 && copies(context, "what could stand here", {
    nodes: () => [list],
    table: () => [["id", "token", "probability"], ...choices.map(([id, ...rest]) => [String(id), ...rest])],
    python: () => python.choices(context, row(step), choices.length),
  });
  const given = el("input", { required: true, autocomplete: "off", spellcheck: "false", "aria-label": "A text that it is to have written" });
  const reference = data.asks && scene.sides.length > 1
    ? el("form", { class: "reference", onsubmit: (event) => {
        event.preventDefault();
        open(scene.given, given.value);
      } }, "Had it written ", given, el("button", { type: "submit", title: "The model reads this text as its own, and nothing is searched" }, "Read it"))
    : null; // prettier-ignore
  const steps = scene.target.map((_, at) => at).filter((at) => row(at) >= 0);
  const small = steps.length < 2 ? [] : [el("h2", {}, "All steps: a row for each token written, a column for each looked at"),
    minimap(context, steps.map((at) => ({ members: [row(at)] })), groups, steps.indexOf(step))]; // prettier-ignore
  const beam = scene.branches
    ? [el("h2", {}, "The beam ", toggle(state.now.beam ? "hide" : "show", state.now.beam, (beam) => state.set({ beam }), { "aria-label": "Show the beam" })), state.now.beam ? tree(context) : null]
    : [];
  root.replaceChildren(board, using, bar, ...[copied, reference].filter(Boolean), cutting,
    el("div", { class: "beside" }, el("section", {}, el("h2", {}, "What could stand here"), list, copiedList || null), el("section", {}, ...small, ...beam))); // prettier-ignore
  root.repaint = () => {}; // nothing here hangs on a pin
  root.resized = ribbons;
  ribbons();
  coming?.catch((error) => say(error.message, true));
}

export const stage = {
  name: "stage",
  title: "Stage",
  tools: ["heads", "scale"],
  note: "Each token with what the layer looked at when it was written. Another token may be forced: the model goes on from there.",
  shows: (layer, scene) => layer.rows === scene.layers.at(-1).rows, // what a written token looked at
  fits: (scene) => scene.choices.length > 0 && scene.target.length > 0,
  draw,
};
