// Sound: the wave, the letters that were heard in it, and what one frame looks at over time.

import { copies, unscrolled } from "./copy.js";
import { alike } from "./data.js";
import { colour, drawn, el, fixed, percent, shown, sized } from "./dom.js";
import * as python from "./python.js";
import { shared, sharedAt } from "./pick.js";
import { largest } from "./words.js";

const [WAVE, BARS, ROW, AXIS, HEAD] = [84, 64, 11, 16, 44]; // heights in pixels; what a .wav file begins with, in bytes
const TICK = 60; // pixels between two times of the axis, at the least
const [LEAST, MOST] = [4, 24]; // pixels of a frame
const WIDEST = 16000; // pixels that a canvas can have
const NEAR = 5; // frames

let player = null; // the sound that plays goes on while layers are changed

const seconds = (frame, step) => `${(frame * step).toFixed(2)} s`;

async function sounded(scene, data) {
  if (player?.scene !== scene) {
    if (player) URL.revokeObjectURL(player.audio.src);
    const bytes = await data.sound(scene);
    const audio = el("audio", { controls: true, src: URL.createObjectURL(new Blob([bytes], { type: "audio/wav" })), "aria-label": "The sound as the model hears it" });
    player = { scene, audio, wave: new Int16Array(bytes, HEAD) };
  }
  return player;
}

// The loudest sample of each pixel, up and down.
function peaks(wave, width) {
  const found = [];
  for (let x = 0; x < width; x++) {
    let [low, high] = [0, 0];
    for (let i = Math.floor((x * wave.length) / width); i < Math.max(((x + 1) * wave.length) / width, i + 1) && i < wave.length; i++) {
      low = Math.min(low, wave[i]);
      high = Math.max(high, wave[i]);
      if (i + 1 >= ((x + 1) * wave.length) / width) break;
    }
    found.push([low / 32768, high / 32768]);
  }
  return found;
}

