// What may be taken along of a figure: the drawing, the numbers, and the Python that makes the same numbers.

import { el, visible } from "./dom.js";
import { svgOf } from "./svg.js";

const FORMULA = /^[=+\-@].+/s; // what a spreadsheet would compute

// A cell of a table: a text stays one cell, and text, wherever it is pasted.
function cell(value) {
  if (typeof value === "number") return value.toFixed(6); // counts are given as texts
  const text = visible(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return safe.includes('"') ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const tsv = (rows) => rows.map((row) => `${row.map(cell).join("\t")}\n`).join("");

// Where the clipboard is closed to this page, the text itself, to be taken by hand.
function byHand(holder, text, name) {
  const area = el("textarea", { readonly: true, rows: 6, "aria-label": `The text to copy: ${name}`, spellcheck: "false" });
  area.value = text;
  holder.replaceChildren(area);
  area.focus();
  area.select();
}

// Elements that are drawn from their left edge on, however far they were scrolled.
export function unscrolled(holder, nodes) {
  const { scrollLeft } = holder;
  holder.scrollLeft = 0;
  setTimeout(() => (holder.scrollLeft = scrollLeft));
  return nodes;
}

// Buttons for a figure. `nodes()` are the elements that show it, `table()` its rows, of which the first names the
// columns, and `python()` the program, null where there is none; each may take its time. None is asked before `ready()`.
export function copies({ say }, name, { nodes, table, python, ready = () => null }) {
  const holder = el("div", {});
  const kinds = [
    ["as SVG", `Copy ${name} as SVG`, async () => svgOf(await nodes(), name)],
    ["numbers (TSV)", `Copy the numbers of ${name} (TSV)`, async () => tsv(await table())],
    ["Python", `Copy the Python for ${name}`, python],
  ].filter(([, , make]) => make);
  async function take(what, make) {
    let text;
    try {
      await ready();
      text = await make();
    } catch (error) {
      say(error.message, true);
      return;
    }
    try {
      await navigator.clipboard.writeText(text);
      holder.replaceChildren();
      say(`Copied: ${what.replace(/^Copy /, "")}.`);
    } catch {
      byHand(holder, text, what);
      say("The browser keeps its clipboard closed: take the text by Ctrl-C.");
    }
  }
  const buttons = kinds.map(([label, title, make]) =>
    el("button", { type: "button", title, "aria-label": title, onclick: () => take(title, make) }, label));
  return el("div", { class: "copies" }, el("div", { role: "group", "aria-label": `Copy ${name}` }, "copy", ...buttons), holder);
}
