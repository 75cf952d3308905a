"""Which word of a source stands for which word of a target, as a head of the cross-attention says it.

    pairs = [(source, target), ...]                       # rows, as `Loaded.explain` makes them
    head = find_aligner(maps := cross_maps(model, pairs)) # one head of all, found by itself
    links = align(maps.of(head, 0), *pairs[0])            # {(source word, target word), ...}

A target word is linked to the source word that the head looks at most while the word is predicted (or, in a head of
another kind, while it is read: Chen et al. 2020, "Accurate word alignment induction"). Words are merged from pieces.

Shapes: H heads, I words of the target, J of the source; both without what stands around the text, unless it is said.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from transept.errors import UsageError
from transept.inspect.example import Row
from transept.inspect.heads import evenness
from transept.inspect.record import attentions, record
from transept.inspect.words import Span, Word, merge
from transept.models import Seq2SeqLayer

Links = frozenset[tuple[int, int]]  # (source word, target word)
When = Literal["predicted", "read"]
ROOM = 64  # pairs in one pass


@dataclass(frozen=True)
class Aligner:
    """A head, and when it looks at what stands for a word: while the word is predicted, or while it is read."""

    attention: str
    head: int
    when: When = "predicted"

    def __str__(self) -> str:
        return f"{self.attention}:{self.head}" + ("" if self.when == "predicted" else ":read")

    @staticmethod
    def parse(text: str) -> "Aligner":
        """`decoder.blocks.1.cross:3`, with `:read` behind it where it looks one step later. Raises UsageError."""
        name, *rest = text.split(":")
        if not rest or not rest[0].isdecimal() or rest[1:] not in ([], ["read"], ["predicted"]):
            raise UsageError(f"{text!r} is no head", remedy="Write decoder.blocks.1.cross:3, or ...:3:read.")
        return Aligner(name, int(rest[0]), "read" if rest[1:] == ["read"] else "predicted")


@dataclass(frozen=True)
class Standing:
    """How well a head serves as an aligner, each number in [0, 1]; `score` is their product.

    content: its weight on words; sharpness: 1 - evenness of what is left; agreement: of two pairs that have a word in
    common, how often it is linked to the same word, asked from both sides. Where none have, or of one pair, it is how
    many source words are linked to, over how many could be.
    """

    aligner: Aligner
    content: float
    sharpness: float
    agreement: float

    @property
    def score(self) -> float:
        return self.content * self.sharpness * self.agreement


class CrossMaps:
    """The maps of all heads that look at the source, for each pair and as words."""

    def __init__(self, pairs: Sequence[tuple[Row, Row]]) -> None:
        self.pairs = list(pairs)
        self.whole: dict[str, list[Tensor]] = defaultdict(list)  # (H, T, S) of each pair, tokens of both

    def aligners(self) -> list[Aligner]:
        """Every head, as it may serve."""
        return [
            Aligner(name, head, when)
            for name, maps in self.whole.items()
            for head in range(maps[0].size(0))
            for when in ("predicted", "read")
        ]

    def of(self, aligner: Aligner, pair: int) -> Tensor:
        """A head's map of words, (I, J + what stands around the source), the columns in the order of the row."""
        if aligner.attention not in self.whole or not 0 <= aligner.head < self.whole[aligner.attention][0].size(0):
            known = ", ".join(f"{name}:0..{maps[0].size(0) - 1}" for name, maps in self.whole.items())
            raise UsageError(f"no head that looks at the source is called {aligner}", remedy=f"There are: {known}.")
        source, target = self.pairs[pair]
        weights = self.whole[aligner.attention][pair][aligner.head]
        back = 1 if aligner.when == "predicted" else 0
        rows = [Word(w.text, w.start, w.end, tuple(t - back for t in w.tokens)) for w in content(target)]
        return merge(weights, rows, source.words)


def content(row: Row) -> list[Word]:
    """The words of a text, without what stands around it."""
    return [word for word in row.words if not word.special]


@torch.no_grad()
def cross_maps(model: Seq2SeqLayer, pairs: Sequence[tuple[Row, Row]]) -> CrossMaps:
    """What every head looks at in the source, for aligned texts: a pass for each `ROOM` pairs. A target begins with the
    token that opens it. Raises UsageError where the decoder has no attention to the source.
    """
    names = [name for name, layer in attentions(model).items() if layer.spec.source == "memory"]
    if not names:
        raise UsageError("this model's decoder does not look at its source: there is nothing to align by")
    maps, training = CrossMaps(pairs), model.training
    model.train(False)
    try:
        for start in range(0, len(pairs), ROOM):
            batch = pairs[start : start + ROOM]
            source, source_valid = padded([one.inputs[0] for one, _ in batch], model.device)
            target, target_valid = padded([one.inputs[0] for _, one in batch], model.device)
            with record(model) as kept:
                model(source, target, source_valid, target_valid)
            for name in names:
                weights = kept[name].float().cpu()
                for i, (one, other) in enumerate(batch):
                    maps.whole[name].append(weights[i, :, : other.inputs.size(1), : one.inputs.size(1)].clone())
    finally:
        model.train(training)
    return maps


