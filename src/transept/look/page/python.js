// Programs that make the numbers of a figure anew, by the public functions of the library.

import { alike } from "./data.js";

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

// What one word looks at, or what looks at it: a line for each word.
export function row(context, asking, asked, backward) {
  const { layer } = context;
  const made = backward
    ? [`shares = ${whole(layer)}[:, :, ${list(asking.members)}].sum(2)  # (heads, what looks)`, picked("shares", context),
        "for word in words:", '    print(word.text, f"{shares[list(word.tokens)].mean():.6f}", sep="\\t")']
    : [...shared(context, asking),
        "for word in words:", '    print(word.text, f"{shares[list(word.tokens)].sum():.6f}", sep="\\t")']; // prettier-ignore
  return [...opening(context, ["from transept.inspect.words import Word"]), ...words("words", asked), ...recorded([layer]), ...made, ""].join("\n");
}

// What a word of `one` and a word of `other` look at, and the difference: a line for each pair of words that stand for each
// other. They are {context, asking, asked}: another context has another scene, or another head.
export function compared(one, other, pairs) {
  const side = ({ context, asking, asked }, name) => [...words("words", asked), ...recorded([context.layer]), ...shared(context, asking),
    `${name} = [(word.text, float(shares[list(word.tokens)].sum())) for word in words]`]; // prettier-ignore
  const [a, b] = [one.context, other.context];
  const again = b.scene === a.scene ? [] : [...(b.scene.of === a.scene.of ? [] : [loaded(b, b.scene)]), explained(b.scene)];
  const number = (at) => (at === null ? "None" : at);
  return [...imported(a, [a.scene, b.scene], ["from transept.inspect.words import Word"]), loaded(a, a.scene), explained(a.scene), ...side(one, "a"), "",
    ...again, ...side(other, "b"), "",
    `pairs = [${pairs.map((pair) => `(${number(pair.a)}, ${number(pair.b)})`).join(", ")}]  # words that stand for each other; None: there is none`,
    "for i, j in pairs:", "    (word, one), (other, two) = (None, None) if i is None else a[i], (None, None) if j is None else b[j]",
    '    shown = ["" if share is None else f"{share:.6f}" for share in (one, two)]',
    '    print(other if word is None else word, *shown, f"{(one or 0) - (two or 0):.6f}", sep="\\t")', ""].join("\n"); // prettier-ignore
}

// The shares of the heads that are shown, of a layer that was recorded: `shares`.
const shared = (context, asking, { layer } = context) => [`shares = kept.rows(${literal(layer.name)}, ${places(layer, asking.members)})[0].mean(1)  # (heads, what is looked at)`, picked("shares", context)];

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
  const line = 'print(update, *(f"{shares[list(word.tokens)].sum():.6f}" for word in words), sep="\\t")';
  return reeled(context, updates, ["from transept.inspect.record import record", "from transept.inspect.words import Word", "", first, ...rest],
    [explained(context.scene), ...recorded([context.layer]).map((one) => one.replace("transept.record", "record")), ...shared(context, asking), line]); // prettier-ignore
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
  const { layer, sides } = context;
  const side = context.scene.sides.length > 1 && sides.columns !== context.scene.sides[0] ? "target" : "source";
  return [...opening(context), ...recorded([layer]),
    `shares = kept.rows(${literal(layer.name)}, ${places(layer, members)})[0].mean(1)  # (heads, what is looked at)`, picked("shares", context),
    `for name, share in zip(example.${side}.tokens, shares, strict=True):`, '    print(name, f"{share:.6f}", sep="\t")', ""].join("\n"); // prettier-ignore
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
  const { scene, layer, head, several } = context;
  const layers = alike(scene, layer);
  const names = layers.map((one) => {
    const some = several?.every((h) => h < one.shape[0]);
    const heads = head !== null && head < one.shape[0] ? "" : `${some ? `[${list(several)}]` : ""}.mean(0, keepdim=True)`;
    const at = heads ? 0 : head;
    const maps = backward ? `${whole(one)}[:, :, ${list(asking.members)}].sum(2)` : `kept.rows(${literal(one.name)}, ${places(one, asking.members)})[0].mean(1)`;
    return `    (${one.number}, ${maps}${heads}[${at}]),`;
  });
  const made = backward ? "mean" : "sum";
  return [...opening(context, ["from transept.inspect.words import Word"]), ...words("words", asked), ...recorded(layers), "layers = [", ...names, "]",
    "for number, shares in layers:",
    `    print(number, *(f"{shares[list(word.tokens)].${made}():.6f}" for word in words), sep="\\t")`, ""].join("\n"); // prettier-ignore
}

// A map of words; less another one where there is one.
export function map(context, rows, columns, other = null) {
  const { layer } = context;
  const layers = other ? [layer, other.layer] : [layer];
  const less = other ? [`other = merge(${whole(other.layer)}, rows, columns)  # of ${literal(other.layer.name)}`, picked("other", other), "shares = shares - other"] : [];
  return [...opening(context, [WORDS]), ...words("rows", rows), ...words("columns", columns), ...recorded(new Set(layers.map(({ name }) => name)).size > 1 ? layers : [layer]),
    `shares = merge(${whole(layer)}, rows, columns)  # (heads, rows, columns)`, picked("shares", context), ...less,
    "for word, line in zip(rows, shares, strict=True):", '    print(word.text, *(f"{share:.6f}" for share in line), sep="\\t")', ""].join("\n"); // prettier-ignore
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
