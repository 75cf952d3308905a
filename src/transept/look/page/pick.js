// What is shown where no single head of a single layer is: some heads and some layers as one. Of heads the mean or the
// largest share is taken, of what each layer then gives the mean.

import { alike } from "./data.js";
import { gathered, map, merged } from "./words.js";

// The layers that can be one with this: of its kind, between the same sides, with as many heads.
export const kin = (scene, layer) => alike(scene, layer).filter(({ shape }) => String(shape) === String(layer.shape));

const numbers = (text, most) =>
  [...new Set(text.split(",").map(Number))].filter((one) => Number.isInteger(one) && one >= 0 && one < most).sort((a, b) => a - b);

// Which heads of a layer are chosen where no single one is: some, or null for all of them.
export function severalOf({ several }, layer, head) {
  const found = head === null && several !== null ? numbers(several, layer.shape[0]) : [];
  return found.length > 1 ? found : null;
}

// {layers, heads, head, several, max}: what is asked for, of a layer of a scene and the kin that it has.
export function pickOf(now, scene, layer, head) {
  const all = kin(scene, layer);
  const told = now.layers === null || now.layers === "all" ? [] : numbers(now.layers, scene.layers.length).map((at) => scene.layers[at]);
  const some = now.layers === "all" ? all : all.filter((one) => told.includes(one));
  const several = severalOf(now, layer, head);
  const heads = head === null ? several ?? [...Array(layer.shape[0]).keys()] : [head];
  return { layers: some.length > 1 ? some : [layer], heads, head, several, max: now.max && heads.length > 1 };
}

export const one = ({ layers, max }) => layers.length === 1 && !max;

export function spokenHeads({ head, several, max }) {
  if (head !== null) return `head ${head + 1}`;
  return `${max ? "largest" : "mean"} of ${several ? `heads ${several.map((one) => one + 1).join(", ")}` : "all heads"}`;
}

// "mean of all 6 encoder layers"
export function spokenLayers(scene, { layers }, spokenLayer) {
  const [first] = layers;
  if (layers.length === 1) return spokenLayer(first);
  const every = layers.length === alike(scene, first).length;
  const name = first.role === "cross" ? "decoder" : first.role;
  const which = every ? `all ${layers.length} ${name} layers` : `${name} layers ${layers.map(({ number }) => number).join(", ")}`;
  return `mean of ${which}${first.role === "cross" ? ` → ${first.columns}` : ""}`;
}

// What is said of a row that does not add up to 1.
export const SUMS = "the largest share that any of these heads gives, so that a row may add up to more than 1";

const mean = (lists) => lists.reduce((sum, list) => (list.forEach((share, i) => (sum[i] += share / lists.length)), sum), new Float64Array(lists[0].length));

// The shares of groups, of what `data.looked` gave for each layer that is like these.
export function shared(pick, scene, lines, groups, looking = false) {
  const known = alike(scene, pick.layers[0]);
  return mean(pick.layers.map((layer) => gathered(lines[known.indexOf(layer)], { all: layer.shape[0], chosen: pick.heads, max: pick.max }, groups, looking)));
}

// The same of one layer by itself: all of its heads where it has not those that are chosen.
export function sharedAt(pick, layer, line, groups, looking = false) {
  const all = layer.shape[0];
  const known = pick.heads.every((h) => h < all) && (pick.head !== null || pick.several);
  return gathered(line, { all, chosen: known ? pick.heads : [...Array(all).keys()], max: pick.max }, groups, looking);
}

function larger(most, shares) {
  if (most === null) return shares;
  for (let i = 0; i < shares.length; i++) most[i] = Math.max(most[i], shares[i]);
  return most;
}

let last = { key: null, coming: null }; // the map that was joined last: a view draws itself again and again

// The whole map, rows by columns, exact.
export function mapOf(data, scene, pick, rows, columns) {
  if (one(pick)) return joined(data.map.bind(data), scene, pick, rows, columns);
  const side = (groups) => groups.map(({ members }) => members).join("|");
  const key = [scene.id, pick.layers.map((layer) => scene.layers.indexOf(layer)), pick.heads, pick.max, side(rows), side(columns)].join("/");
  if (last.key !== key) {
    const coming = joined(data.exact.bind(data), scene, pick, rows, columns);
    last = { key, coming };
    coming.catch(() => last.coming === coming && (last = { key: null, coming: null }));
  }
  return last.coming;
}

// What it is made of comes map by map, and is not kept.
async function joined(exact, scene, pick, rows, columns) {
  const found = [];
  for (const layer of pick.layers) {
    const at = scene.layers.indexOf(layer);
    let shares = null;
    for (const heads of pick.max ? pick.heads : [pick.several ?? pick.head])
      shares = larger(shares, merged(await exact(scene, at, heads), layer.shape[2], rows, columns));
    found.push(shares);
  }
  return found.length > 1 ? mean(found) : found[0];
}

// The same of the whole weights of these layers.
export function blended(pick, weights, rows, columns) {
  const found = weights.map((own, k) => {
    const { shape } = pick.layers[k];
    return pick.max ? pick.heads.reduce((most, head) => larger(most, map(own, shape, [head], rows, columns)), null) : map(own, shape, pick.heads, rows, columns);
  });
  return found.length > 1 ? mean(found) : found[0];
}
