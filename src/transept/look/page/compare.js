// Compare: one word in two texts, two heads, or two models; where the one looks more and where the other.

import { named, sides, strength } from "./board.js";
import { chart } from "./chart.js";
import { copies } from "./copy.js";
import { alike } from "./data.js";
import { el, fixed, percent, shown, signed } from "./dom.js";
import { tint } from "./focus.js";
import * as python from "./python.js";
import { beside, besideName, congruent, paired, partner, places, sceneName, sideOf, spelt, twin } from "./partner.js";
import { shared } from "./pick.js";
import { groups } from "./words.js";

const LEAST = 0.01; // what differs by less is not told
const FLOOR = 0.05; // the difference that has the full colour, where none is larger
const FIRST = 8; // words whose numbers are shown at once

// A difference of shares, in percentage points.
const points = (share, digits = 1) => signed(100 * share, digits);

// Where each looks more, in a sentence that is always true.
function told(found, word, other, unit, unsummed) {
  const named = (wanted) => [...found].filter(({ parks, d }) => !parks && d * wanted >= LEAST).sort((one, two) => wanted * (two.d - one.d)).slice(0, 3)
    .map(({ text, d }) => `${shown(text)} (${points(Math.abs(d))} points)`).join(", "); // prettier-ignore
  const [more, less] = [named(1), named(-1)];
  const who = word.toLowerCase() === other.toLowerCase() ? shown(word) : `${shown(word)} in A, ${shown(other)} in B`;
  const parts = [more && `A looks more at ${more}`, less && `B looks more at ${less}`].filter(Boolean);
  const parked = ["a", "b"].map((side) => percent(found.reduce((sum, one) => sum + (one.parks ? one[side] ?? 0 : 0), 0)));
  const rest = found.some(({ parks }) => parks) && !unsummed ? ` ${unit === "word" ? "Parked on ends and marks" : "On what is no place"}: ${parked[0]} in A, ${parked[1]} in B.` : "";
  return `${who}: ${parts.join("; ") || `no ${unit} has ${100 * LEAST} point more in A or in B`}.${rest}`;
}

function row({ text, a, b, d, parks }, most) {
  const number = (share) => el("td", {}, share === null ? "–" : fixed(100 * share, 1));
  const bar = el("span", { class: "sign", "aria-hidden": "true" }, el("i", { class: d < 0 ? "against" : null, style: { width: `${((50 * Math.abs(d)) / most).toFixed(1)}%` } }));
  return el("tr", { class: parks ? "parks" : null }, el("th", { scope: "row" }, shown(text)), number(a), number(b), el("td", { class: "bars" }, bar), el("td", {}, points(d))); // prettier-ignore
}

function table(found, caption, unit) {
  const most = Math.max(...found.map(({ d }) => Math.abs(d)), FLOOR);
  return el("table", { class: "differences" }, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...[unit, "A", "B", "", "A − B"].map((name) => (name ? el("th", { scope: "col" }, name) : el("td"))))),
    el("tbody", {}, ...found.map((one) => row(one, most)))); // prettier-ignore
}

// How near the vectors of the two words stand, from the one that enters to the last layer.
function moved(context, cosines, word, other, width) {
  const { layer, pick, scene } = context;
  const names = cosines.map((_, depth) => String(depth));
  const at = pick.layers.length === 1 && alike(scene, layer).length === cosines.length - 1 ? layer.number : null;
  const label = `The cosine of the two vectors is ${fixed(cosines[0], 3)} as they enter and ${fixed(cosines.at(-1), 3)} after layer ${cosines.length - 1}.`;
  const low = Math.min(0, Math.floor(10 * Math.min(...cosines)) / 10);
  return [
    el("p", { class: "caption" }, label),
    chart({ lines: [{ values: cosines, strong: true }], names, at, low, high: 1, label: `${shown(word)} in A and ${shown(other)} in B, layer by layer. ${label}`, width }),
    el("div", { class: "table" }, el("table", { class: "cosines" }, el("tbody", {},
      el("tr", {}, el("th", { scope: "row" }, "after layer"), ...names.map((name) => el("th", { scope: "col" }, name))),
      el("tr", {}, el("th", { scope: "row" }, "cosine"), ...cosines.map((value) => el("td", {}, fixed(value, 3))))))),
  ]; // prettier-ignore
}

const unitOf = (side) => (side.grid ? "place" : side.step ? "frame" : "word");
const kindOf = ({ picture, sound }) => (picture !== null ? "picture" : sound !== null ? "sound" : "text");

