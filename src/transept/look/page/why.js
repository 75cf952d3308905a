// Why: what one written token, or a class, hangs on, a signed bar for each word that was read.

import { el, fixed, percent, shown, signed, toggle, wide } from "./dom.js";
import { coloured } from "./board.js";
import { fits, ways } from "./ways.js";
import { groups } from "./words.js";
import { firstWord, outputs } from "./cuts.js";
import { copies } from "./copy.js";
import * as python from "./python.js";

const SIDE = 320;
const PACE = 500; // milliseconds between two looks at how far the model is
const LARGE = 0.1; // of what the bars should add up to
const FULL = { probability: 0.1, logit: 0.5, share: 0.1 }; // a bar of the whole width, where none is longer
const METHODS = {
  "leave-one-out": ["left out, one at a time", "How much less probable it is without the word, measured: no attention sees it. No estimate, and what two words say together is counted for neither."],
  integrated: ["integrated gradients", "The slope of the logit along a way from nothing to the words; the bars add up to the change, but for the error."],
  gradient: ["input × gradient", "The slope of the logit at the words: quick, and an estimate."],
  attention: ["attention, weighted by values", "How long the vectors are that attention brings, the mean over layers. Where attention goes is not yet why."],
}; // prettier-ignore

function bar(text, value, most, parks) {
  const strength = Math.abs(value) / most;
  return el("li", { class: parks ? "parks" : null }, el("span", { title: shown(text) }, shown(text)),
    el("div", { class: "sign", "aria-hidden": "true" }, el("i", { class: value < 0 ? "against" : null, style: { width: `${(50 * strength).toFixed(1)}%` } })),
    el("small", {}, signed(value, 3))); // prettier-ignore
}

// The places of a picture, blue where they speak for the answer.
function places(side, numbers, scene, least, state) {
  const [rows, columns] = side.grid;
  const before = side.texts.length - rows * columns;
  const canvas = el("canvas", { width: columns, height: rows, class: "over", role: "img", "aria-label": "The picture's places: blue speak for the answer, orange against it" });
  const own = numbers.slice(before);
  coloured(canvas, own, Math.max(...own.map(Math.abs), least), state);
  const photo = scene.picture ? [el("img", { src: scene.picture, alt: scene.title })] : [];
  return el("div", { class: "board", style: { width: `${SIDE}px`, height: `${(SIDE * rows) / columns}px` } }, ...photo, canvas);
}

// How far the methods order the words alike.
function agreement({ methods, table }) {
  const name = (method) => METHODS[method][0];
  const strength = (value) => ({ background: `color-mix(in srgb, ${value < 0 ? "var(--other)" : "var(--hue)"} ${Math.round(40 * Math.abs(value))}%, transparent)` });
  return el("div", { class: "table" }, el("table", { class: "agreement" }, el("caption", {}, "Spearman's correlation of two methods over all that was read: 1 is the same order, 0 none in common"),
    el("thead", {}, el("tr", {}, el("td"), ...methods.map((method) => el("th", { scope: "col" }, name(method))))),
    el("tbody", {}, ...methods.map((method, i) => el("tr", {}, el("th", { scope: "row" }, name(method)), ...table[i].map((value) => el("td", { style: strength(value) }, signed(value)))))))); // prettier-ignore
}

// What each layer would have said in its place, the last on top as in the rail.
function strip(lines, text) {
  const row = ([said, best, own], depth) => el("tr", { class: said === text ? "same" : null }, el("th", { scope: "row" }, depth === 0 ? "what entered" : String(depth)), el("td", {}, el("bdi", {}, shown(said))), el("td", {}, fixed(best, 3)),
    el("td", { class: "bars" }, el("span", { class: "bar", "aria-hidden": "true" }, el("i", wide(own)))), el("td", {}, fixed(own, 3)));
  return el("table", { class: "lens" }, el("thead", {}, el("tr", {}, ...["after layer", "would say", "P", "", `P(${shown(text)})`].map((name) => (name ? el("th", { scope: "col" }, name) : el("td"))))),
    el("tbody", {}, ...lines.map(row).reverse())); // prettier-ignore
}

// What else could stand there: [index, text].
function rivals(scene, chosen) {
  const [at, own] = [scene.asked[chosen], scene.indices[chosen]];
  const all = at === null ? scene.answers.map(([text], k) => [scene.indices[k], text]) : scene.choices[at] ?? [];
  return all.filter(([index]) => index !== own);
}