def padded(rows: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids as one batch, padded on the right, and which of it is real."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    return ids.to(device), (torch.arange(ids.size(1)) < lengths[:, None]).to(device)


def align(weights: Tensor, source: Row, target: Row, *, least: float = 0.0, null: bool = False) -> Links:
    """The links of a map (I, J + around): each target word with the source word that it looks at most.

    A word whose best word has less weight than `least` has no link; with `null`, nor one that looks more at what stands
    around the source, its end token say, than at all of its words.
    """
    around = [at for at, word in enumerate(source.words) if word.special]
    words = [at for at, word in enumerate(source.words) if not word.special]
    assert weights.size(0) == len(content(target))
    found = set()
    for i, row in enumerate(weights if words else ()):
        own = row[words]
        parked = null and float(own.sum()) < float(row[around].sum())
        if not parked and float(own.max()) >= least:
            found.add((int(own.argmax()), i))
    return frozenset(found)


def find_aligner(maps: CrossMaps) -> Aligner:
    """The head that aligns best, told from its maps alone: sharp, at words, and the same for the same words."""
    return standings(maps)[0].aligner


def standings(maps: CrossMaps) -> list[Standing]:
    """Every head as an aligner, the best first. Punctuation is left out of account."""
    return sorted((_standing(maps, aligner) for aligner in maps.aligners()), key=lambda one: -one.score)


def _standing(maps: CrossMaps, aligner: Aligner) -> Standing:
    shares, sharp, linked = [], [], list[tuple[str, str]]()
    covered = possible = 0
    for at, (source, target) in enumerate(maps.pairs):
        weights = maps.of(aligner, at)
        rows = [i for i, word in enumerate(content(target)) if not word.is_sign]
        columns = [j for j, word in enumerate(source.words) if not word.special and not word.is_sign]
        if not rows or not columns:
            continue
        own = weights[rows][:, columns]
        shares.append(own.sum(-1))
        sharp.append(1 - evenness(own / own.sum(-1, keepdim=True).clamp(min=1e-9)))
        best = own.argmax(-1).tolist()
        linked += [(content(target)[i].text, source.words[columns[j]].text) for i, j in zip(rows, best, strict=True)]
        covered, possible = covered + len(set(best)), possible + min(len(rows), len(columns))
    if not shares:
        raise UsageError("no pair has words on both sides: nothing can be aligned")
    spread = covered / possible
    agreed = agreement(linked) if len(sharp) > 1 else None  # in one text a word that comes twice may mean two others
    both = spread if agreed is None else (agreed * spread) ** 0.5
    return Standing(aligner, float(torch.cat(shares).mean()), float(torch.cat(sharp).mean()), both)


def agreement(links: Sequence[tuple[str, str]]) -> float | None:
    """How often two links with a word in common have the other in common too, the geometric mean of both sides.

    None where no word comes twice.
    """
    sides = []
    for one, other in ((0, 1), (1, 0)):
        by: dict[str, Counter[str]] = defaultdict(Counter)
        for link in links:
            by[link[one]][link[other]] += 1
        pairs = [sum(counts.values()) for counts in by.values()]
        alike = sum(n * (n - 1) for counts in by.values() for n in counts.values())
        if not (total := sum(n * (n - 1) for n in pairs)):
            return None
        sides.append(alike / total)
    return float((sides[0] * sides[1]) ** 0.5)


# ------------------------------------------------------------------ scores


def error_rate(found: Iterable[Links], sure: Iterable[Links], possible: Iterable[Links] | None = None) -> float:
    """The alignment error rate, 1 - (|A & S| + |A & P|) / (|A| + |S|), over all pairs (Och & Ney 2003, equation 26).

    `possible` are links that are right though nobody need find them, the sure ones with them; None is the sure ones.
    """
    alignments, golden = list(found), list(sure)
    allowed = golden if possible is None else [p | s for p, s in zip(possible, golden, strict=True)]
    hits = total = 0
    for a, s, p in zip(alignments, golden, allowed, strict=True):
        hits, total = hits + len(a & s) + len(a & p), total + len(a) + len(s)
    return 1 - hits / total if total else 0.0


def gold(spans: Iterable[tuple[Span, Span]], source: Row, target: Row) -> Links:
    """The links that pairs of places in the two texts say: the words that lie in them, each with each."""

    def within(row: Row, span: Span) -> list[int]:
        return [at for at, word in enumerate(content(row)) if word.start < span[1] and word.end > span[0]]

    return frozenset((i, j) for one, other in spans for i in within(source, one) for j in within(target, other))


def recall(found: Iterable[Links], sure: Iterable[Links]) -> float:
    """The share of the target words with sure links that are linked to one of theirs."""
    right = total = 0
    for links, golden in zip(found, sure, strict=True):
        for word in {j for _, j in golden}:
            total += 1
            right += any((i, word) in golden for i, j in links if j == word)
    return right / total if total else 0.0


def read_pharaoh(line: str, where: str) -> tuple[Links, Links]:
    """Sure and possible links of a line such as `0-0 1-2 3p4`: source-target, from 0. Raises UsageError."""
    sure, possible = set[tuple[int, int]](), set[tuple[int, int]]()
    for word in line.split():
        mark = "-" if "-" in word else "p" if "p" in word else "?"
        one, _, other = word.partition(mark)
        if not (one.isdecimal() and other.isdecimal()):
            raise UsageError(f"{word!r} is no link", where=where, remedy="Write 0-0 for sure links and 0p0 for others.")
        (sure if mark == "-" else possible).add((int(one), int(other)))
    return frozenset(sure), frozenset(possible)


def to_pharaoh(links: Links) -> str:
    """Links as `0-0 1-2`: source-target, from 0, in the order of the target."""
    return " ".join(f"{i}-{j}" for i, j in sorted(links, key=lambda link: (link[1], link[0])))
