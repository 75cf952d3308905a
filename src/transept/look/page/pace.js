// Playing: a step at a time, as fast as is wanted now.

import { el } from "./dom.js";

const PAUSE = 700; // milliseconds
const SPEEDS = [0.5, 1, 2, 4];

// Does a step again and again; gives what ends it.
export function every(state, step) {
  let timer = null;
  const wait = () => (timer = setTimeout(go, PAUSE / state.now.speed));
  function go() {
    wait();
    step();
  }
  wait();
  return () => clearTimeout(timer);
}

export function pace(state) {
  const select = el("select", { "aria-label": "Speed", onchange: () => state.set({ speed: Number(select.value) }) },
    ...SPEEDS.map((speed) => el("option", { value: speed, selected: speed === state.now.speed }, `${speed} ×`))); // prettier-ignore
  return select;
}