function told({ unit, value, baseline, apart, probability }, text, rival) {
  const parts = [`P(${shown(text)}) = ${fixed(probability, 3)}.`];
  if (rival && unit !== "share") parts.push(`Blue speaks for ${shown(text)}, orange for ${shown(rival)}: the ${unit} is the difference of the two.`);
  if (apart !== null) parts.push(`The ${unit} is ${fixed(value, 3)}, and ${fixed(baseline, 3)} of nothing; the bars add up to the difference but for ${fixed(apart, 3)}.`);
  if (apart !== null && apart > LARGE * Math.abs(value - baseline)) parts.push("That is much: trust these bars little.");
  if (apart === null) parts.push({ probability: "Bars are what the probability loses.", logit: `Bars are parts of the logit's slope; the logit is ${fixed(value, 3)}.`, share: "Bars are shares." }[unit]);
  return parts.join(" ");
}

// How far the model is, for as long as it is asked.
function follow(data, result, coming) {
  const timer = setInterval(async () => {
    if (!result.isConnected) return clearInterval(timer);
    const pace = await data.pace().catch(() => null);
    if (pace && !ended) count.textContent = ` ${pace[0]} of ${pace[1]} left out`;
  }, PACE);
  const count = el("span", { "aria-hidden": "true" }); // nobody wants it read aloud each time
  result.append(count);
  let ended = false;
  coming.catch(() => null).then(() => {
    ended = true;
    clearInterval(timer);
  });
}

// What a file cannot tell, and who can.
function absent({ scene }, held, texts) {
  const count = Object.keys(held).length;
  const some = count < texts.length ? `${count} of ${texts.length} outputs are in this file. ` : "";
  const text = scene.title.length > 60 ? "TEXT" : `'${scene.title.replaceAll("'", "'\\''")}'`;
  return el("p", { class: "axes" }, `${some}What else there is, any output, integrated gradients, one output rather than another, cuts, is asked of the model: `, el("code", {}, `transept look MODEL ${text}`));
}

