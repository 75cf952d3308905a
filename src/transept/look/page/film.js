// Film: one text at every checkpoint that the run kept, and how a head comes to do what it does.

import { painted } from "./atlas.js";
import { named, sides, strength } from "./board.js";
import { chart } from "./chart.js";
import { copies } from "./copy.js";
import { drawn, el, percent, shown } from "./dom.js";
import { arcs, tint, told as tell } from "./focus.js";
import { pace, Player } from "./pace.js";
import * as python from "./python.js";
import { blended } from "./pick.js";
import { largest } from "./words.js";

const SIDE = 56;
const ARCS = 5;
const LEAST = 0.01;

const player = new Player();

const spoken = (update) => update.toLocaleString("en");

function draw(root, context) {
  const { scene, layer, pick, head, data, state, same, told } = context;
  const [rows, columns] = [["rows", context.rows], ["columns", context.columns]].map(([name, groups]) => named(groups, context.sides[name]));
  player.stop();
  const updates = told.film;
  const index = scene.layers.indexOf(layer);
  const now = () => {
    const { update } = state.now;
    return update === null ? updates.length - 1 : updates.reduce((best, one, k) => (Math.abs(one - update) < Math.abs(updates[best] - update) ? k : best), 0);
  };
  const go = (k) => state.set({ update: updates[Math.max(0, Math.min(updates.length - 1, k))] });

  const slider = el("input", { type: "range", min: 0, max: updates.length - 1, step: 1, value: now(), "aria-label": "Update", oninput: () => go(Number(slider.value)) });
  const counted = el("output", {});
  const step = (name, to) => el("button", { type: "button", onclick: () => (player.stop(), go(to())) }, name);
  const play = el("button", { type: "button", "aria-pressed": "false", data: { plays: "" }, onclick: () => {
    if (player.plays) {
      player.stop();
      return paint();
    }
    if (now() === updates.length - 1) go(0);
    player.start(state, () => {
      if (!root.contains(play)) return player.stop();
      if (now() >= updates.length - 2) player.stop();
      go(now() + 1);
    });
    paint();
  } }, "Play"); // prettier-ignore
  const bar = el("div", { class: "steps reel", role: "group", "aria-label": "Checkpoints" },
    step("Back", () => now() - 1), slider, step("Step", () => now() + 1), play, pace(state), counted); // prettier-ignore

  const pinned = () => (state.now.pin !== null && state.now.pin < rows.length ? state.now.pin : null);
  const first = context.sides.rows.grid ? 0 : Math.max(0, rows.findIndex((group) => !group.parks));
  let over = null;
  const { nodes, one, other, picture } = sides({ scene, layer, rows, columns, same, state }, {
    over(i) {
      if (over === i) return;
      over = i;
      if (pinned() === null) paint();
    },
    pin: (i) => state.set({ pin: pinned() === i ? null : i }),
  });
  const svg = drawn("svg", { class: "arcs", "aria-hidden": "true" });
  const board = el("div", { class: `lines${picture ? " flat" : ""}` }, svg, ...nodes);
  const caption = el("p", { class: "caption", "aria-live": "polite" });
  const chosen = pick.layers.length === 1 ? head : null; // of one head alone it is told what it does

  const frames = updates.map((update, k) => {
    const canvas = el("canvas", { class: "thumb", width: 1, height: 1, style: { width: `${SIDE}px`, height: `${SIDE}px` } });
    const small = el("small", {}, spoken(update));
    return { canvas, node: el("button", { type: "button", class: "cell", "aria-label": `update ${spoken(update)}`, onclick: () => (player.stop(), go(k)) }, canvas, small), small, told: null };
  });
  const strip = el("div", { class: "moments", role: "group", "aria-label": "The head at every checkpoint" }, ...frames.map(({ node }) => node));
  const curve = el("section", { class: "curve" });
  const odds = el("section", { class: "curve" });

  function curves() {
    const known = frames.map((frame) => frame.told?.scores[index] ?? null);
    const width = Math.min(root.clientWidth, 640);
    const names = updates.map(spoken);
    const all = pick.layers.length > 1 ? [] : known.filter(Boolean).flat(); // a layer's heads have curves
    if (all.length) {
      const best = Math.max(...all);
      const what = layer.role === "cross" ? "how well each head aligns" : "how much each head is worth a look";
      const lines = [...Array(layer.shape[0]).keys()].map((h) => ({ values: known.map((scores) => scores?.[h] ?? null), strong: h === chosen }));
      const high = best > 0 ? Math.ceil(best * 10) / 10 : 0.1;
      const label = `${context.spokenLayer(layer)}, ${what}, by update`;
      curve.replaceChildren(el("h2", {}, `${what[0].toUpperCase()}${what.slice(1)}, by update${chosen === null ? "" : `: head ${chosen + 1} is the strong line`}`), chart({ lines, names, at: now(), low: 0, high, label, width }));
    }
    const likely = frames.map((frame) => frame.told?.probability ?? null);
    if (likely.some((value) => value !== null)) {
      const label = scene.target.length ? "How probable a written token is, by update" : "How probable the first class is, by update";
      odds.replaceChildren(el("h2", {}, `${label}${scene.target.length ? ": the geometric mean" : ""}`), chart({ lines: [{ values: likely, strong: true }], names, at: now(), low: 0, high: 1, label, width }));
    }
  }

  async function seen(k) {
    const frame = frames[k];
    const moment = await data.moment(scene, updates[k]);
    const weights = await Promise.all(pick.layers.map((one) => data.frame(scene, updates[k], scene.layers.indexOf(one))));
    if (frame.told === null) {
      frame.told = moment;
      painted(frame.canvas, blended(pick, weights, rows, columns), rows.length, columns.length, state);
      const label = chosen === null ? "" : moment.labels[index]?.[chosen] ?? "";
      const score = chosen === null ? undefined : moment.scores[index]?.[chosen];
      const told = [label, score?.toFixed(3)].filter(Boolean).join(", ");
      frame.node.setAttribute("aria-label", `update ${spoken(updates[k])}${told ? `: ${told}` : ""}`);
      frame.node.title = told;
      if (label) frame.small.append(el("br"), label);
    }
    return { moment, weights };
  }

  let wanted = null;
  async function paint() {
    const turn = (wanted = {});
    const k = now();
    slider.value = k;
    slider.setAttribute("aria-valuetext", `update ${spoken(updates[k])}`);
    counted.textContent = `update ${spoken(updates[k])}, ${k + 1} of ${updates.length}`;
    play.textContent = player.plays ? "Stop" : "Play";
    play.setAttribute("aria-pressed", String(player.plays));
    frames.forEach(({ node }, at) => (at === k ? node.setAttribute("aria-current", "true") : node.removeAttribute("aria-current")));
    try {
      const { moment, weights } = await seen(k);
      if (turn !== wanted) return;
      const i = here();
      const shares = shared(i, weights);
      const tinted = shares.map((share, c) => (columns[c].parks && !state.now.parked ? 0 : share));
      const most = Math.max(...tinted, 1e-9);
      const best = largest(tinted, ARCS).filter((c) => tinted[c] >= LEAST && !(same && c === i));
      if (!picture) arcs(svg, board, one.tokens[i], best.map((c) => [other.tokens[c], tinted[c]]));
      other?.tokens.forEach((token, c) => {
        tint(token, strength(state, tinted[c], most));
        token.title = percent(shares[c], 1);
      });
      one.tokens.forEach((token, c) => {
        token.classList.toggle("from", c === i);
        token.setAttribute("aria-pressed", String(c === pinned()));
      });
      const label = chosen === null ? "" : moment.labels[index]?.[chosen];
      caption.classList.remove("wrong");
      const text = `Update ${spoken(updates[k])}. ${tell(context, rows[i], [...shares], columns, false)}${label ? ` The head is called ${shown(label)}.` : ""}`;
      caption.textContent = text;
      picture?.paint(tinted, most, i, text);
    } catch (error) {
      if (turn !== wanted) return;
      caption.classList.add("wrong");
      caption.textContent = `Update ${spoken(updates[k])}: ${error.message}`;
      svg.replaceChildren();
      other?.tokens.forEach((token) => tint(token, 0));
    }
    curves();
  }

  // The others one after another, while they are wanted: their weights are read as they come.
  async function unroll() {
    for (let k = updates.length - 1; k >= 0; k--) {
      if (!root.contains(strip)) return;
      try {
        await seen(k);
      } catch {
        frames[k].node.classList.add("absent"); // what is wrong is told where it is gone to
      }
      curves();
    }
  }

  // Each moment that can be read: [update, what was seen there].
  async function reel() {
    const found = [];
    for (const [k, update] of updates.entries()) {
      const moment = await seen(k).catch(() => null); // what is wrong is told where it is gone to
      if (moment) found.push([update, moment]);
    }
    return found;
  }
  const shared = (i, weights) => blended(pick, weights, [rows[i]], columns);
  const here = () => pinned() ?? over ?? first;
  const runs = told.checkpoints !== null; // else nobody knows where the checkpoints lie
  const updated = async () => (await reel()).map(([update]) => update);
  const copied = copies(context, "the film of a word", {
    nodes: async () => (await reel(), [board, caption, strip]),
    table: async () => [["update", ...columns.map(({ text }) => text)], ...(await reel()).map(([update, { weights }]) => [String(update), ...shared(here(), weights)])],
    python: runs ? async () => python.filmed(context, await updated(), rows[here()], columns) : null,
  });
  const copiedCurves = copies(context, "the curves", {
    nodes: async () => (await reel(), curves(), [curve, odds]),
    table: async () => {
      const moments = await reel();
      const names = [...Array(moments[0]?.[1].moment.scores[index].length ?? 0).keys()].map((h) => `head ${h + 1}`);
      return [["update", ...names, "probability"], ...moments.map(([update, { moment }]) => [String(update), ...moment.scores[index], moment.probability ?? ""])];
    },
    python: runs ? async () => {
      const moments = await reel();
      return python.rising(context, moments.map(([update]) => update), index, moments.some(([, { moment }]) => moment.probability !== null));
    } : null, // prettier-ignore
  });

  board.addEventListener("pointerleave", () => {
    over = null;
    if (pinned() === null) paint();
  });
  root.replaceChildren(bar, board, caption, strip, copied, curve, odds, copiedCurves);
  root.repaint = paint;
  root.resized = paint;
  paint().then(unroll);
}

export const film = {
  name: "film",
  title: "Film",
  tools: ["heads", "pieces", "parked", "scale"],
  note: "What the last model read and wrote, read by each checkpoint: so the words stay, and what is looked at changes.",
  fits: (scene, data, told) => told.film !== null && scene.of === 0,
  draw,
};
