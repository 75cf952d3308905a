// Playing: a step at a time, as fast as is wanted now.

import { el } from "./dom.js";

const PAUSE = 700; // milliseconds
const SPEEDS = [0.5, 1, 2, 4];

// Does a step again and again, until it is stopped.
export class Player {
  #timer = null;

  get plays() {
    return this.#timer !== null;
  }

  start(state, step) {
    this.#timer = setTimeout(() => {
      this.start(state, step);
      step();
    }, PAUSE / state.now.speed);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }
}

export function pace(state) {
  const select = el("select", { "aria-label": "Speed", onchange: () => state.set({ speed: Number(select.value) }) },
    ...SPEEDS.map((speed) => el("option", { value: speed, selected: speed === state.now.speed }, `${speed} ×`))); // prettier-ignore
  return select;
}
