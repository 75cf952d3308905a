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

// What the page shows, as an example: `example`.
export function opening({ scene, told }, imports = []) {
  const own = scene.sides.length > 1 ? scene.target.slice(0, -1) : scene.target; // the last token is written, and never read
  const target = scene.target.length ? `, target=${list(own)}` : "";
  return ["import transept", ...imports, "", `model = transept.load(${literal(told.paths[scene.of])})`,
    `example = model.explain(${literal(scene.title)}${target})`]; // prettier-ignore
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
const ofHeads = (head) => (head === null ? "mean(0)  # the mean of all heads" : null);
const picked = (name, head) => (head === null ? `${name} = ${name}.${ofHeads(head)}` : `${name} = ${name}[${head}]  # head ${head + 1}`);

// What one word looks at, or what looks at it: a line for each word.
export function row(context, asking, asked, backward) {
  const { layer, head } = context;
  const made = backward
    ? [`shares = ${whole(layer)}[:, :, ${list(asking.members)}].sum(2)  # (heads, what looks)`, picked("shares", head),
        "for word in words:", '    print(word.text, f"{shares[list(word.tokens)].mean():.6f}", sep="\\t")']
    : [`shares = kept.rows(${literal(layer.name)}, ${places(layer, asking.members)})[0].mean(1)  # (heads, what is looked at)`, picked("shares", head),
        "for word in words:", '    print(word.text, f"{shares[list(word.tokens)].sum():.6f}", sep="\\t")']; // prettier-ignore
  return [...opening(context, ["from transept.inspect.words import Word"]), ...words("words", asked), ...recorded([layer]), ...made, ""].join("\n");
}

// What some tokens look at on average, a line for each token of a picture or a sound.
export function tokens(context, members) {
  const { layer, head, sides } = context;
  const side = context.scene.sides.length > 1 && sides.columns !== context.scene.sides[0] ? "target" : "source";
  return [...opening(context), ...recorded([layer]),
    `shares = kept.rows(${literal(layer.name)}, ${places(layer, members)})[0].mean(1)  # (heads, what is looked at)`, picked("shares", head),
    `for name, share in zip(example.${side}.tokens, shares, strict=True):`, '    print(name, f"{share:.6f}", sep="\t")', ""].join("\n"); // prettier-ignore
}

// The same in every layer of its kind: a line for each layer.
export function depth(context, asking, asked, backward) {
  const { scene, layer, head } = context;
  const layers = alike(scene, layer);
  const names = layers.map((one) => {
    const heads = head !== null && head < one.shape[0] ? "" : ".mean(0, keepdim=True)";
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
  const { layer, head } = context;
  const layers = other ? [layer, other.layer] : [layer];
  const less = other ? [`other = merge(${whole(other.layer)}, rows, columns)  # of ${literal(other.layer.name)}`, picked("other", other.head), "shares = shares - other"] : [];
  return [...opening(context, [WORDS]), ...words("rows", rows), ...words("columns", columns), ...recorded(new Set(layers.map(({ name }) => name)).size > 1 ? layers : [layer]),
    `shares = merge(${whole(layer)}, rows, columns)  # (heads, rows, columns)`, picked("shares", head), ...less,
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
  "leave-one-out": ["from transept.inspect.attribution import leave_one_out", "leave_one_out(example, choice)"],
  integrated: ["from transept.inspect.attribution import integrated_gradients", "integrated_gradients(example, choice, steps=200)"],
  gradient: ["from transept.inspect.attribution import input_x_gradient", "input_x_gradient(example, choice)"],
  attention: ["from transept.look.asking import attended", "attended(example, choice)"],
};

// What an output hangs on. `sides` are [side, words].
export function why(context, output, method, sides) {
  const { scene } = context;
  const [from, call] = METHODS[method];
  const at = scene.asked[output] === null ? "None" : scene.asked[output];
  const told = sides.flatMap(([side, groups]) => [...words(side, groups)]);
  return [...opening(context, [from, "from transept.inspect.example import Choice", "from transept.inspect.words import Word"]),
    `choice = Choice(${scene.indices[output]}, ${at})`, `found = ${call}`, ...told,
    ...sides.flatMap(([side]) => [`for word, number in zip(${side}, found.words(${literal(side)}, ${side}), strict=True):`, '    print(word.text, f"{number:.6f}", sep="\\t")']), ""].join("\n"); // prettier-ignore
}

// Every branch of the beam.
export const beam = ({ scene, told }) =>
  ["import transept", "from transept.look.beam import beam", "", `model = transept.load(${literal(told.paths[scene.of])})`,
    `tree = beam(model, ${literal(scene.title)}, ${list(scene.target.slice(0, scene.begun))}, ${scene.most ?? "None"})`,
    "found = {end: f\"{one.score:.6f}\" for end, one in zip(tree.ends, tree.hypotheses)}  # best first, as n_best has them",
    "for number, step in enumerate(tree.steps):", "    for at, branch in enumerate(step):",
    '        print(number + 1, branch.token, f"{branch.logprob:.6f}", f"{branch.total:.6f}", branch.state, found.get((number, at), ""), sep="\\t")', ""].join("\n"); // prettier-ignore
