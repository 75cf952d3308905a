// What is looked at now. It lives in the address, so that a link shows the same. Where it names no layer, the scene tells
// which one, and which head, to look at first.

const FIRST = {
  view: "words", scene: 0, layer: null, head: null, several: null, pin: null, pieces: false, backward: false, parked: false, speed: 1,
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

  set(change) {
    this.now = { ...this.now, ...change };
    const kept = Object.entries(this.now).filter(([name, value]) => value !== FIRST[name] && value !== null);
    history.replaceState(null, "", `#${new URLSearchParams(kept.map(([name, value]) => [name, String(value)]))}`);
    this.#tell(change);
  }
}