function draw(root, context) {
  const { scene, state, data } = context;
  const texts = outputs(scene);
  const { now } = state;
  const chosen = Math.min(now.output ?? (scene.answers.length ? 0 : firstWord(scene)), texts.length - 1);
  const held = data.asks ? null : scene.why; // in a file, what was worked out of each output
  const there = (name) => !held || Object.hasOwn(held[chosen] ?? {}, name);
  const asked = Object.hasOwn(METHODS, now.method) ? now.method : "leave-one-out";
  const method = there(asked) ? asked : Object.keys(METHODS).find(there) ?? asked;
  const tokens = texts.map((text, k) =>
    el("button", { type: "button", class: `token${k === chosen ? " from" : ""}`, disabled: Boolean(held) && !(k in held), title: held && !(k in held) ? "not in this file" : null, "aria-pressed": String(k === chosen), onclick: () => state.set({ output: k, against: null }) }, shown(text)));
  const select = el("select", { "aria-label": "By", onchange: () => state.set({ method: select.value }) },
    ...Object.entries(METHODS).map(([name, [title]]) => el("option", { value: name, selected: name === method, disabled: !there(name) }, title))); // prettier-ignore
  const others = held ? [] : rivals(scene, chosen);
  const rival = others.find(([index]) => index === now.against) ?? null;
  const against = el("select", { "aria-label": "Rather than", onchange: () => state.set({ against: against.value === "" ? null : Number(against.value) }) },
    el("option", { value: "", selected: rival === null }, "anything else"), ...others.map(([index, text]) => el("option", { value: index, selected: index === now.against }, shown(text)))); // prettier-ignore
  const shows = fits(scene);
  const show = shows && toggle("The way through the layers", now.way, (way) => state.set({ way }));
  const [depths, meter] = [el("section", { class: "depths" }), el("section", {})];
  const measure = el("button", { type: "button", onclick: () => {
    measure.disabled = true;
    meter.replaceChildren(el("p", { role: "status" }, "The model is asked by every method …"));
    data.agree(scene, chosen, rival && rival[0]).then((found) => meter.replaceChildren(agreement(found)), (error) => meter.replaceChildren(el("p", { class: "wrong" }, error.message)));
  } }, "How far do the methods agree?"); // prettier-ignore
  const result = el("p", { class: "result", "aria-live": "polite" }, "The model is asked …");
  const bars = el("div");
  root.replaceChildren(el("div", { class: "why" },
    el("div", { class: "line", role: "group", "aria-label": "What is explained" }, el("span", { class: "side" }, scene.answers.length ? "class" : "written"), ...tokens),
    el("p", {}, ...(held ? [] : [el("label", {}, "rather than ", against), " "]), el("label", {}, "by ", select)), result, bars, el("p", { class: "axes" }, scene.sides[0].grid ? METHODS[method][1].replaceAll("word", "place") : METHODS[method][1]), el("p", { class: "chips" }, ...(held ? [] : [measure]), ...(shows ? [show] : [])), ...(held ? [absent(context, held, texts)] : []), meter, ...(shows && now.way ? [ways(context, chosen, texts[chosen])] : []), depths)); // prettier-ignore
  root.repaint = () => {}; // nothing here hangs on a pin
  root.resized = null;
  const foretold = () => data.lens(scene, chosen).then((lines) => {
    const table = strip(lines, texts[chosen]);
    depths.replaceChildren(el("h2", {}, "What each layer would have said, were it the last"), el("div", { class: "table" }, table), copies(context, "what each layer says", {
      nodes: () => [table],
      table: () => [["after layer", "would say", "probability", "probability of the output"], ...lines.map(([text, ...shares], depth) => [String(depth), text, ...shares])],
      python: () => python.lens(context, chosen),
    }));
  }, (error) => depths.replaceChildren(el("h2", {}, "What each layer would have said"), el("p", { class: "axes" }, error.message))); // prettier-ignore
  const coming = data.why(scene, chosen, method, rival && rival[0]);
  if (data.asks) follow(data, result, coming);
  coming.then((found) => {
    if (!result.isConnected) return; // another was chosen
    foretold();
    result.textContent = told(found, texts[chosen], rival && rival[1]);
    const shares = Object.entries(found.sides).map(([name, numbers]) => {
      const side = scene.sides.find((one) => one.name === name);
      const last = name === scene.sides[0].name && scene.sides.length > 1 ? Infinity : found.at ?? Infinity;
      const together = new Map((found.together[name] ?? []).map(([tokens, value]) => [tokens.join(), value])); // parts do not add up to it
      const words = groups(side, now.pieces).map(({ text, members, parks }) => ({
        text: members.at(-1) <= last ? text : members.filter((i) => i <= last).map((i) => side.texts[i]).join("").trim(), parks, // the rest of the word came later
        members, last: members[0] <= last, value: together.get(members.join()) ?? members.reduce((sum, i) => sum + numbers[i], 0),
      })).filter((word) => word.last);
      return { side, words, numbers };
    });
    const most = Math.max(...shares.flatMap(({ words }) => words.map(({ value }) => Math.abs(value))), FULL[found.unit]);
    if (shares.length > 1) {
      const lengths = shares.map(({ words }) => words.reduce((sum, { value }) => sum + Math.abs(value), 0));
      result.textContent += ` Of the bars' length what was read has ${percent(lengths[0] / (lengths[0] + lengths[1] || 1))}, what stood before ${percent(lengths[1] / (lengths[0] + lengths[1] || 1))}.`;
    }
    const titles = { source: "What was read", given: "What stood before", text: "What was read", picture: "What was seen" };
    bars.replaceChildren(...shares.flatMap(({ side, words, numbers }) => [
      el("h2", {}, titles[side.name] ?? side.name),
      side.grid ? places(side, numbers, scene, FULL[found.unit] / numbers.length, state) : el("ol", { class: "signs" }, ...words.map(({ text, value, parks }) => bar(text, value, most, parks))),
    ]));
    const copied = copies(context, "what it hangs on", {
      nodes: () => [result, ...[...bars.children].filter((one) => one !== copied)],
      table: () => [["side", "word", found.unit], ...shares.flatMap(({ side, words }) => words.map(({ text, value }) => [side.name, text, value]))],
      python: () => python.why(context, chosen, method, rival && rival[0], shares.map(({ side, words }) => [side.name === "given" ? "target" : "source", words])),
    });
    bars.append(copied);
  }).catch((error) => {
    result.classList.add("wrong");
    result.textContent = error.message;
  });
}

export const why = {
  name: "why",
  title: "Why",
  tools: ["pieces"],
  note: (scene) => `Blue speaks for ${scene.answers.length ? "the class" : "what was written"}, orange against it.`,
  fits: (scene, data) => scene.asked.length > 0 && (data.asks || Boolean(scene.why)),
  draw,
};
