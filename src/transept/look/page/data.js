// Where scenes and numbers come from: the server that sent this page, or the file itself.

import { groups } from "./words.js";

// A byte holds 255 sqrt(p), two of them 65535 sqrt(p).
function spread(numbers) {
  const most = numbers.BYTES_PER_ELEMENT === 1 ? 255 : 65535;
  const shares = new Float32Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) shares[i] = (numbers[i] / most) ** 2;
  return shares;
}

export const alike = (scene, layer) =>
  scene.layers.filter((one) => one.role === layer.role && one.rows === layer.rows && one.columns === layer.columns);

export class Refused extends Error {}

async function answered(response) {
  const told = await response.json();
  if (told.error) throw new Refused(told.remedy ? `${told.error.replace(/[^.!?]$/, "$&.")} ${told.remedy}` : told.error);
  return told;
}

const GONE = "The server that sent this page does not answer: is `transept look` still running?";

const reached = (address, what) => fetch(address, what).catch(() => Promise.reject(new Refused(GONE)));

const FRAMES = 64e6; // bytes of a film's maps that are kept
const NUMBERS = 256e6; // bytes of all other numbers
const SMALL = 4096; // bytes that an answer without a row of numbers counts for

function sizeOf(found) {
  if (found.byteLength !== undefined) return found.byteLength;
  const rows = Object.values(found).filter((one) => ArrayBuffer.isView(one));
  return rows.reduce((sum, one) => sum + one.byteLength, SMALL);
}

class Data {
  #kept = new Map();
  #size = 0;
  #frames = new Map();

