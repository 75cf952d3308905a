// Words from pieces. Of the pieces that look the mean is taken, of those that are looked at the sum: rows still add to 1.

const MARKS = /^[\p{P}\p{S}]+$/u;

// What a side is shown as: {text, members, parks}; `parks` are tokens that are no word, and marks of punctuation.
export function groups(side, pieces) {
  const found = [];
  side.texts.forEach((text, i) => {
    const word = side.words[i];
    const last = found.at(-1);
    if (!pieces && word !== null && last && last.word === word) {
      last.text += text;
      last.members.push(i);
    } else found.push({ text, word, members: [i] });
  });
  for (const group of found) {
    group.text = group.text.trim() || group.text;
    group.parks = group.word === null || (side.grid === null && MARKS.test(group.text));
  }
  return found;
}

// Numbers of heads by tokens as numbers of groups, the mean over some heads or the largest of them: of what is looked at
// the sum over the pieces, of what looks the mean.
export function gathered(line, { all, chosen, max = false }, found, looking) {
  const many = line.length / all;
  return Float64Array.from(found, ({ members }) => {
    let [sum, most] = [0, 0];
    for (const h of chosen) {
      let own = 0;
      for (const i of members) own += line[h * many + i];
      sum += own;
      most = Math.max(most, own);
    }
    return (max ? most : sum / chosen.length) / (looking ? members.length : 1);
  });
}

// A map of tokens, S by T, as one of words.
export const merged = (weights, T, rows, columns) => map(weights, [1, weights.length / T, T], [0], rows, columns);

// The whole map, rows by columns, for the heads together.
export function map(weights, shape, heads, rows, columns) {
  const [, S, T] = shape;
  const [tokens, places] = [[], []]; // what is looked at, and the column that it belongs to
  columns.forEach(({ members }, c) => members.forEach((t) => (tokens.push(t), places.push(c))));
  const found = new Float32Array(rows.length * columns.length);
  rows.forEach((row, r) => {
    const part = 1 / (heads.length * row.members.length);
    const to = r * columns.length;
    for (const h of heads) for (const s of row.members) {
      const from = (h * S + s) * T;
      for (let i = 0; i < tokens.length; i++) found[to + places[i]] += weights[from + tokens[i]] * part;
    }
  });
  return found;
}

export function largest(shares, count) {
  return [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, count);
}
