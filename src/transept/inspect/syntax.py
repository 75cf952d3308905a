"""Which head looks from a word to the word that governs it, relation by relation, and whether that is more than an
offset.

The predicted governor of a word is the word that it looks at most, or that looks at it most (Clark et al. 2019, section
4.2; Voita et al. 2019). Many relations lie at a fixed distance: what "always the next word" gets is the baseline. Heads
and offsets are chosen on one half of the sentences and scored on the other.

Shapes: H heads, W words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from transept.errors import UsageError
from transept.inspect.example import Example
from transept.inspect.record import attentions, demand_tokens, record
from transept.inspect.words import merge

REACH = 6  # words on either side that an offset may be
ALL = "all"  # the name of all relations together


@dataclass(frozen=True)
class Governor:
    """The best head for a relation, with its share of right governors on the other half, and the best offset's.

    `looks` is "up" where the word looks at its governor, "down" where the governor looks at it. An offset of -1 is the
    word before.
    """

    relation: str
    count: int
    attention: str
    head: int
    looks: str
    accuracy: float
    offset: int
    baseline: float


@dataclass
class Tally:
    """How many governors each head and each offset got right, by relation, on either half of the sentences."""

    heads: dict[tuple[str, int, str], list[dict[str, int]]] = field(default_factory=dict)
    offsets: dict[int, list[dict[str, int]]] = field(default_factory=dict)
    counts: list[dict[str, int]] = field(default_factory=lambda: [{}, {}])
    sentences: int = 0

    def add(self, maps: Mapping[str, Tensor], governors: Sequence[int], relations: Sequence[str]) -> None:
        """Count one sentence: maps of words (H, W, W) by the name of their attention; `governors` from 0, a root its
        own.

        Raises UsageError where the sizes differ.
        """
        count = len(governors)
        if len(relations) != count or any(m.shape[1:] != (count, count) for m in maps.values()):
            raise UsageError(f"a sentence of {count} governors, {len(relations)} relations and maps of other sizes")
        half, self.sentences = self.sentences % 2, self.sentences + 1
        asked = [at for at in range(count) if governors[at] != at]
        right = torch.tensor([governors[at] for at in asked])
        for at in asked:
            for name in (relations[at], ALL):
                self.counts[half][name] = self.counts[half].get(name, 0) + 1
        if not asked:
            return
        for offset in (*range(-REACH, 0), *range(1, REACH + 1)):
            hits = (torch.tensor(asked) + offset == right).tolist()
            _count(self.offsets.setdefault(offset, [{}, {}])[half], hits, asked, relations)
        for name, weights in maps.items():
            alone = weights.clone()
            alone.diagonal(dim1=1, dim2=2).fill_(-1.0)  # no word governs itself
            for looks, way in (("up", alone), ("down", alone.transpose(1, 2))):
                found = way.argmax(-1)[:, asked] == right
                for head, hits in enumerate(found.tolist()):
                    _count(self.heads.setdefault((name, head, looks), [{}, {}])[half], hits, asked, relations)

    def governors(self, least: int = 10) -> list[Governor]:
        """The best head for each relation that occurs `least` times in the half that is scored, the commonest first."""
        found = []
        for relation, count in sorted(self.counts[1].items(), key=lambda item: -item[1]):
            if count < least or not self.counts[0].get(relation):
                continue
            name, head, looks = max(self.heads, key=lambda key: self.heads[key][0].get(relation, 0))
            offset = max(self.offsets, key=lambda key: self.offsets[key][0].get(relation, 0))
            accuracy = self.heads[name, head, looks][1].get(relation, 0) / count
            baseline = self.offsets[offset][1].get(relation, 0) / count
            found.append(Governor(relation, count, name, head, looks, accuracy, offset, baseline))
        return found


def _count(into: dict[str, int], hits: Sequence[bool], asked: Sequence[int], relations: Sequence[str]) -> None:
    for at, hit in zip(asked, hits, strict=True):
        if hit:
            into[relations[at]] = into.get(relations[at], 0) + 1
            into[ALL] = into.get(ALL, 0) + 1


@torch.no_grad()
def word_maps(example: Example) -> dict[str, Tensor]:
    """How the words of what is read look at each other, (H, W, W) of each attention by its name.

    Of two stacks it is the encoder. Weight on what stands around the text is left out, and not shared out again.
    """
    words = [word for word in example.source.words if not word.special]
    side = "" if example.target is None else "encoder."
    names = [n for n, layer in attentions(example.model).items() if n.startswith(side) and layer.spec.source == "self"]
    if not names:
        raise UsageError("no attention of this model looks from a word of the source to another")
    for name in names:
        demand_tokens(name, attentions(example.model)[name], "it has no map of words", "Probe tags or relations.")
    with record(example.model) as kept:
        example.output()
    return {name: merge(kept[name][0].float().cpu(), words, words) for name in names}
