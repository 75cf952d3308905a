// A part of the page as a drawing of its own: what stands in it, where it stands, in the colours that it has now.

import { colour, drawn } from "./dom.js";

const SKIPPED = "[data-apart], details, select, input, audio, .off, .copies";
const FONT = "system-ui, sans-serif";
const MARGIN = 8;

const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map();

// Whatever a colour is written as: what every reader of drawings knows, and how opaque it is.
function plain(text) {
  if (!known.has(text)) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
    known.set(text, { fill: `rgb(${red}, ${green}, ${blue})`, opacity: alpha / 255 });
  }
  return known.get(text);
}

// What XML cannot hold is no text.
export const legible = (text) => text.toWellFormed().replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, "\ufffd");

const round = (number) => Math.round(100 * number) / 100;

class Drawing {
  #box = [Infinity, Infinity, -Infinity, -Infinity];

  reach(left, top, right, bottom) {
    const [a, b, c, d] = this.#box;
    this.#box = [Math.min(a, left), Math.min(b, top), Math.max(c, right), Math.max(d, bottom)];
  }

  // An element and all in it.
  of(node) {
    if (node.matches(SKIPPED)) return [];
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    if (style.display === "none" || style.visibility === "hidden" || (!box.width && !box.height)) return [];
    const inside = node.localName === "svg" ? [this.lines(node, box)]
      : node.localName === "canvas" ? [this.canvas(node, box)]
      : node.localName === "img" ? [this.image(node.src, box)]
      : [...this.ground(box, style), ...[...node.childNodes].flatMap((one) =>
          one.nodeType === Node.TEXT_NODE ? this.words(one, style) : one.nodeType === Node.ELEMENT_NODE ? this.of(one) : [])]; // prettier-ignore
    return style.opacity === "1" ? inside : [drawn("g", { opacity: style.opacity }, ...inside)];
  }

  ground(box, style) {
    const ground = plain(style.backgroundColor);
    const edge = plain(style.borderTopColor);
    const wide = Number.parseFloat(style.borderTopWidth);
    const edged = wide > 0 && style.borderTopStyle !== "none" && edge.opacity > 0;
    if (!ground.opacity && !edged) return [];
    this.reach(box.left, box.top, box.right, box.bottom);
    return [drawn("rect", { x: round(box.left), y: round(box.top), width: round(box.width), height: round(box.height),
      rx: Math.min(Number.parseFloat(style.borderTopLeftRadius) || 0, box.height / 2), fill: ground.opacity ? ground.fill : "none",
      "fill-opacity": ground.opacity < 1 && ground.opacity ? round(ground.opacity) : null,
      stroke: edged ? edge.fill : null, "stroke-width": edged ? wide : null })]; // prettier-ignore
  }

  // The lines that a text was broken into.
  words(node, style) {
    const found = [];
    const range = document.createRange();
    for (const { 0: word, index } of node.data.matchAll(/\S+/gu)) {
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const box = range.getBoundingClientRect();
      const last = found.at(-1);
      if (!box.width) continue;
      if (last && Math.abs(last.top - box.top) < 1) Object.assign(last, { text: `${last.text} ${word}`, right: box.right });
      else found.push({ text: word, left: box.left, top: box.top, right: box.right, bottom: box.bottom });
    }
    const { fill, opacity } = plain(style.color);
    const size = Number.parseFloat(style.fontSize);
    const backward = style.direction === "rtl";
    return found.map(({ text, left, top, right, bottom }) => {
      this.reach(left, top, right, bottom);
      return drawn("text", { x: round(backward ? right : left), y: round((top + bottom) / 2 + 0.35 * size), fill, "fill-opacity": opacity < 1 ? round(opacity) : null,
        "font-family": FONT, "font-size": size, "font-weight": style.fontWeight === "400" ? null : style.fontWeight, direction: backward ? "rtl" : null }, legible(text)); // prettier-ignore
    });
  }

  image(address, box, told = {}) {
    this.reach(box.left, box.top, box.right, box.bottom);
    return drawn("image", { href: address, x: round(box.left), y: round(box.top), width: round(box.width), height: round(box.height), preserveAspectRatio: "none", ...told });
  }

  // As lines where it can say itself by them, `vector()`, in its own pixels (`extent()` where it is larger than what is
  // seen of it); else as a picture.
  canvas(node, box) {
    if (!node.vector) {
      const style = getComputedStyle(node);
      const told = { "image-rendering": style.imageRendering === "pixelated" ? "pixelated" : null };
      return this.image(node.toDataURL(), box, told);
    }
    const [left, top, right, bottom] = node.extent?.() ?? [0, 0, box.width, box.height];
    this.reach(box.left + left, box.top + top, box.left + right, box.top + bottom);
    return drawn("g", { transform: `translate(${round(box.left)} ${round(box.top)})` }, ...node.vector());
  }

  lines(node, box) {
    const shapes = [...node.children].map((shape) => {
      const style = getComputedStyle(shape);
      const copied = shape.cloneNode(true);
      copied.removeAttribute("class");
      const [stroke, fill] = [style.stroke, style.fill].map((one) => (one === "none" ? { fill: "none", opacity: 1 } : plain(one)));
      for (const [name, value] of Object.entries({ stroke: stroke.fill, fill: fill.fill, "stroke-width": Number.parseFloat(style.strokeWidth),
        "stroke-opacity": round(stroke.opacity * Number(style.strokeOpacity)), "stroke-linecap": style.strokeLinecap })) copied.setAttribute(name, value); // prettier-ignore
      return copied;
    });
    if (shapes.length) {
      const own = node.getBBox();
      this.reach(box.left + own.x, box.top + own.y, box.left + own.x + own.width, box.top + own.y + own.height);
    }
    return drawn("g", { transform: `translate(${round(box.left)} ${round(box.top)})` }, ...shapes);
  }

  whole(inside, title) {
    const [left, top, right, bottom] = this.#box;
    const [width, height] = [Math.max(right - left, 1) + 2 * MARGIN, Math.max(bottom - top, 1) + 2 * MARGIN].map(round);
    const [x, y] = [left - MARGIN, top - MARGIN].map(round);
    return drawn("svg", { viewBox: `${x} ${y} ${width} ${height}`, width, height }, drawn("title", {}, legible(title)),
      drawn("rect", { x, y, width, height, fill: plain(colour("--ground")).fill }), ...inside); // prettier-ignore
  }
}

// Some elements of the page, as they are seen now, as the text of one drawing.
export function svgOf(nodes, title) {
  const drawing = new Drawing();
  const inside = nodes.flatMap((node) => drawing.of(node));
  return new XMLSerializer().serializeToString(drawing.whole(inside, title));
}
