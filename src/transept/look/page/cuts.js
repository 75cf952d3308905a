// What changes without a link or a head, measured: the probability of what was written, before and after.

import { el, percent, shown } from "./dom.js";

const MOST = 3;
const MOVED = 0.0005;
const asked = new WeakMap(); // what each node is to tell

const number = (p) => (p !== 0 && p < 0.001 ? p.toExponential(1) : p.toFixed(3));

// The text of each output that can be explained: a class, or a token that was written.
export function outputs(scene) {
  if (scene.answers.length) return scene.answers.map(([text]) => text);
  const own = scene.sides.find(({ name }) => name === "target");
  if (own) return scene.asked.map((_, k) => own.texts[own.texts.length - scene.asked.length + k]);
  return scene.asked.map((at) => scene.sides[0].texts[at + 1]);
}

// The first output that is a word; the first one where none is.
export function firstWord(scene) {
  const own = scene.sides.find(({ name }) => name === "target");
  const found = scene.asked.findIndex((at, k) => (own ? own.words[own.words.length - scene.asked.length + k] : scene.sides[0].words[at + 1]) !== null);
  return Math.max(found, 0);
}

// The outputs that these rows of a layer wrote.
function wrote(scene, layer, rows) {
  if (layer.role === "encoder") return [];
  return scene.asked.flatMap((at, k) => (rows.includes(at) ? [k] : []));
}

const change = (text, before, after, instead) =>
  [`P(${shown(text)}) `, el("span", { class: "number" }, `${number(before)} → ${number(after)}`), instead === null ? "" : ` (${shown(instead)} instead)`];

// Measure a cut and tell it in `node`: of the outputs that its rows wrote their joint probability, else those that it
// moves most. Gives the largest change, null where there was none to measure. What was asked last is told, whatever comes last.
export async function measured(context, what, rows, node, name) {
  const { scene, data } = context;
  node.classList.remove("wrong");
  node.textContent = "The model passes without it …";
  const turn = {};
  asked.set(node, turn);
  try {
    const { before, after, instead } = await data.cut(scene, what);
    const texts = outputs(scene);
    const own = wrote(scene, scene.layers[[what.layer].flat()[0]], rows);
    const parts = [];
    const moved = [...before.keys()].sort((a, b) => Math.abs(after[b] - before[b]) - Math.abs(after[a] - before[a]));
    if (own.length) {
      const together = (list) => own.reduce((product, k) => product * list[k], 1);
      parts.push(change(own.map((k) => texts[k]).join(""), together(before), together(after), own.length === 1 ? instead[own[0]] : null));
    }
    const others = moved.filter((k) => !own.includes(k) && Math.abs(after[k] - before[k]) >= MOVED).slice(0, own.length ? MOST - 1 : MOST);
    parts.push(...others.map((k) => change(texts[k], before[k], after[k], instead[k])));
    if (asked.get(node) === turn) node.replaceChildren(`${name}: `, ...(parts.length ? parts.flatMap((part, i) => (i ? ["; ", ...part] : part)) : ["nothing that was written becomes less or more probable by 0.0005"]), ".");
    return moved.length ? after[moved[0]] - before[moved[0]] : null;
  } catch (error) {
    if (asked.get(node) === turn) {
      node.classList.add("wrong");
      node.textContent = error.message;
    }
    return null;
  }
}

// Buttons that cut the links from a word to those that it looks at most, and what that changes: `nodes`; `cut` does it for
// any link. links: {text, share, queries, keys}, tokens of the rows and the columns. Where nothing can be cut there are none.
export function cutter(context, from, links, backward) {
  const { scene, layer, pick, head, several, data } = context;
  if (!data.asks || !scene.asked.length || !links.length) return { nodes: [], cut: null };
  const result = el("p", { "aria-live": "polite" });
  const layers = pick.layers.map((one) => scene.layers.indexOf(one));
  const where = (head !== null ? `in head ${head + 1}` : several ? `in heads ${several.map((one) => one + 1).join(", ")}` : "in all heads") + (layers.length > 1 ? ` of ${layers.length} layers` : "");
  const shared = layer.shared ? ", in every layer that shares its weights" : "";
  const ends = ({ text }) => (backward ? [text, from] : [from, text]).map(shown).join(" → ");
  const cut = (link) => {
    const { queries, keys } = link;
    const name = `Without ${ends(link)} ${where}${shared}`;
    return measured(context, { layer: layers.length > 1 ? layers : layers[0], head: several ?? head, queries, keys }, queries, result, name);
  };
  const buttons = links.map((link) => el("button", { type: "button", onclick: () => cut(link), "aria-label": `Cut this link: ${ends(link)}` }, shown(link.text), el("small", {}, percent(link.share))));
  const nodes = [el("div", { class: "chips", role: "group", "aria-label": "Cut a link" }, `Cut the link ${where} ${backward ? "to" : "from"} ${shown(from)} ${backward ? "from" : "to"}`, ...buttons), result];
  return { nodes, cut, ends };
}
