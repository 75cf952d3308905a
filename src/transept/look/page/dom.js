// Elements, made so that text is only ever text: nothing here reads markup.

const DRAWN = "http://www.w3.org/2000/svg";

function dressed(node, told, inside) {
  for (const [name, value] of Object.entries(told)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...inside.filter((one) => one !== null && one !== undefined));
  return node;
}

export const el = (name, told = {}, ...inside) => dressed(document.createElement(name), told, inside);

export const drawn = (name, told = {}, ...inside) => dressed(document.createElementNS(DRAWN, name), told, inside);

// A text as it is written where it may be empty, or nothing but space.
export function visible(text) {
  if (text === "") return "∅";
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

// Letters that run from right to left, and marks that turn what follows.
const TURNING = /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

// The same within a sentence: what runs from right to left turns nothing that stands beside it.
export function shown(text) {
  const seen = visible(text);
  return TURNING.test(seen) ? `\u2068${seen}\u2069` : seen;
}

// A number with so many digits: with a minus that is one, and none before 0.
export function fixed(number, digits) {
  const text = Math.abs(number).toFixed(digits);
  return number < 0 && Number(text) !== 0 ? `−${text}` : text;
}

// The same with its sign.
export const signed = (number, digits = 2) => (number > 0 && Number(number.toFixed(digits)) !== 0 ? "+" : "") + fixed(number, digits);

export const percent = (share, digits = 0) => `${fixed(100 * share, digits)} %`;

export const wide = (share) => ({ style: { width: `${(100 * share).toFixed(2)}%` } });

export function toggle(label, on, change, told = {}) {
  return el("button", { type: "button", "aria-pressed": String(on), onclick: () => change(!on), ...told }, label);
}

// A canvas at the screen's own resolution, width and height in CSS pixels.
export function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

// A colour of the style sheet as the present scheme has it.
export function colour(name) {
  const probe = document.getElementById("probe") ?? document.body.appendChild(el("i", { id: "probe", hidden: true }));
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
