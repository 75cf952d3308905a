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

// The mean over heads of what each group of columns gets from one group of rows: numbers that add to the row's sum.
export function looksAt(weights, [, S, T], heads, row, columns) {
  const found = new Float64Array(columns.length);
  for (const h of heads)
    for (const s of row.members) {
      const at = (h * S + s) * T;
      columns.forEach(({ members }, c) => {
        for (const t of members) found[c] += weights[at + t];
      });
    }
  const many = heads.length * row.members.length;
  return found.map((share) => share / many);
}

// The same the other way: how much each group of rows gives to one group of columns.
export function lookedAtBy(weights, [, S, T], heads, rows, column) {
  return Float64Array.from(rows, ({ members }) => {
    let sum = 0;
    for (const h of heads) for (const s of members) for (const t of column.members) sum += weights[(h * S + s) * T + t];
    return sum / (heads.length * members.length);
  });
}

// The whole map, rows by columns, for the heads together.
export function map(weights, shape, heads, rows, columns) {
  const found = new Float32Array(rows.length * columns.length);
  rows.forEach((row, r) => found.set(looksAt(weights, shape, heads, row, columns), r * columns.length));
  return found;
}

export function largest(shares, count) {
  return [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, count);
}
