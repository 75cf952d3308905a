// Where scenes and numbers come from: the server that sent this page, or the file itself.

const SHARES = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255) ** 2); // a byte holds 255 sqrt(p)

function spread(bytes) {
  const found = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) found[i] = SHARES[bytes[i]];
  return found;
}

export class Refused extends Error {}

async function answered(response) {
  const told = await response.json();
  if (told.error) throw new Refused([told.error, told.remedy].filter(Boolean).join(" "));
  return told;
}

class Data {
  #kept = new Map();

  // The weights of a layer as one row of numbers: head h, row s, column t stands at (h S + s) T + t.
  weights(scene, layer) {
    const key = `${scene.id}/${layer}`;
    if (!this.#kept.has(key)) {
      const coming = this.bytes(scene, layer).then(spread);
      coming.catch(() => this.#kept.delete(key));
      this.#kept.set(key, coming);
    }
    return this.#kept.get(key);
  }
}

class Served extends Data {
  asks = true;

  async open() {
    return answered(await fetch("api/stage"));
  }

  async bytes(scene, layer) {
    const response = await fetch(`api/scene/${scene.id}/weights/${layer}`);
    if (!response.ok) await answered(response);
    return new Uint8Array(await response.arrayBuffer());
  }

  async scene(given, target = null, most = null) {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ given, target, most });
    return answered(await fetch("api/scene", { method: "POST", headers, body }));
  }
}

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

  async bytes(scene, layer) {
    const { packed } = scene.layers[layer];
    if (packed === undefined) throw new Refused("This layer was left out of the file, which would be too large.");
    return Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  }
}

export function source() {
  const told = document.getElementById("told");
  return told ? new Written(JSON.parse(told.textContent)) : new Served();
}
