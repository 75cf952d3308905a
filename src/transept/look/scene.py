"""A scene: one pass of a model over one input, with what it read, what it wrote, and who looked at what.

Shapes: H heads, S rows (what looks), T columns (what is looked at).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.errors import UsageError
from transept.inspect.align import CrossMaps, Standing, standings
from transept.inspect.contributions import contributed
from transept.inspect.example import Row
from transept.inspect.heads import Report, report
from transept.inspect.record import Record, attentions, mixture, record
from transept.inspect.words import Word, merge
from transept.look.roles import Role, role_of
from transept.topology import Built

if TYPE_CHECKING:
    from transept.look.reading import Read

Floats = NDArray[np.float32]

BEST = 10  # tokens that could have been written, for each that was
SMALL = 112  # places of a side in the small picture of a map
LABELLED = 1 << 22  # shares in all maps of a scene: beyond it heads have numbers alone, and no labels


@dataclass(frozen=True)
class Side:
    """What stands on one side of an attention: the tokens read, the tokens written, the patches of a picture.

    `texts` are shown; `words` number the word that each token is of, None where a token is no text (an end, a class
    token). `grid` is the rows and columns of a picture's patches, which follow `before` tokens that are none; `step` is
    how many seconds each frame of a sound is after the one before.
    """

    name: str
    texts: tuple[str, ...]
    words: tuple[int | None, ...]
    grid: tuple[int, int] | None = None
    step: float | None = None

    def told(self) -> dict[str, Any]:
        """For the page."""
        return {"name": self.name, "texts": self.texts, "words": self.words, "grid": self.grid, "step": self.step}

    def grouped(self) -> list[Word]:
        """The words, as the page shows them: tokens that are none are each one of their own, `special`."""
        found = list[Word]()
        for number, same in groupby(range(len(self.texts)), key=lambda at: self.words[at]):
            members = tuple(same)
            for own in ((at,) for at in members) if number is None or self.grid else (members,):
                text = "".join(self.texts[at] for at in own)
                found.append(Word(text.strip() or text, 0, 0, own, special=number is None))
        return found

    def row(self, inputs: Tensor) -> Row:
        """What is read by a model, with these as its tokens and words. inputs (1, S), or a picture."""
        return Row(inputs, self.texts, self.grouped())


@dataclass(frozen=True)
class Seen:
    """One attention of a pass, and where it is in the model. Its shares are made when they are asked for.

    `begins` is its first row among what was recorded under its name: blocks that share weights are asked several times.
    `labels` say in a word what each head does, where that was found out, and `scores` how well: how it aligns, where
    one stack looks at the other and that can be told, else how much it is worth a look (`Report.interest`).
    """

    name: str
    role: Role
    number: int
    rows: str
    columns: str
    kept: Record = field(repr=False)
    size: int
    begins: int = 0
    shared: bool = False
    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, S, T)"""
        _, heads, _, columns = self.kept.shape(self.name)
        return heads, self.size, columns

    @property
    def weights(self) -> Floats:
        """The whole map, (H, S, T), made anew."""
        return _floats(self.map())

    def map(self) -> Tensor:
        """The same as a tensor."""
        if self.kept.shape(self.name)[2] == self.size:
            return self.kept[self.name][0]
        return self.kept.rows(self.name, range(self.begins, self.begins + self.size))[0]

    def one(self, heads: Sequence[int] | None) -> Floats:
        """The mean of the maps of some heads, or of all, (S, T)."""
        if heads is None:
            return _floats(self.map().mean(0))
        rows = range(self.begins, self.begins + self.size)
        return _floats(torch.stack([self.kept.rows(self.name, rows, head)[0] for head in heads]).mean(0))

    def some(self, rows: Sequence[int]) -> Floats:
        """Some of the rows, (H, N, T): nothing is made of the others."""
        return _floats(self.kept.rows(self.name, [self.begins + at for at in rows])[0])

    def told(self) -> dict[str, Any]:
        """For the page: everything but the weights."""
        return {
            "name": self.name,
            "role": self.role,
            "number": self.number,
            "rows": self.rows,
            "columns": self.columns,
            "shape": self.shape,
            "small": tuple(min(side, SMALL) for side in self.shape[1:]) if max(self.shape[1:]) > SMALL else None,
            "shared": self.shared,
            "begins": self.begins,
            "labels": self.labels,
            "scores": [round(one, 6) for one in self.scores],
        }

    def is_like(self, other: Seen) -> bool:
        """Whether it is of the same kind, between the same sides."""
        return (self.role, self.rows, self.columns) == (other.role, other.rows, other.columns)

    def small(self) -> bytes:
        """How spread each head is, float32, and then its map at most `SMALL` by `SMALL`: the largest share of a place.

        Spread is the mean entropy of the rows: 0 where each looks at one token, 1 where all are looked at alike. The
        shares are a byte each, as in `packed`.
        """
        maps = self.map().float().cpu()
        _, rows, columns = maps.shape
        entropy = torch.special.entr(maps).sum(-1).mean(-1) / max(np.log(columns), 1e-9)
        pooled = torch.nn.functional.adaptive_max_pool2d(maps, (min(rows, SMALL), min(columns, SMALL)))
        shares = np.rint(255 * np.sqrt(_floats(pooled).clip(0, 1))).astype("u1")
        bytes_: bytes = _floats(entropy).astype("<f4").tobytes() + shares.tobytes()
        return bytes_

    def packed(self, exact: bool = False) -> bytes:
        """The weights as a byte each, round(255 sqrt(p)): small ones keep their detail, and none is off by 0.4 %.

        `exact` is two bytes each, the lower one first: round(65535 sqrt(p)), off by 0.002 % at most.
        """
        most, kind = (65535, "<u2") if exact else (255, "u1")
        bytes_: bytes = np.rint(most * np.sqrt(self.weights.clip(0, 1))).astype(kind).tobytes()
        return bytes_