  // What was asked for last is kept, up to a size; what is still to come has none.
  once(key, make) {
    const known = this.#kept.get(key);
    const one = known ?? { coming: make(), size: 0 };
    this.#kept.delete(key);
    this.#kept.set(key, one);
    if (!known) one.coming.then((found) => this.#weigh(one, sizeOf(found)), () => this.#kept.get(key) === one && this.#kept.delete(key));
    return one.coming;
  }

  #weigh(one, size) {
    this.#size += one.size = size;
    for (const [key, old] of this.#kept) {
      if (this.#size <= NUMBERS) return;
      if (old === one || !old.size) continue;
      this.#size -= old.size;
      this.#kept.delete(key);
    }
  }

  // The weights of a layer as one row of numbers: head h, row s, column t stands at (h S + s) T + t.
  weights(scene, layer) {
    return this.once(`${scene.id}/${layer}`, () => this.packed(scene, layer).then(spread));
  }

  // The map of one head, the mean of a list of them, or of all where it is null: row s, column t stands at s T + t. Exact.
  map(scene, layer, head) {
    return this.once(`${scene.id}/map/${layer}/${head}`, () => this.exact(scene, layer, head));
  }

  // Attention rollout after a layer: row s, column t stands at s T + t.
  rollout(scene, layer) {
    return this.once(`${scene.id}/rollout/${layer}`, () => this.rolled(scene, layer));
  }

  // All that a beam search weighs.
  beam(scene) {
    return this.once(`${scene.id}/beam`, () => this.branches(scene));
  }

  // The sound of a scene: the bytes of a .wav file.
  sound(scene) {
    return this.once(`${scene.id}/sound`, () => this.wav(scene));
  }

  // How spread each head of a layer is, and its map as a small picture: {spreads, shares}, head after head.
  small(scene, layer) {
    return this.once(`${scene.id}/small/${layer}`, async () => {
      const bytes = await this.pooled(scene, layer);
      const heads = scene.layers[layer].shape[0];
      return { spreads: new Float32Array(bytes.buffer, 0, heads), shares: spread(bytes.subarray(4 * heads)) };
    });
  }

  // The same of a film's moment, (H, S, T). What was seen last is kept, up to a size.
  frame(scene, update, layer) {
    const key = `${scene.id}/film/${update}/${layer}`;
    const coming = this.#frames.get(key) ?? this.framed(scene, update, layer).then(spread);
    this.#frames.delete(key);
    this.#frames.set(key, coming);
    coming.catch(() => this.#frames.delete(key));
    const size = scene.layers[layer].shape.reduce((product, side) => product * side, 4);
    while (this.#frames.size > 1 && this.#frames.size * size > FRAMES) this.#frames.delete(this.#frames.keys().next().value);
    return coming;
  }

  // What one word looks at in each layer that is like the given one, a row of numbers each: head h, column t stands at
  // h T + t, the mean over the word's pieces. Backward: how much each token looks at it, the sum over its pieces.
  looked(scene, layer, members, backward) {
    const index = scene.layers.indexOf(layer);
    return this.once(`${scene.id}/${index}/${members}/${backward}`, () => this.lines(scene, layer, members, backward));
  }
}

class Served extends Data {
  asks = true;

  async open() {
    return answered(await reached("api/stage"));
  }

  async #bytes(address) {
    const response = await reached(`api/scene/${address}`);
    if (!response.ok) await answered(response);
    return response.arrayBuffer();
  }

  async packed(scene, layer) {
    return new Uint8Array(await this.#bytes(`${scene.id}/weights/${layer}`));
  }

  async pooled(scene, layer) {
    return new Uint8Array(await this.#bytes(`${scene.id}/small/${layer}`));
  }

  async exact(scene, layer, head) {
    return new Float32Array(await this.#bytes(`${scene.id}/map/${layer}/${head ?? "mean"}`));
  }

  async rolled(scene, layer) {
    return new Float32Array(await this.#bytes(`${scene.id}/rollout/${layer}`));
  }

  wav(scene) {
    return this.#bytes(`${scene.id}/sound`);
  }

  branches(scene) {
    return this.#asked("beam", { scene: scene.id });
  }

  async lines(scene, layer, members, backward) {
    const address = `${scene.id}/looked/${scene.layers.indexOf(layer)}/${backward ? "columns" : "rows"}/${members}`;
    const all = new Float32Array(await this.#bytes(address));
    let from = 0;
    return alike(scene, layer).map(({ shape: [H, S, T] }) => all.subarray(from, (from += H * (backward ? S : T))));
  }

  async #asked(address, what) {
    const headers = { "Content-Type": "application/json" };
    return answered(await reached(`api/${address}`, { method: "POST", headers, body: JSON.stringify(what) }));
  }

  scene(given, target = null, most = null) {
    return this.#asked("scene", { given, target, most });
  }

  // A file as a scene: its content is sent, and its name as text.
  drop(file) {
    const headers = { "Content-Type": "application/octet-stream", "X-Name": encodeURIComponent(file.name.toWellFormed()) };
    return reached("api/file", { method: "POST", headers, body: file }).then(answered);
  }

  again(number) {
    return reached(`api/scene/${number}`).then(answered);
  }

  // The cosines of a word with one of another scene at every depth. They look in this layer, and are known by their tokens.
  drift(scene, layer, other, { members, others }) {
    const address = `${scene.id}/drift/${scene.layers.indexOf(layer)}/${members}/${other.id}/${others}`;
    return this.once(address, () => reached(`api/scene/${address}`).then(answered)).then(({ cosines }) => cosines);
  }

  // What a checkpoint makes of a scene: {labels, scores, probability}, by layer and head.
  moment(scene, update) {
    return this.once(`${scene.id}/film/${update}`, () => reached(`api/scene/${scene.id}/film/${update}`).then(answered));
  }

  async framed(scene, update, layer) {
    return new Uint16Array(await this.#bytes(`${scene.id}/film/${update}/${layer}`));
  }

  // The probabilities of all that was written, before a cut and after.
  cut(scene, what) {
    return this.once(`${scene.id}/cut/${JSON.stringify(what)}`, () => this.#asked("cut", { scene: scene.id, ...what }));
  }

  // What an output hangs on, a number for each token of each side.
  why(scene, output, method, against) {
    return this.once(`${scene.id}/why/${output}/${method}/${against}`, () => this.#asked("why", { scene: scene.id, output, method, against }));
  }

  // How many of its passes the model has made, of what it is asked now: [made, all]; null where that is not known.
  pace() {
    return fetch("api/pace").then(answered).then(({ pace }) => pace);
  }

  // How far the methods agree on that: {methods, table}.
  agree(scene, output, against) {
    return this.once(`${scene.id}/agree/${output}/${against}`, () => this.#asked("agree", { scene: scene.id, output, against }));
  }

  // The way to it through the attentions, the last first: [attention, row, column, share, across].
  ways(scene, output) {
    return this.once(`${scene.id}/ways/${output}`, () => this.#asked("ways", { scene: scene.id, output }));
  }

  // What each layer would have said there: [text, its probability, that of the output].
  lens(scene, output) {
    return this.once(`${scene.id}/lens/${output}`, () => this.#asked("lens", { scene: scene.id, output }));
  }
}

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

class Written extends Data {
  asks = false;
  #told;

  constructor(told) {
    super();
    this.#told = told;
  }

  async open() {
    return this.#told;
  }

  async packed(scene, layer) {
    const { packed } = scene.layers[layer];
    if (packed === undefined) throw new Refused("This layer was left out of the file, which would be too large.");
    return new Uint16Array(bytesOf(packed).buffer);
  }

  async pooled(scene, layer) {
    return bytesOf(scene.layers[layer].pooled);
  }

  async exact(scene, layer, head) {
    const [H, S, T] = scene.layers[layer].shape;
    const weights = await this.weights(scene, layer);
    if (head !== null && !Array.isArray(head)) return weights.subarray(head * S * T, (head + 1) * S * T);
    const [mean, heads] = [new Float32Array(S * T), head ?? [...Array(H).keys()]];
    for (const h of heads) for (let i = 0; i < mean.length; i++) mean[i] += weights[h * S * T + i] / heads.length;
    return mean;
  }

  async rolled(scene, layer) {
    const { rolled } = scene.layers[layer];
    if (rolled === undefined) throw new Refused("Attention is not followed in this file: it would be too large, or the model is not blocks in a row.");
    return spread(new Uint16Array(bytesOf(rolled).buffer));
  }

  async wav(scene) {
    return bytesOf(scene.wav).buffer;
  }

  async branches(scene) {
    if (scene.beam === undefined) throw new Refused("The beam was left out of the file.");
    return scene.beam;
  }

  // The tables hold all words of two scenes, or all of their tokens: `at` is which of them are asked for.
  async drift(scene, layer, other, { at: [i, j], pieces }) {
    const [one, two] = scene.id < other.id ? [scene, other] : [other, scene];
    const key = `${one.id}/${two.id}/${layer.rows}/${pieces ? "tokens" : "words"}`;
    const packed = this.#told.drifts[this.#told.drifts[key] === "words" ? key.replace(/tokens$/, "words") : key]; // each word is a token
    if (packed === undefined) throw new Refused("These vectors are not in the file: it would be too large, or the model is not blocks in a row.");
    const table = new Int16Array(bytesOf(packed).buffer);
    const [I, J] = [one, two].map((known) => groups(known.sides.find(({ name }) => name === layer.rows), pieces).length);
    const from = one === scene ? i * J + j : j * J + i;
    return [...Array(table.length / (I * J)).keys()].map((depth) => table[depth * I * J + from] / 32767);
  }

  // What was worked out of an output while the file was written.
  async #reason(scene, output, name) {
    const found = scene.why?.[output]?.[name];
    if (found === undefined) throw new Refused("This is not in the file, in which there is no model: `transept look MODEL TEXT` asks it.");
    if (found.error) throw new Refused(found.error);
    return found;
  }

  why(scene, output, method) {
    return this.#reason(scene, output, method);
  }

  lens(scene, output) {
    return this.#reason(scene, output, "lens");
  }

  ways(scene, output) {
    return this.#reason(scene, output, "ways");
  }

  async moment(scene, update) {
    const found = scene.film?.[update];
    if (!found) throw new Refused("This checkpoint was left out of the file, which would be too large, or it cannot be read.");
    return found;
  }

  async framed(scene, update, layer) {
    const { packed } = await this.moment(scene, update);
    const size = ({ shape: [H, S, T] }) => H * S * T;
    const from = scene.layers.slice(0, layer).reduce((sum, one) => sum + size(one), 0);
    return new Uint16Array(bytesOf(packed).buffer, 2 * from, size(scene.layers[layer]));
  }

  lines(scene, layer, members, backward) {
    return Promise.all(alike(scene, layer).map(async (one) => {
      const [H, S, T] = one.shape;
      const weights = await this.weights(scene, scene.layers.indexOf(one));
      const found = new Float32Array(H * (backward ? S : T));
      for (let h = 0; h < H; h++) for (let s = 0; s < S; s++) for (let t = 0; t < T; t++) {
        const share = weights[(h * S + s) * T + t];
        if (backward && members.includes(t)) found[h * S + s] += share;
        else if (!backward && members.includes(s)) found[h * T + t] += share / members.length;
      }
      return found;
    }));
  }
}

export function source() {
  const told = document.getElementById("told");
  return told ? new Written(JSON.parse(told.textContent)) : new Served();
}
