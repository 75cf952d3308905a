// Programs that make the numbers of a figure anew, by the public functions of the library.

import { alike } from "./data.js";
import { one as single } from "./pick.js";

// A text as Python reads it. What cannot be seen, or turns the line around, is spelled out.
export function literal(text) {
  const inside = [...text.toWellFormed()].map((letter) => {
    if (letter === "\\" || letter === '"') return `\\${letter}`;
    if (letter === "\n") return "\\n";
    if (letter === "\t") return "\\t";
    if (letter === " " || !/[\p{C}\p{Z}]/u.test(letter)) return letter;
    const code = letter.codePointAt(0).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
  return `"${inside.join("")}"`;
}

const list = (numbers) => `[${numbers.join(", ")}]`;

const CHECKPOINT = /[\\/]checkpoints[\\/]\d+$/;
const OPENED = ["from pathlib import Path", ""];
const MOMENTS = "from transept.cli.moments import opened";

const kept = ({ told }, scene) => CHECKPOINT.test(told.paths[scene.of]);

function loaded(context, scene) {
  const path = literal(context.told.paths[scene.of]);
  return `model = ${kept(context, scene) ? `opened(Path(${path}), "cpu")` : `transept.load(${path})`}`;
}

function explained(scene) {
  const own = scene.sides.length > 1 ? scene.target.slice(0, -1) : scene.target; // the last token is written, and never read
  const target = scene.target.length ? `, target=${list(own)}` : "";
  const dropped = scene.given === scene.title ? "" : "  # the file that the page was given";
  return `example = model.explain(${literal(scene.title)}${target})${dropped}`;
}

const imported = (context, scenes, imports) => {
  const moments = scenes.some((scene) => kept(context, scene));
  return [...(moments ? OPENED : []), "import transept", ...(moments ? [MOMENTS] : []), ...imports, ""];
};

// What the page shows, as an example: `example`.
export function opening(context, imports = []) {
  const { scene } = context;
  return [...imported(context, [scene], imports), loaded(context, scene), explained(scene)];
}

// Words with the tokens that they are made of.
export const words = (name, groups) =>
  [`${name} = [`, ...groups.map(({ text, members }) => `    Word(${literal(text)}, 0, 0, (${members.join(", ")},)),`), "]"];

const WORDS = "from transept.inspect.words import Word, merge";

export const recorded = (layers) => [
  layers.length === 1 ? `with transept.record(example.model, ${literal(layers[0].name)}) as kept:` : "with transept.record(example.model) as kept:",
  "    example.output()",
];

// Rows of a layer in a record: blocks that share weights stand one under the other.
const places = (layer, members) => list(members.map((s) => layer.begins + s));
const whole = (layer) => {
  const name = literal(layer.name);
  return layer.shared ? `kept[${name}][0, :, ${layer.begins} : ${layer.begins + layer.shape[1]}]` : `kept[${name}][0]`;
};
const picked = (name, { head, several }) => (head !== null ? `${name} = ${name}[${head}]  # head ${head + 1}`
  : several ? `${name} = ${name}[${list(several)}].mean(0)  # the mean of heads ${several.map((one) => one + 1).join(", ")}` : `${name} = ${name}.mean(0)  # the mean of all heads`); // prettier-ignore

const MEAN = "shares = torch.stack(found).mean(0)  # the mean of the layers";

// Of several layers, or of the largest share of several heads: `each` is what a layer gives, (heads, words). Lines that leave
// `shares` without heads and layers.
const joined = ({ pick }, each) => ["found = []", `for name, rows in [${pick.layers.map((layer) => `(${literal(layer.name)}, ${each.rows(layer)})`).join(", ")}]:`,
  ...each.lines.map((line) => `    ${line}`), `    found.append(shares${heads(pick)})`, MEAN]; // prettier-ignore

const heads = ({ head, several, max }) => (head !== null ? `[${head}]` : `${several ? `[${list(several)}]` : ""}.${max ? "amax" : "mean"}(0)`);
const all = (layer) => `range(${layer.begins}, ${layer.begins + layer.shape[1]})`;
const torch = (pick) => (single(pick) ? [] : ["import torch"]);
const named = (layers) => [...new Map(layers.map((layer) => [layer.name, layer])).values()];

// The shares of words that are looked at by one, or, backward, of those that look at it: `made` are lines that leave `shares`,
// `each` the share of a `word`, and `loop` goes through them.
function told(context, asking, backward = false) {
  const { layer, pick } = context;
  if (single(pick)) {
    const shares = backward ? `${whole(layer)}[:, :, ${list(asking.members)}].sum(2)  # (heads, what looks)`
      : `kept.rows(${literal(layer.name)}, ${places(layer, asking.members)})[0].mean(1)  # (heads, what is looked at)`; // prettier-ignore
    return { made: [`shares = ${shares}`, picked("shares", context)], loop: "word in words", each: `shares[list(word.tokens)].${backward ? "mean" : "sum"}()` };
  }
  const lines = [`shares = kept.rows(name, rows)[0]${backward ? `[:, :, ${list(asking.members)}].sum(2)` : ".mean(1)"}  # (heads, tokens)`,
    `shares = torch.stack([shares[:, list(word.tokens)].${backward ? "mean" : "sum"}(1) for word in words], 1)`]; // prettier-ignore
  const made = joined(context, { rows: backward ? all : (one) => places(one, asking.members), lines });
  return { made, loop: "word, share in zip(words, shares, strict=True)", each: "share" };
}

// What one word looks at, or what looks at it: a line for each word.
export function row(context, asking, asked, backward) {
  const { pick } = context;
  const { made, loop, each } = told(context, asking, backward);
  return [...opening(context, [...torch(pick), "from transept.inspect.words import Word"]), ...words("words", asked), ...recorded(named(pick.layers)), ...made,
    `for ${loop}:`, `    print(word.text, f"{${each}:.6f}", sep="\\t")`, ""].join("\n"); // prettier-ignore
}

// What a word of `one` and a word of `other` look at, and the difference: a line for each pair of words that stand for each
// other. They are {context, asking, asked}: another context has another scene, or another head.
export function compared(one, other, pairs) {
  const side = ({ context, asking, asked }, name) => {
    const { made, loop, each } = told(context, asking);
    return [...words("words", asked), ...recorded(named(context.pick.layers)), ...made, `${name} = [(word.text, float(${each})) for ${loop}]`];
  };
  const [a, b] = [one.context, other.context];
  const again = b.scene === a.scene ? [] : [...(b.scene.of === a.scene.of ? [] : [loaded(b, b.scene)]), explained(b.scene)];
  const number = (at) => (at === null ? "None" : at);
  return [...imported(a, [a.scene, b.scene], [...new Set([a, b].flatMap(({ pick }) => torch(pick))), "from transept.inspect.words import Word"]), loaded(a, a.scene), explained(a.scene), ...side(one, "a"), "",
    ...again, ...side(other, "b"), "",
    `pairs = [${pairs.map((pair) => `(${number(pair.a)}, ${number(pair.b)})`).join(", ")}]  # words that stand for each other; None: there is none`,
    "for i, j in pairs:", "    (word, one), (other, two) = (None, None) if i is None else a[i], (None, None) if j is None else b[j]",
    '    shown = ["" if share is None else f"{share:.6f}" for share in (one, two)]',
    '    print(other if word is None else word, *shown, f"{(one or 0) - (two or 0):.6f}", sep="\\t")', ""].join("\n"); // prettier-ignore
}

// How near the vectors of two words are, layer by layer.
export function drift(one, other, trunk) {
  const [a, b] = [one.context, other.context];
  const word = ({ asking }) => `[Word(${literal(asking.text)}, 0, 0, (${asking.members.join(", ")},))]`;
  return [...opening(a, ["from transept.inspect.drift import drift", "from transept.inspect.words import Word"]), explained(b.scene).replace("example", "other"),
    `found = drift(example, ${word(one)}, other, ${word(other)}, ${literal(trunk)})`,
    "for depth, cosine in enumerate(found[:, 0, 0].tolist()):", '    print(depth, f"{cosine:.6f}", sep="\\t")', ""].join("\n"); // prettier-ignore
}

const reeled = ({ told }, updates, imports, body) => [...OPENED, MOMENTS, ...imports, "", `folder = Path(${literal(told.checkpoints)})`, `for update in ${list(updates)}:`,
  '    model = opened(folder / f"{update:08d}", "cpu")', ...body.map((line) => `    ${line}`), ""].join("\n"); // prettier-ignore

// What a word looks at, a line for each checkpoint.
export function filmed(context, updates, asking, asked) {
  const [first, ...rest] = words("words", asked);
  const { made, loop, each } = told(context, asking);
  const line = `print(update, *(f"{${each}:.6f}" for ${loop}), sep="\\t")`;
  return reeled(context, updates, [...torch(context.pick), "from transept.inspect.record import record", "from transept.inspect.words import Word", "", first, ...rest],
    [explained(context.scene), ...recorded(named(context.pick.layers)).map((one) => one.replace("transept.record", "record")), ...made, line]); // prettier-ignore
}

// What each head of a layer is worth, and how probable what was written is, a line for each checkpoint.
export function rising(context, updates, index, likely) {
  const { scene } = context;
  const numbers = ["*scene_of(seen).layers[" + index + "].scores", ...(likely ? ["likely(seen)"] : [])];
  return reeled(context, updates, [...(likely ? ["from transept.look.film import likely"] : []), "from transept.look.reading import read", "from transept.look.scene import scene_of"],
    [`seen = read(model, ${literal(scene.title)}, ${list(scene.target)}, 0)`, `print(update, *(f"{number:.6f}" for number in (${numbers.join(", ")},)), sep="\\t")`]); // prettier-ignore
}

// What some tokens look at on average, a line for each token of a picture or a sound.
export function tokens(context, members) {
  const { layer, pick, sides } = context;
  const side = context.scene.sides.length > 1 && sides.columns !== context.scene.sides[0] ? "target" : "source";
  const made = single(pick) ? told(context, { members }).made
    : joined(context, { rows: (one) => places(one, members), lines: ["shares = kept.rows(name, rows)[0].mean(1)  # (heads, what is looked at)"] }); // prettier-ignore
  return [...opening(context, torch(pick)), ...recorded(named(pick.layers)), ...made,
    `for name, share in zip(example.${side}.tokens, shares, strict=True):`, '    print(name, f"{share:.6f}", sep="\\t")', ""].join("\n"); // prettier-ignore
}

// The same of attention rollout up to a layer.
export function rollout(context, members) {
  const { scene, layer, sides } = context;
  const trunk = scene.sides.length === 1 ? "stack" : layer.role === "encoder" ? "encoder" : "decoder";
  const own = scene.layers.filter((one) => trunk === "stack" || (one.role === "encoder") === (trunk === "encoder"));
  const part = trunk !== "decoder" ? "" : layer.role === "cross" ? `[:, ${layer.shape[1]} :]` : `[:, : ${layer.shape[2]}]`;
  const side = sides.columns !== scene.sides[0] ? "target" : "source";
  return [...opening(context, ["from transept.inspect.rollout import rollout"]), `shares = rollout(example)[${literal(trunk)}][${own.indexOf(layer)}]${part}[${list(members)}].mean(0)`,
    `for name, share in zip(example.${side}.tokens, shares, strict=True):`, '    print(name, f"{share:.6f}", sep="\\t")', ""].join("\n"); // prettier-ignore
}

// The same in every layer of its kind: a line for each layer.
export function depth(context, asking, asked, backward) {
  const { scene, head, several, pick } = context;
  const layers = alike(scene, context.layer);
  const names = layers.map((one) => {
    const known = pick.heads.every((h) => h < one.shape[0]);
    const some = !known ? "" : head !== null ? `[${list([head])}]` : several ? `[${list(several)}]` : "";
    const maps = backward ? `${whole(one)}[:, :, ${list(asking.members)}].sum(2)` : `kept.rows(${literal(one.name)}, ${places(one, asking.members)})[0].mean(1)`;
    return `    (${one.number}, ${maps}${some}),`;
  });
  return [...opening(context, ["from transept.inspect.words import Word"]), ...words("words", asked), ...recorded(layers), "layers = [", ...names, "]",
    "for number, shares in layers:  # (heads, tokens)",
    `    print(number, *(f"{shares[:, list(word.tokens)].${backward ? "mean" : "sum"}(1).${pick.max ? "amax" : "mean"}():.6f}" for word in words), sep="\\t")`, ""].join("\n"); // prettier-ignore
}

// A map of words; less another one where there is one.
export function map(context, rows, columns, other = null) {
  const picks = other ? [context.pick, other.pick] : [context.pick];
  const layers = named(picks.flatMap(({ layers }) => layers));
  const made = (one) => (single(one.pick) ? [`shares = merge(${whole(one.layer)}, words, columns)  # (heads, rows, columns)`, picked("shares", one)]
    : joined(one, { rows: all, lines: ["shares = merge(kept.rows(name, rows)[0], words, columns)  # (heads, rows, columns)"] })); // prettier-ignore
  const less = other ? ["own = shares", ...made(other), "shares = own - shares"] : [];
  return [...opening(context, [...new Set(picks.flatMap(torch)), WORDS]), ...words("words", rows), ...words("columns", columns), ...recorded(layers),
    ...made(context), ...less, "for word, line in zip(words, shares, strict=True):", '    print(word.text, *(f"{share:.6f}" for share in line), sep="\\t")', ""].join("\n"); // prettier-ignore
}

// How spread every head is, over words or, of long texts, over tokens.
export function spreads(context, entries) {
  const sides = new Map();
  const body = entries.map(({ layer, from, to }) => {
    if (from) for (const [side, groups] of [[layer.rows, from], [layer.columns, to]]) sides.set(side, groups); // prettier-ignore
    const maps = from ? `merge(${whole(layer)}, sides[${literal(layer.rows)}], sides[${literal(layer.columns)}])` : whole(layer);
    return `    (${literal(layer.name)}, ${maps}),`;
  });
  const told = [...sides].flatMap(([side, groups]) => {
    const [first, ...rest] = words("x", groups);
    return [`    ${literal(side)}: ${first.slice(4)}`, ...rest.slice(0, -1).map((line) => `    ${line}`), "    ],"];
  });
  return [...opening(context, ["from math import log", "", "import torch", ...(sides.size ? [WORDS] : [])]), ...(sides.size ? ["sides = {", ...told, "}"] : []),
    ...recorded(context.scene.layers), "maps = [", ...body, "]", "for name, shares in maps:",
    "    spread = torch.special.entr(shares.float()).sum(-1).mean(-1) / log(max(shares.size(-1), 2))  # 1: all alike",
    '    for head, one in enumerate(spread, 1):', '        print(name, head, f"{one:.6f}", sep="\\t")', ""].join("\n"); // prettier-ignore
}

// What could stand at a place, and how probable it is.
export const choices = (context, place, count) =>
  [...opening(context), "import torch", "", "with torch.no_grad():", `    best = example.logits()[${place}].softmax(-1).topk(${count})`,
    "for token, share in zip(best.indices.tolist(), best.values.tolist(), strict=True):", '    print(token, f"{share:.6f}", sep="\\t")', ""].join("\n"); // prettier-ignore

const METHODS = {
  "leave-one-out": ["from transept.inspect.attribution import leave_one_out", "leave_one_out(example, choice, words={WORDS})"],
  integrated: ["from transept.inspect.attribution import integrated_gradients", "integrated_gradients(example, choice, steps=200)"],
  gradient: ["from transept.inspect.attribution import input_x_gradient", "input_x_gradient(example, choice)"],
  attention: ["from transept.look.asking import attended", "attended(example, choice)"],
};

// What an output hangs on. `sides` are [side, words].
export function why(context, output, method, against, sides) {
  const { scene } = context;
  const [from, call] = METHODS[method];
  const at = scene.asked[output] === null ? "None" : scene.asked[output];
  const told = sides.flatMap(([side, groups]) => [...words(side, groups)]);
  return [...opening(context, [from, "from transept.inspect.example import Choice", "from transept.inspect.words import Word"]),
    `choice = Choice(${scene.indices[output]}, ${at}${against === null ? "" : `, against=${against}`})`, ...told, `found = ${call.replace("{WORDS}", `{${sides.map(([side]) => `"${side}": ${side}`).join(", ")}}`)}`,
    ...sides.flatMap(([side]) => [`for word, number in zip(${side}, found.words(${literal(side)}, ${side}), strict=True):`, '    print(word.text, f"{number:.6f}", sep="\\t")']), ""].join("\n"); // prettier-ignore
}

// What each layer would have said in place of an output.
export function lens(context, output) {
  const { asked, indices } = context.scene;
  return [...opening(context, ["from transept.inspect.lens import lens"]), `scores = lens(example)${asked[output] === null ? "" : `[:, ${asked[output]}]`}`,
    "for depth, shares in enumerate(scores.softmax(-1)):", `    print(depth, int(shares.argmax()), f"{shares.max():.6f}", f"{shares[${indices[output]}]:.6f}", sep="\\t")`, ""].join("\n"); // prettier-ignore
}

// The way to an output through the attentions.
export function ways(context, output) {
  const { scene } = context;
  const target = scene.target.length ? list(scene.target) : "None";
  return [...imported(context, [scene], ["from transept.look.asking import ways", "from transept.look.reading import read"]), loaded(context, scene),
    `seen = read(model, ${literal(scene.title)}, ${target}, 0)`, `for attention, row, column, share, across in ways(seen, ${output}):`,
    '    print(attention, row, column, f"{share:.6f}", across, sep="\\t")', ""].join("\n"); // prettier-ignore
}

// Every branch of the beam.
export const beam = (context, { scene } = context) =>
  [...imported(context, [scene], ["from transept.look.beam import beam"]), loaded(context, scene),
    `tree = beam(model, ${literal(scene.title)}, ${list(scene.target.slice(0, scene.begun))}, ${scene.most ?? "None"})`,
    "found = {end: f\"{one.score:.6f}\" for end, one in zip(tree.ends, tree.hypotheses)}  # best first, as n_best has them",
    "for number, step in enumerate(tree.steps):", "    for at, branch in enumerate(step):",
    '        print(number + 1, branch.token, f"{branch.logprob:.6f}", f"{branch.total:.6f}", branch.state, found.get((number, at), ""), sep="\\t")', ""].join("\n"); // prettier-ignore
