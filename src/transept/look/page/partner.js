// What a map is compared with: another head, the same head in another text, or what another model makes of the text.
// In the address it is "[SCENE:][LAYER[.HEAD]]": what is left out is where the first one is.

import { alike } from "./data.js";
import { el } from "./dom.js";
import { mapOf, pickOf, spokenHeads, spokenLayers } from "./pick.js";
import { groups } from "./words.js";

const SPELT = /^(?:(\d+):)?(?:(\d+)(?:\.(\d+))?)?$/;
const GRIDS = (scene) => JSON.stringify(scene.sides.map(({ name, grid }) => [name, grid]));

export const sideOf = (scene, name) => scene.sides.find((side) => side.name === name);

export function spelt({ index, layer = null, head = null }) {
  return `${index === null ? "" : `${index}:`}${layer === null ? "" : layer}${head === null ? "" : `.${head}`}`;
}

// The scenes that can stand beside one: of the same sides, pictures of the same grid, and with such a layer.
export function beside(scenes, scene, layer) {
  return scenes.map((one, index) => ({ one, index })).filter(({ one }) => one === scene || (GRIDS(one) === GRIDS(scene) && alike(one, layer).length > 0));
}

const words = (scene) => new Set(scene.sides.flatMap((side) => groups(side, false).filter(({ parks }) => !parks).map(({ text }) => text.toLowerCase())));

// The other model's scene of this text; else a text with a word in common; else the scene itself.
function natural(scenes, scene, layer) {
  const twin = scenes.findIndex((one) => one.id === scene.twin || one.twin === scene.id);
  if (twin >= 0) return twin;
  const own = words(scene);
  const other = beside(scenes, scene, layer).find(({ one }) => one !== scene && one.of === scene.of && [...words(one)].some((word) => own.has(word)));
  return other?.index ?? scenes.indexOf(scene);
}

// Which scene, layer and heads are compared with those that are shown.
export function partner({ scenes, scene, layer, head, state, spokenLayer }) {
  const told = state.now.other?.match(SPELT);
  let index = told?.[1] !== undefined ? Number(told[1]) : told?.[2] !== undefined ? scenes.indexOf(scene) : natural(scenes, scene, layer);
  if (!beside(scenes, scene, layer).some((one) => one.index === index)) index = scenes.indexOf(scene);
  const one = scenes[index];
  const kin = alike(one, layer);
  const asked = told?.[2] !== undefined ? one.layers[told[2]] : undefined;
  const follows = !kin.includes(asked);
  const there = follows ? kin.find(({ number }) => number === layer.number) ?? kin.at(-1) : asked;
  let which = follows ? head : told[3] === undefined ? null : Number(told[3]);
  if (follows && one === scene) which = head === null ? 0 : null;
  if (which !== null && which >= there.shape[0]) which = null;
  const { layers, several, max } = state.now;
  const kept = one.of === scene.of || layers === "all" ? layers : null; // layers of another model have numbers of their own
  const pick = pickOf(follows && one !== scene ? { layers: kept, several, max } : { layers: null, several: null, max: false }, one, there, which);
  const place = `${spokenLayers(one, pick, spokenLayer)}, ${spokenHeads(pick)}`;
  return { index, scene: one, layer: there, at: one.layers.indexOf(there), head: which, several: pick.several, pick, place, follows, kin };
}

export const placeName = (context, layer, head) => `${context.spokenLayer(layer)}, ${head === null ? "mean of all heads" : `head ${head + 1}`}`;

export function sceneName({ told }, scene) {
  const text = scene.title.length > 60 ? `${scene.title.slice(0, 59)}…` : scene.title;
  return told.against === null ? text : `${modelName(told, scene)}: ${text}`;
}

const modelName = (told, scene) => [told.model, told.against][scene.of];

// A scene beside another one: what tells them apart.
export const besideName = (context, one, other) => (one.of !== other.of && one.title === other.title ? modelName(context.told, one) : sceneName(context, one));

// The choice of a layer and a head of a scene; `value` is what is chosen, "" where it follows.
export function places(context, { scene, kin }, value, following) {
  return [following && el("option", { value: "", selected: value === "" }, following),
    ...kin.map((layer) => {
      const at = scene.layers.indexOf(layer);
      return el("optgroup", { label: context.spokenLayer(layer) }, ...[null, ...Array(layer.shape[0]).keys()].map((head) => {
        const name = spelt({ index: null, layer: at, head });
        return el("option", { value: name, selected: value === name }, placeName(context, layer, head));
      }));
    })].filter(Boolean); // prettier-ignore
}

const same = (one, other) => one.length === other.length && one.every(({ text }, i) => text.toLowerCase() === other[i].text.toLowerCase());

// Whether two scenes have the same words on both sides of a layer, so that a map can be taken from the other.
export function congruent(context, other) {
  const { layer, rows, columns, state } = context;
  const [from, to] = [layer.rows, layer.columns].map((name) => groups(sideOf(other, name), state.now.pieces));
  return same(rows, from) && same(columns, to) ? { rows: from, columns: to } : null;
}

// The map of the partner, rows by columns as those that are shown; null where the words differ.
export async function lessened(context, { scene, pick }) {
  const sides = congruent(context, scene);
  return sides && mapOf(context.data, scene, pick, sides.rows, sides.columns);
}

// Words of two lines that stand for each other, in their order: {a, b}, null where there is none. The two of `held` do.
export function paired(one, other, held = null) {
  if (same(one, other)) return one.map((_, i) => ({ a: i, b: i }));
  if (held) {
    const [a, b] = held;
    const after = paired(one.slice(a + 1), other.slice(b + 1));
    const moved = after.map((pair) => ({ a: pair.a === null ? null : pair.a + a + 1, b: pair.b === null ? null : pair.b + b + 1 }));
    return [...paired(one.slice(0, a), other.slice(0, b)), { a, b }, ...moved];
  }
  const [A, B] = [one, other].map((line) => line.map(({ text }) => text.toLowerCase()));
  const wide = B.length + 1;
  const most = new Uint32Array((A.length + 1) * wide); // the longest run of words in common, from here on
  for (let i = A.length - 1; i >= 0; i--) for (let j = B.length - 1; j >= 0; j--)
    most[i * wide + j] = A[i] === B[j] ? most[(i + 1) * wide + j + 1] + 1 : Math.max(most[(i + 1) * wide + j], most[i * wide + j + 1]);
  const found = [];
  let [i, j] = [0, 0];
  while (i < A.length || j < B.length) {
    if (i < A.length && j < B.length && A[i] === B[j]) found.push({ a: i++, b: j++ });
    else if (j >= B.length || (i < A.length && most[(i + 1) * wide + j] >= most[i * wide + j + 1])) found.push({ a: i++, b: null });
    else found.push({ a: null, b: j++ });
  }
  return found;
}

// The word of the other line that is the same: as often as it came before, else the first of it; null where there is none.
export function twin(one, other, i) {
  const word = (group) => group.text.toLowerCase();
  const asked = word(one[i]);
  const before = one.slice(0, i).filter((group) => word(group) === asked).length;
  const found = other.flatMap((group, j) => (word(group) === asked ? [j] : []));
  return found[before] ?? found[0] ?? null;
}
