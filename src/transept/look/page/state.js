// What is looked at now. It lives in the address, so that a link shows the same. Where it names no layer, the scene tells
// which one, and which head, to look at first.

// How strong the colour of a share is. The logarithm begins at a ten-thousandth.
export const SCALES = {
  linear: ["linear", (share) => share],
  root: ["square root", Math.sqrt],
  log: ["logarithm", (share) => Math.max(0, 1 + Math.log10(share) / 4)],
};

const FIRST = {
  view: "words", scene: 0, layer: null, layers: null, head: null, several: null, max: false, scale: "root", pin: null, pieces: false, backward: false, parked: false, speed: 1,
  other: null, twin: null, update: null, beam: false, pins: null, opacity: 90, smooth: false, top: 100, order: "", label: "", rollout: false, step: null, output: null, against: null, way: false,
  method: "leave-one-out",
};
const NUMBERS = ["scene", "layer", "pin", "step", "head", "output", "opacity", "twin", "update", "speed", "top", "against"];
const PARSED = Object.fromEntries(NUMBERS.map((name) => [name, Number]));

export class State {
  #heard = [];
  now = { ...FIRST };

  constructor() {
    this.#read();
    window.addEventListener("hashchange", () => {
      this.#read();
      this.#tell({});
    });
  }

  #read() {
    const given = new URLSearchParams(location.hash.slice(1));
    this.now = { ...FIRST };
    for (const [name, value] of given) {
      if (!(name in FIRST)) continue;
      const first = FIRST[name];
      const number = PARSED[name] && Number.isFinite(Number(value)) ? Number(value) : null;
      this.now[name] = PARSED[name] ? number : typeof first === "boolean" ? value === "true" : value;
    }
  }

  #tell(change) {
    for (const hear of this.#heard) hear(this.now, change);
  }

  heard(hear) {
    this.#heard.push(hear);
  }

  // The strength of the colour of a share, 0 to 1, on the scale that is chosen.
  shade(share) {
    const { scale } = this.now;
    return SCALES[Object.hasOwn(SCALES, scale) ? scale : FIRST.scale][1](Math.min(share, 1));
  }

  set(change) {
    this.now = { ...this.now, ...change };
    const kept = Object.entries(this.now).filter(([name, value]) => value !== FIRST[name] && value !== null);
    history.replaceState(null, "", `#${new URLSearchParams(kept.map(([name, value]) => [name, String(value)]))}`);
    this.#tell(change);
  }
}