function draw(root, context) {
  const { scene, layer, pick, state, data, say } = context;
  const { step, letters, said } = scene.sound;
  const count = scene.sides[0].texts.length;
  const groups = scene.sides[0].texts.map((text, t) => ({ text, members: [t] }));
  const layers = alike(scene, layer);
  const [wave, bars, strip] = ["The wave", "What the frame looks at", "The same in every layer, the last on top"].map((name) => el("canvas", { role: "img", "aria-label": name }));
  const named = (canvas, name) => [el("small", { class: "strip-name" }, el("span", {}, name)), canvas];
  const axis = el("canvas", { role: "img", "aria-label": "Seconds" });
  const cursor = el("i", { class: "cursor", hidden: true, "aria-hidden": "true" });
  const mark = el("i", { class: "mark", "aria-hidden": "true" });
  const caption = el("p", { class: "caption", "aria-live": "polite" });
  const line = el("div", { class: "letters", "aria-hidden": "true" });
  const track = el("div", { class: "track", tabindex: 0, role: "slider", "aria-label": "The frame that looks", "aria-valuemin": 0, "aria-valuemax": count - 1 }, line, ...named(wave, "the wave"), ...named(bars, "what the frame looks at"), axis,
    ...named(strip, layers.length > 1 ? `the same in every layer, ${layers.at(-1).number} (top) to ${layers[0].number}` : "the same, as a strip"), mark, cursor); // prettier-ignore
  const scrolled = el("div", { class: "scrolled" }, track);
  const holder = el("div", { class: "player" });
  const text = letters.map(([letter]) => letter).join("").trim();
  let [px, width, peaked, painted, wanted, over] = [LEAST, 0, null, null, null, null];

  const pinned = () => (state.now.pin !== null && state.now.pin < count ? state.now.pin : null);
  const letterAt = (frame) => letters.find(([, from, to]) => from <= frame && frame < to)?.[0];
  const called = (frame) => `${seconds(frame, step)}${letterAt(frame) ? ` (${shown(letterAt(frame))})` : ""}`;

  function fit() {
    const ratio = window.devicePixelRatio || 1;
    px = Math.min(MOST, Math.max(scrolled.clientWidth / count, LEAST), WIDEST / ratio / count);
    width = px * count;
    track.style.width = `${width}px`;
    line.replaceChildren(...letters.map(([letter, from, to, share]) =>
      el("span", { style: { left: `${from * px}px` }, title: `${seconds(from, step)} to ${seconds(to, step)}, ${percent(share, 1)}`, onclick: () => state.set({ pin: from }) }, shown(letter))));
    paintAxis();
    if (player?.scene === scene) {
      peaked = peaks(player.wave, Math.round(width));
      paintWave();
    }
    show(painted?.frame ?? pinned() ?? 0);
  }

  // The seconds, as many as there is room for.
  function paintAxis() {
    const pen = sized(axis, width, AXIS);
    const wide = 1 / step * px; // pixels of a second
    const apart = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60].find((one) => one * wide >= TICK) ?? 60;
    const ticks = [...Array(Math.floor(width / wide / apart + 1e-6) + 1).keys()].map((i) => [i * apart * wide, `${fixed(i * apart, apart < 1 ? 1 : 0)} s`]);
    pen.clearRect(0, 0, width, AXIS);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = colour("--quiet");
    for (const [x, text] of ticks) {
      pen.fillRect(x, 0, 1, 4);
      if (x + pen.measureText(text).width + 3 <= width) pen.fillText(text, x + 3, AXIS - 4);
    }
    axis.vector = () => ticks.map(([x, text]) => drawn("text", { x: x + 3, y: AXIS - 4, "font-size": 11, "font-family": "system-ui, sans-serif", fill: colour("--quiet") }, text));
  }

  function paintWave() {
    const pen = sized(wave, width, WAVE);
    pen.clearRect(0, 0, width, WAVE);
    pen.fillStyle = colour("--quiet");
    peaked.forEach(([low, high], x) => pen.fillRect(x, (WAVE / 2) * (1 - high), 1, Math.max((WAVE / 2) * (high - low), 1)));
    wave.vector = () => [drawn("path", { fill: "none", stroke: colour("--quiet"), d: peaked.map(([low, high], x) => `M${x + 0.5},${((WAVE / 2) * (1 - high)).toFixed(1)}V${((WAVE / 2) * (1 - low) + 0.5).toFixed(1)}`).join("") })];
  }

  function paintShares({ found, shares }) {
    const tint = colour("--hue");
    const most = Math.max(...shares, 1e-9);
    const pen = sized(bars, width, BARS);
    pen.clearRect(0, 0, width, BARS);
    pen.fillStyle = tint;
    const wide = Math.max(px - (px > 6 ? 1 : 0), 1);
    shares.forEach((share, t) => pen.fillRect(t * px, BARS * (1 - share / most), wide, (BARS * share) / most));
    bars.vector = () => [drawn("path", { fill: tint, d: [...shares].map((share, t) => `M${(t * px).toFixed(1)},${BARS}v${((-BARS * share) / most).toFixed(2)}h${wide.toFixed(1)}V${BARS}z`).join("") })];
    const small = document.createElement("canvas"); // a pixel for each frame, widened at once
    Object.assign(small, { width: count, height: found.length });
    const inner = small.getContext("2d");
    inner.fillStyle = tint;
    found.forEach((row, r) => {
      const top = Math.max(...row, 1e-9);
      row.forEach((share, t) => {
        inner.globalAlpha = state.shade(share / top);
        inner.fillRect(t, found.length - 1 - r, 1, 1);
      });
    });
    const high = ROW * found.length;
    const wider = sized(strip, width, high);
    wider.clearRect(0, 0, width, high);
    wider.imageSmoothingEnabled = false;
    wider.drawImage(small, 0, 0, width, high);
    wider.strokeStyle = tint;
    for (const one of pick.layers) wider.strokeRect(0.5, ROW * (found.length - 1 - layers.indexOf(one)) + 0.5, width - 1, ROW - 1);
  }

  async function paint(frame) {
    wanted = frame;
    mark.style.left = `${frame * px}px`;
    mark.style.width = `${Math.max(px, 2)}px`;
    mark.classList.toggle("pin", frame === pinned());
    track.setAttribute("aria-valuenow", frame);
    track.setAttribute("aria-valuetext", called(frame));
    const lines = await data.looked(scene, layer, [frame], false);
    if (wanted !== frame || !track.isConnected) return; // the pointer has gone on
    const found = layers.map((one, r) => sharedAt(pick, one, lines[r], groups));
    const shares = shared(pick, scene, lines, groups);
    painted = { frame, shares, found };
    paintShares(painted);
    const best = largest(shares, 3);
    const near = shares.slice(Math.max(frame - NEAR, 0), frame + NEAR + 1).reduce((sum, one) => sum + one, 0);
    caption.textContent = `${context.place}: the frame at ${called(frame)} looks at ${best.map((t) => `${called(t)} ${percent(shares[t], 1)}`).join(", ")}${pick.max ? "" : `; ${percent(near)} lies within ${(NEAR * step).toFixed(1)} s of it`}.`;
  }
  let coming = null;
  const show = (frame) => (coming = paint(frame)).catch((error) => say(error.message, true));

  const frameAt = (event) => Math.min(count - 1, Math.max(0, Math.floor((event.clientX - track.getBoundingClientRect().left) / px)));
  track.addEventListener("pointermove", (event) => {
    if (pinned() !== null || over === frameAt(event)) return;
    over = frameAt(event);
    show(over);
  });
  track.addEventListener("click", (event) => {
    const frame = frameAt(event);
    state.set({ pin: pinned() === frame ? null : frame });
    if (player?.scene === scene) player.audio.currentTime = frame * step;
  });
  track.addEventListener("keydown", (event) => {
    const second = Math.round(1 / step);
    const moved = { ArrowLeft: -1, ArrowRight: 1, PageDown: -second, PageUp: second, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === " " && player?.scene === scene) (player.audio.paused ? player.audio.play().catch((error) => say(error.message, true)) : player.audio.pause());
    else if (moved) {
      const next = Math.min(count - 1, Math.max(0, (pinned() ?? painted?.frame ?? 0) + moved));
      state.set({ pin: next });
      reveal(next * px);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function reveal(x) {
    if (x < scrolled.scrollLeft || x > scrolled.scrollLeft + scrolled.clientWidth - 24) scrolled.scrollLeft = Math.max(0, x - scrolled.clientWidth / 4);
  }

  // While it plays a line goes along, and where no frame is pinned, the one under it looks.
  let shownLast = null;
  function follow() {
    if (!track.isConnected || player?.scene !== scene) return;
    const { audio } = player;
    const at = Math.min(audio.currentTime / step, count);
    cursor.hidden = audio.paused && audio.currentTime === 0;
    cursor.style.left = `${at * px}px`;
    if (!audio.paused) {
      reveal(at * px);
      const frame = Math.min(Math.floor(at), count - 1);
      if (pinned() === null && frame !== shownLast && wanted === (painted?.frame ?? wanted)) {
        shownLast = frame;
        show(frame);
      }
      requestAnimationFrame(follow);
    }
  }

  sounded(scene, data).then(({ audio }) => {
    if (!track.isConnected) return;
    audio.onplay = audio.onseeked = audio.onpause = () => requestAnimationFrame(follow);
    holder.replaceChildren(audio);
    fit();
    follow();
  }).catch((error) => say(error.message, true));

  const copied = copies(context, "what the frame looks at", {
    ready: () => coming,
    nodes: () => unscrolled(scrolled, [track, caption]),
    table: () => [["second", "letter", "share"], ...groups.map(({ text: at }, t) => [at, letterAt(t) ?? "", painted.shares[t]])],
    python: () => python.tokens(context, [painted.frame]),
  });
  const answers = scene.answers.map(([name, probability]) => el("li", {}, el("span", {}, name), el("small", {}, percent(probability, probability < 0.01 ? 3 : 1))));
  root.replaceChildren(...(letters.length ? [el("p", { class: "heard", tabindex: 0 }, el("span", { class: "side" }, "heard"), text || "∅")] : []),
    ...said.map((one) => el("p", { class: "axes" }, one)), holder, scrolled, caption, copied,
    ...(answers.length ? [el("h2", {}, "The model's answer"), el("ol", { class: "choices" }, ...answers)] : [])); // prettier-ignore
  root.repaint = () => show(pinned() ?? over ?? 0);
  root.resized = fit;
  fit();
}

const milliseconds = (seconds) => `${Math.round(1000 * seconds)} ms`;

export const sound = {
  name: "sound",
  title: "Sound",
  tools: ["heads", "scale"],
  note: ({ sound: { width, step } }) => `Each frame hears ${milliseconds(width)} of the wave, and the next one begins ${milliseconds(step)} later; its letter is the likeliest one there, before any search. Point at a frame to see what it looks at; click to hold it; the space bar plays.`,
  fits: (scene) => scene.sound !== null,
  draw,
};
