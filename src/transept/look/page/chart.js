// Lines of numbers: how a value goes over layers, or over updates.

import { drawn, fixed } from "./dom.js";

const HIGH = 150;
const [LEFT, RIGHT, TOP, BOTTOM] = [40, 14, 10, 24];

// lines: {values, strong}, a number (or null) for each of `names`; `at` is the one that is marked. Gives the picture.
export function chart({ lines, names, at, low, high, label, width }) {
  const x = (i) => LEFT + ((width - LEFT - RIGHT) * i) / Math.max(names.length - 1, 1);
  const y = (value) => TOP + (HIGH - TOP - BOTTOM) * (1 - (value - low) / (high - low || 1));
  const parts = [low, (low + high) / 2, high].map((value) => [
    drawn("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "rule" }),
    drawn("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, fixed(value, 2)),
  ]);
  const every = Math.ceil((names.length * 9 * Math.max(...names.map((name) => name.length))) / (width - LEFT - RIGHT));
  const shown = names.map((name, i) => (i % every === 0 && (i === 0 || names.length - 1 - i >= every) ? i : -1)).filter((i) => i >= 0);
  for (const i of new Set([...shown, names.length - 1])) {
    const anchor = i === 0 ? "start" : i === names.length - 1 && names.length > 1 ? "end" : "middle";
    parts.push(drawn("text", { x: anchor === "start" ? x(i) - 4 : anchor === "end" ? x(i) + 8 : x(i), y: HIGH - 6, "text-anchor": anchor }, names[i]));
  }
  if (at !== null) parts.push(drawn("line", { x1: x(at), x2: x(at), y1: TOP, y2: HIGH - BOTTOM, class: "here" }));
  for (const { values, strong } of [...lines].sort((one, other) => one.strong - other.strong)) {
    const known = values.map((value, i) => [value, i]).filter(([value]) => value !== null);
    const points = known.map(([value, i]) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
    parts.push(drawn("polyline", { points: points.join(" "), class: strong ? "strong" : "weak" }));
    if (strong) parts.push(...known.map(([value, i]) => drawn("circle", { cx: x(i), cy: y(value), r: i === at ? 4.5 : 2.5 })));
  }
  return drawn("svg", { class: "chart", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${HIGH}`, width, height: HIGH }, ...parts.flat());
}
