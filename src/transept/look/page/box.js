// A box is drawn over the heads of a grid by the pointer: the heads in it, of the layers in it, become one.

import { el } from "./dom.js";

const FAR = 6; // pixels: less is a click

const meets = (box, other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom;

// rows: {layer, index, cells} of a grid, its cells {head, button}. `join` is told the rows and the heads. A finger scrolls,
// and draws none.
export function boxed(grid, rows, join) {
  let [from, drawn] = [null, null];
  const cells = () => rows.flatMap((row) => row.cells.map((cell) => ({ row, cell })));

  // Of a box the layers and the heads that it meets; layers with other heads than the first are left out.
  function within(box) {
    const met = cells().filter(({ cell }) => meets(box, cell.button.getBoundingClientRect()));
    const found = rows.filter((row) => met.some((one) => one.row === row));
    const kin = found.filter(({ layer }) => String(layer.shape) === String(found[0].layer.shape));
    const heads = new Set(met.filter(({ row }) => kin.includes(row)).map(({ cell }) => cell.head));
    return { rows: kin, heads: [...heads].sort((a, b) => a - b) };
  }

  function drag(event) {
    if (!from) return;
    if (!(event.buttons & 1)) return end(event); // it was let go outside
    const [x, y] = from;
    if (!drawn) {
      if (Math.hypot(event.clientX - x, event.clientY - y) < FAR) return;
      drawn = grid.appendChild(el("div", { class: "box", "aria-hidden": "true" }));
      grid.setPointerCapture(event.pointerId);
    }
    const box = { left: Math.min(x, event.clientX), top: Math.min(y, event.clientY), right: Math.max(x, event.clientX), bottom: Math.max(y, event.clientY) };
    Object.assign(drawn.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.right - box.left}px`, height: `${box.bottom - box.top}px` });
    drawn.found = within(box);
    for (const { row, cell } of cells()) cell.button.classList.toggle("boxed", drawn.found.rows.includes(row) && drawn.found.heads.includes(cell.head));
  }

  function end(event) {
    const found = event.type === "pointerup" ? drawn?.found : null;
    drawn?.remove();
    for (const { cell } of cells()) cell.button.classList.remove("boxed");
    [from, drawn] = [null, null];
    if (!found) return;
    const still = (click) => (click.preventDefault(), click.stopPropagation()); // no head was meant alone
    window.addEventListener("click", still, { capture: true });
    setTimeout(() => window.removeEventListener("click", still, { capture: true }));
    if (found.heads.length) join(found.rows, found.heads);
  }

  grid.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType !== "touch" && !event.shiftKey) from = [event.clientX, event.clientY];
  });
  grid.addEventListener("pointermove", drag);
  grid.addEventListener("pointerup", end);
  grid.addEventListener("pointercancel", end);
}