function draw(root, context) {
  const { scene, layer, pick: own, data, state, same, scenes } = context;
  const B = partner(context);
  const unit = unitOf(sideOf(scene, layer.columns));
  const whole = congruent(context, B.scene);
  const [[rows, columns], [rowsB, columnsB]] = [scene, B.scene].map((each) => [layer.rows, layer.columns].map((name) => sideOf(each, name)).map((side) => named(groups(side, state.now.pieces), side)));
  const caption = el("p", { class: "caption", "aria-live": "polite" });
  const [first, rest, drift] = [el("div", { class: "table" }), el("details", { class: "every", open: Boolean(root.querySelector("details.every[open]")) }, el("summary", {}, `All ${unit}s`)), el("section", { class: "drift" })];

  const candidates = beside(scenes, scene, layer);
  const which = el("select", { "aria-label": "B: which text", onchange: () => state.set({ other: spelt({ index: Number(which.value) }), twin: null }) },
    ...candidates.map(({ one, index }) => el("option", { value: index, selected: index === B.index }, one === scene ? `this ${kindOf(scene)}, another head` : besideName(context, one, scene))));
  const value = B.follows && B.scene !== scene ? "" : spelt({ index: null, layer: B.at, head: B.head });
  const where = el("select", { "aria-label": "B: which layer and head", onchange: () => state.set({ other: `${B.index}:${where.value}` }) },
    ...places(context, B, value, B.scene !== scene && "the same layer and head"));
  const between = el("div", { class: "between" },
    el("p", {}, el("b", { class: "more" }, "A"), " ", el("bdi", {}, B.scene === scene ? sceneName(context, scene) : besideName(context, scene, B.scene)), " ", el("small", {}, context.place)),
    el("p", {}, el("b", { class: "less" }, "B"), " ", ...(candidates.length > 1 ? [which, " "] : []), where)); // prettier-ignore

  const auto = (i) => (whole ? i : twin(rows, rowsB, i));
  const often = (i) => [...rows, ...rowsB].filter(({ text }) => text.toLowerCase() === rows[i].text.toLowerCase()).length; // a rare word means more
  const pinned = () => {
    const { pin } = state.now;
    if (pin !== null && pin < rows.length) return pin;
    if (sideOf(scene, layer.rows).grid) return 0;
    const words = rows.map((_, i) => i).filter((i) => !rows[i].parks);
    const common = words.filter((i) => auto(i) !== null);
    return [...(common.length ? common : words)].sort((one, two) => often(one) - often(two) || rows[two].text.length - rows[one].text.length)[0] ?? 0;
  };
  const twinned = (i) => (whole ? i : state.now.twin !== null && state.now.twin < rowsB.length ? state.now.twin : auto(i));

  // One text has one line, or two where another side is looked at; so has the other text where it is another.
  const ways = [["A", scene, rows, columns, (i) => state.set({ pin: i, twin: null })], ["B", B.scene, rowsB, columnsB, (i) => state.set({ twin: i })]].slice(0, whole ? 1 : 2);
  const boards = ways.map(([letter, own, asking, asked, pin]) => {
    const made = sides({ scene: own, layer, rows: asking, columns: asked, same, state }, { pin });
    if (!whole) for (const each of new Set([made.one, made.other].filter(Boolean))) {
      each.node.setAttribute("aria-label", `${letter}, ${each.node.getAttribute("aria-label")}`);
      each.node.firstChild.textContent = same ? letter : `${letter}, ${each.node.firstChild.textContent}`;
    }
    return made;
  });
  const aligned = !whole && same;
  for (const { one } of aligned ? boards : []) {
    one.parts = ["before", "held", "after"].map((name) => el("span", { class: `part ${name}` }));
    one.node.append(...one.parts);
  }
  const board = el("div", { class: `lines flat${aligned ? " aligned" : ""}` }, ...boards.flatMap(({ nodes }) => nodes));

  // The words before and after the one that is held, so that it stands under itself.
  function place({ parts, tokens }, at) {
    const focused = tokens.find((token) => token === document.activeElement);
    const held = at ?? tokens.length;
    [tokens.slice(0, held), tokens.slice(held, held + 1), tokens.slice(held + 1)].forEach((some, i) => parts[i].append(...some));
    focused?.focus();
  }

  let [wanted, painted] = [null, null];
  const halves = () => [[context, rows[painted.i], columns], [{ ...context, scene: B.scene, layer: B.layer, head: B.head, several: B.several, pick: B.pick }, rowsB[painted.j], columnsB]]
    .map(([own, asking, asked]) => ({ context: own, asking, asked })); // prettier-ignore
  const copied = copies(context, "the comparison", {
    nodes: () => [board, caption, first],
    table: () => [[unit, "A", "B", "A − B"], ...painted.found.map(({ text, a, b, d }) => [text, a ?? "", b ?? "", d])],
    python: () => python.compared(...halves(), painted.found.map(({ at }) => at)),
  });
  copied.hidden = true;
  async function paint() {
    const turn = (wanted = {});
    const i = pinned();
    const j = twinned(i);
    boards.forEach(({ one }, side) => {
      const at = side ? j : i;
      one.tokens.forEach((token, c) => {
        token.classList.toggle("from", c === at);
        token.setAttribute("aria-pressed", String(c === at));
        token.tabIndex = c === Math.min(at ?? 0, one.tokens.length - 1) ? 0 : -1;
      });
      if (aligned) place(one, at);
    });
    if (j === null) {
      for (const { other } of boards) other?.tokens.forEach((token) => tint(token, 0));
      caption.textContent = `B has no ${shown(rows[i].text)}: choose one of its words to compare with.`;
      for (const node of [first, drift]) node.replaceChildren();
      rest.hidden = copied.hidden = true;
      return;
    }
    const share = async (one, at, pick, members, to) => shared(pick, one, await data.looked(one, at, members, false), to);
    const [a, b] = await Promise.all([share(scene, layer, own, rows[i].members, columns), share(B.scene, B.layer, B.pick, rowsB[j].members, columnsB)]);
    if (turn !== wanted) return;
    const found = paired(columns, columnsB, same && !whole ? [i, j] : null).map((pair) => ({
      ...pair, at: pair, text: columns[pair.a]?.text ?? columnsB[pair.b].text, parks: columns[pair.a]?.parks ?? columnsB[pair.b].parks,
      a: pair.a === null ? null : a[pair.a], b: pair.b === null ? null : b[pair.b], d: (pair.a === null ? 0 : a[pair.a]) - (pair.b === null ? 0 : b[pair.b]),
    })); // prettier-ignore
    const coloured = found.filter(({ parks }) => !parks || state.now.parked);
    const most = Math.max(...coloured.map(({ d }) => Math.abs(d)), FLOOR);
    caption.classList.remove("wrong");
    caption.textContent = told(found, rows[i].text, rowsB[j].text, unit, own.max || B.pick.max);
    boards.forEach(({ other, picture }, side) => {
      picture?.paint(Float64Array.from(found, ({ d }) => d), most, i, caption.textContent);
      for (const one of found) {
        const token = other?.tokens[side ? one.at.b : one.at.a];
        if (!token) continue;
        tint(token, coloured.includes(one) ? strength(state, one.d, most) : 0);
        token.classList.toggle("against", one.d < 0);
        token.title = `A ${one.a === null ? "–" : percent(one.a, 1)}, B ${one.b === null ? "–" : percent(one.b, 1)}: ${points(one.d)} points`;
      }
    });
    const sorted = [...found].sort((one, other) => Math.abs(other.d) - Math.abs(one.d));
    first.replaceChildren(table(sorted.slice(0, FIRST), "Shares in per cent, their difference in points, the largest first", unit));
    painted = { i, j, found };
    rest.hidden = found.length <= FIRST;
    copied.hidden = false;
    rest.replaceChildren(rest.firstChild, el("div", { class: "table" }, table(found, `Shares in per cent, their difference in points, in the order of the ${unit}s`, unit)));
    await vectors(turn, i, j);
  }

  async function vectors(turn, i, j) {
    if (B.scene === scene) return drift.replaceChildren();
    const title = el("h2", {}, layer.rows === "target" ? "How near the vectors are from which it is written, layer by layer" : "How near the vectors of the two are, layer by layer");
    if (B.scene.of !== scene.of) return drift.replaceChildren(title, el("p", { class: "axes" }, "Vectors of two models stand in no common space, so that no line is drawn."));
    try {
      const cosines = await data.drift(scene, layer, B.scene, { members: rows[i].members, others: rowsB[j].members, at: [i, j], pieces: state.now.pieces });
      if (turn !== wanted) return;
      const parts = moved(context, cosines, rows[i].text, rowsB[j].text, Math.min(root.clientWidth, 640));
      const trunk = scene.sides.length === 1 ? "stack" : layer.role === "encoder" ? "encoder" : "decoder";
      drift.replaceChildren(title, ...parts, copies(context, "how near they are", {
        nodes: () => [parts[0], parts[1]],
        table: () => [["after layer", "cosine"], ...cosines.map((value, depth) => [String(depth), value])],
        python: () => python.drift(...halves(), trunk),
      }));
    } catch (error) {
      if (turn === wanted) drift.replaceChildren(title, el("p", { class: "wrong" }, error.message));
    }
  }

  root.replaceChildren(between, board, caption, first, rest, copied, drift);
  root.repaint = () => {
    const coming = paint();
    const turn = wanted;
    coming.catch((error) => {
      if (turn !== wanted) return; // another word was chosen
      caption.classList.add("wrong");
      caption.textContent = error.message;
    });
  };
  root.resized = root.repaint;
  root.repaint();
}

export const compare = {
  name: "compare",
  title: "Compare",
  tools: ["heads", "pieces", "parked", "scale"],
  note: (scene) => `Blue: A looks there more. Orange: B does.${kindOf(scene) === "text" ? " A word that stands in one text alone counts with all that it has." : ""}`,
  fits: () => true,
  draw,
};
