// The beam as a tree: what was weighed at each step, what lived on, what was dropped, and the ends that were found.

import { copies, unscrolled } from "./copy.js";
import { drawn, el, fixed, shown } from "./dom.js";
import * as python from "./python.js";

const [HIGH, GAP, NARROW, BROAD, LETTER, NUMBER] = [26, 30, 72, 190, 8, 62];
const STATES = { lives: "lives on", ended: "ended", dropped: "dropped" };

// Where everything stands: columns of steps, in each the branches from the best downwards.
function placed(steps) {
  let left = 0;
  return steps.map((step) => {
    const longest = Math.max(...step.map(([, text]) => [...shown(text)].length));
    const width = Math.min(BROAD, Math.max(NARROW, longest * LETTER + NUMBER));
    const column = { left, width };
    left += width + GAP;
    return column;
  });
}

function way(steps, step, branch) {
  const found = [];
  for (let [s, b] = [step, branch]; s >= 0 && b !== null; [s, b] = [s - 1, steps[s][b][2]]) found.unshift([s, b]);
  return found;
}

function board(context, { steps, found, stops }, caption) {
  const { scene, data, open } = context;
  const columns = placed(steps);
  const [last] = columns.slice(-1);
  const [width, height] = [last.left + last.width + 2, HIGH * Math.max(...steps.map((step) => step.length)) + 2];
  const finals = new Map(found.map(([s, b], rank) => [`${s} ${b}`, rank]));
  const forcing = scene.target.slice(0, scene.begun);
  const nodes = steps.map((step, s) => step.map(([token, text, , logprob, total, state], b) => {
    const rank = finals.get(`${s} ${b}`);
    const told = `step ${s + 1}: ${shown(text)}, sum ${fixed(total, 2)}, ${rank === undefined ? STATES[state] : `found as number ${rank + 1}`}`;
    const goes = data.asks && !stops.includes(token);
    const force = () => open(scene.given, [...forcing, ...way(steps, s, b).map(([i, j]) => steps[i][j][0])]);
    return el("button", { type: "button", class: `branch ${state}${rank === undefined ? "" : " found"}`, tabindex: -1, "aria-label": goes ? `${told}: write this, and go on` : told,
      style: { left: `${columns[s].left}px`, top: `${HIGH * b}px`, width: `${columns[s].width}px` }, data: { step: s, branch: b },
      onclick: goes && force, onfocus: () => tell(s, b), onpointerenter: () => tell(s, b) },
      el("span", {}, shown(text)), el("small", {}, rank === undefined ? fixed(total, 2) : `${rank + 1}.`)); // prettier-ignore
  }));
  const lines = steps.map((step, s) => step.map(([, , parent, , , state], b) => {
    if (parent === null) return null;
    const [x, y] = [columns[s - 1].left + columns[s - 1].width, HIGH * (parent + 0.5)];
    const [x2, y2] = [columns[s].left, HIGH * (b + 0.5)];
    return drawn("path", { d: `M${x},${y} C${x + GAP / 2},${y} ${x2 - GAP / 2},${y2} ${x2},${y2}`, class: state });
  }));
  const svg = drawn("svg", { class: "limbs", width, height, "aria-hidden": "true" }, ...lines.flat());
  const whole = el("div", { class: "tree", role: "group", "aria-label": "The beam, step by step", style: { width: `${width}px`, height: `${height}px` } }, svg, ...nodes.flat());

  function tell(s, b) {
    const on = way(steps, s, b);
    for (const one of whole.querySelectorAll(".way")) one.classList.remove("way");
    for (const [i, j] of on) {
      nodes[i][j].classList.add("way");
      lines[i][j]?.classList.add("way");
    }
    const [, text, , logprob, total, state] = steps[s][b];
    const rank = finals.get(`${s} ${b}`);
    const end = rank === undefined ? STATES[state] : `found as number ${rank + 1}, score ${fixed(found[rank][2], 4)}`;
    caption.textContent = `Step ${s + 1}, number ${b + 1} of ${steps[s].length}: ${on.map(([i, j]) => shown(steps[i][j][1])).join(" · ")}. log P(${shown(text)}) = ${fixed(logprob, 3)}, with all before it ${fixed(total, 3)}; ${end}.`;
  }

  function go(s, b) {
    const next = nodes[s]?.[b];
    if (!next) return;
    for (const one of whole.querySelectorAll('.branch[tabindex="0"]')) one.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  whole.addEventListener("keydown", (event) => {
    const here = document.activeElement;
    if (!here.dataset.step) return;
    const [s, b] = [Number(here.dataset.step), Number(here.dataset.branch)];
    const child = steps[s + 1]?.findIndex(([, , parent]) => parent === b) ?? -1;
    const next = { ArrowLeft: [s - 1, steps[s][b][2]], ArrowRight: [s + 1, child], ArrowUp: [s, b - 1], ArrowDown: [s, b + 1], Home: [0, 0] }[event.key];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    go(...next);
  });
  nodes[0][0].tabIndex = 0;
  return { whole, tell, go, columns };
}

// The tree of a scene, which the model is asked for.
export function tree(context) {
  const { scene, data } = context;
  const caption = el("p", { class: "caption", "aria-live": "polite" }, "The beam is searched …");
  const holder = el("div", { class: "beam" }, caption);
  data.beam(scene).then((told) => {
    if (!told.steps.length) {
      caption.textContent = "Nothing could be written.";
      return;
    }
    const { whole, tell, go, columns } = board(context, told, caption);
    const ends = el("ol", { class: "ends", "aria-label": "What was found" }, ...told.found.map(([s, b, score, finish, text], rank) =>
      el("li", {}, el("button", { type: "button", onclick: () => go(s, b), onpointerenter: () => tell(s, b) }, el("small", {}, `${rank + 1}.`), el("small", {}, fixed(score, 4)),
        el("span", {}, shown(text)), finish === "length" ? el("small", {}, "cut at its length") : "")))); // prettier-ignore
    const scrolled = el("div", { class: "scrolled" }, whole);
    const copied = copies(context, "the beam", {
      nodes: () => unscrolled(scrolled, [ends, whole]),
      table: () => [["step", "id", "token", "log-probability", "sum", "state", "place found", "score"], ...told.steps.flatMap((step, s) =>
        step.map(([id, text, , logprob, total, state], b) => {
          const rank = told.found.findIndex(([i, j]) => i === s && j === b);
          return [String(s + 1), String(id), text, logprob, total, state, ...(rank < 0 ? ["", ""] : [String(rank + 1), told.found[rank][2]])];
        }))], // prettier-ignore
      python: () => python.beam(context),
    });
    holder.replaceChildren(ends, scrolled, caption, copied);
    const here = columns[Math.max(0, (context.state.now.step ?? 0) - scene.begun)];
    if (here) scrolled.scrollLeft = here.left - columns[0].width;
    tell(...told.found[0] ?? [0, 0]);
  }).catch((error) => {
    caption.classList.add("wrong");
    caption.textContent = error.message;
  });
  return holder;
}