@dataclass(frozen=True)
class Choice:
    """A token that could have been written, and its probability."""

    id: int
    text: str
    probability: float

    def told(self) -> list[Any]:
        """For the page."""
        return [self.id, self.text, round(self.probability, 6)]


@dataclass(frozen=True)
class Scene:
    """One pass, ready to be shown. `choices` has the likeliest tokens at each row of the side that was written.

    `answers` are classes with their probabilities; `picture` is what the model saw, as an address that holds it;
    `sound` what is told of a sound; `first` is the layer and the head that are best looked at first; `unseen` says what
    of the model is not shown.
    """

    title: str
    sides: tuple[Side, ...]
    layers: tuple[Seen, ...]
    written: str = ""
    choices: tuple[tuple[Choice, ...], ...] = ()
    answers: tuple[tuple[str, float], ...] = ()
    picture: str | None = None
    first: tuple[int, int] | None = None
    sound: dict[str, Any] | None = None
    unseen: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """For the page: everything but the weights."""
        return {
            "title": self.title,
            "picture": self.picture,
            "sound": self.sound,
            "sides": [side.told() for side in self.sides],
            "layers": [layer.told() for layer in self.layers],
            "written": self.written,
            "choices": [[choice.told() for choice in row] for row in self.choices],
            "answers": self.answers,
            "first": self.first,
            "unseen": self.unseen,
        }


def scene_of(read: Read) -> Scene:
    """The pass over what was read; of its attention queries and keys are kept."""
    model = read.example.model
    with torch.no_grad(), record(model) as kept:
        logits = read.scores()
    layers, missing = list(layers_of(model, read, kept)), unseen(model)
    if not layers:
        raise UsageError(
            f"no attention of this model has a view. {' '.join(missing)}".strip(),
            remedy="Record it in Python: transept.record(model).",
        )
    first = None
    if sum(heads * rows * columns for heads, rows, columns in (one.shape for one in layers)) <= LABELLED:
        layers, first = labelled(layers, read)
    choices = tuple(_choices(row, read) for row in logits[0]) if read.writes else ()
    sound = None if read.sound is None else read.sound.told(logits[0])
    return Scene(
        read.title,
        read.sides,
        tuple(layers),
        read.written,
        choices,
        read.answers,
        read.picture,
        first,
        sound,
        tuple(missing),
    )


def layers_of(model: Built, read: Read, kept: Record) -> Iterator[Seen]:
    """Every attention that was asked in a pass, as often as it was; layer 1 of a role is the first.

    Those that look at no single tokens are counted, and have no view: see `unseen`.
    """
    counts: dict[Role, int] = {}
    for name, layer in attentions(model).items():
        if name not in kept:
            continue
        role = role_of(name, layer, model)
        rows, columns = read.beside(role)
        size, all_rows = len(next(side for side in read.sides if side.name == rows).texts), kept.shape(name)[2]
        if not size or all_rows % size:  # not a row for each token: there is no view of it
            continue
        for begins in range(0, all_rows, size):
            counts[role] = counts.get(role, 0) + 1
            if mixture(layer) is None:
                yield Seen(name, role, counts[role], rows, columns, kept, size, begins, all_rows > size)


