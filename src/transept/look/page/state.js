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
const COUNTS = ["scene", "layer", "pin", "step", "head", "output", "opacity", "twin", "update", "top", "against"];
const isCount = (value) => /^\d{1,15}$/.test(value);

// What an address says of one thing; what it was at first, where that makes no sense.
function told(name, value) {
  const first = FIRST[name];
  if (COUNTS.includes(name)) return isCount(value) ? Number(value) : first;
  if (name === "speed") return Number(value) > 0 ? Number(value) : first;
  return typeof first === "boolean" ? value === "true" : value;
}

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
    for (const [name, value] of given) if (Object.hasOwn(FIRST, name)) this.now[name] = told(name, value);
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