def unseen(model: Built) -> list[str]:
    """What is not shown of a model's attentions, and why: a sentence for each."""
    found = list[str]()
    for name, layer in attentions(model).items():
        if (reason := mixture(layer)) is not None:
            found.append(f"{name} is not shown: it {reason}.")
        elif layer.recall is not None:
            found.append(f"{name} also mixes in what it finds in segments before, which is not shown.")
    return found


def labelled(layers: Sequence[Seen], read: Read) -> tuple[list[Seen], tuple[int, int] | None]:
    """The layers with what each of their heads does, and the head to look at first.

    That is the one that aligns best, where one stack looks at the other, else the most interesting one.
    """
    sides = {side.name: side for side in read.sides}
    found, told = list[Seen](), dict[tuple[int, int], Report]()
    for at, one in enumerate(layers):
        if any(sides[name].grid or sides[name].step for name in (one.rows, one.columns)):
            found.append(one)
            continue
        columns = sides[one.columns].grouped()
        rows = sides[one.rows].grouped() if one.role == "cross" else columns  # a token is a query as it was given
        maps = merge(one.map().float().cpu(), rows, columns)
        parked = [i for i, word in enumerate(columns) if word.special or word.is_sign]
        asking, asked = [word.text for word in rows], [word.text for word in columns]
        for head, weights in enumerate(maps):
            told[at, head] = report([weights], [asking], None if one.role != "cross" else [asked], [parked])
        ends = {"sentence end", *(("first word",) if 0 in parked else ())}  # as the page calls what is no word
        labels = [told[at, head].label for head in range(len(maps))]
        found.append(replace(one, labels=tuple("ends and marks" if label in ends else label for label in labels)))
    fits = _aligning(found, read) if any(one.role == "cross" for one in found) else {}
    scores = {at: report.interest for at, report in told.items()} | fits
    for at, one in enumerate(found):
        heads = [scores[key] for key in ((at, head) for head in range(one.shape[0])) if key in scores]
        found[at] = replace(one, scores=tuple(heads))
    return found, max(fits or scores, key=scores.__getitem__, default=None)


def _aligning(layers: Sequence[Seen], read: Read) -> dict[tuple[int, int], float]:
    """How well each head aligns the words of this pair while they are predicted; nothing where that cannot be told.

    One pair tells too little of that by its maps alone: heads count by what reached the written words as well.
    """
    source, target, _ = read.sides
    if source.grid:
        return {}
    # A row of the map predicts the token that stands one further on among what the decoder is given.
    later = [replace(word, tokens=tuple(at + 1 for at in word.tokens)) for word in target.grouped()]
    maps = CrossMaps([(read.example.source, Row(torch.empty(0), target.texts, later))])
    cross = {one.name: at for at, one in enumerate(layers) if one.role == "cross"}
    try:  # what each written word takes of each read one: a head may be as sharp, and a word off
        whole = contributed(read.example)["decoder"][-1]
    except UsageError:  # not blocks in a row
        return {}
    brought = merge(whole[:, -len(source.texts) :], target.grouped(), source.grouped())
    for name, at in cross.items():
        # The last token is written and never read: the row in which it would look is empty.
        maps.whole[name] = [torch.nn.functional.pad(layers[at].map().float().cpu(), (0, 0, 0, 1))]
    try:
        standing = [one for one in standings(maps) if one.aligner.when == "predicted"]
    except UsageError:  # no words
        return {}
    words = [at for at, word in enumerate(source.grouped()) if not word.special]
    spoken = [at for at, word in enumerate(target.grouped()) if not word.special]

    def fits(one: Standing) -> float:
        shown = maps.of(one.aligner, 0)[:, words]
        return one.score * float((shown * brought[spoken][:, words]).sum(1).mean())

    return {(cross[one.aligner.attention], one.aligner.head): fits(one) for one in standing}


def _floats(weights: Tensor) -> Floats:
    found: Floats = weights.float().cpu().numpy()
    return found


def _choices(scores: Tensor, read: Read) -> tuple[Choice, ...]:
    best = scores.float().softmax(-1).topk(min(BEST, scores.size(-1)))
    return tuple(
        Choice(int(token), read.spoken(int(token)), float(share))
        for token, share in zip(best.indices, best.values, strict=True)
    )
