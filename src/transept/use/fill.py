"""Filling: the likeliest tokens where a text has a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidData, Nth
from transept.use.reading import Pass, demand_tokenizer, encodings, through

if TYPE_CHECKING:
    from transept.use.opened import Opened

MASK = "[MASK]"  # what a person may write, however the tokenizer spells its mask
PIECE = "##"  # what a word piece begins with that goes on with the word before it


@dataclass(frozen=True)
class Filled:
    """One token for one mask: its id and spelling, the word that it is, and its probability.

    `text` is the whole text with it in its place; other masks stay masks.
    """

    token: str
    word: str
    id: int
    probability: float
    text: str


def fill(loaded: "Opened", texts: Sequence[str], count: int, first: int) -> list[list[list[Filled]]]:
    """For each mask of each text the `count` likeliest tokens. See `Loaded.fill`."""
    loaded.demand("fill")
    tokenizer = demand_tokenizer(loaded)
    mask = tokenizer.demand("mask")
    (spelling,) = tokenizer.tokens([mask])
    texts = [text.replace(MASK, spelling) for text in texts]
    rows = encodings(loaded, texts, first)
    places = [[at for at, token in enumerate(row.ids) if token == mask] for row in rows]
    for i, found in enumerate(places):
        if not found:
            raise InvalidData(
                f"has no mask: {texts[i][:60]!r}",
                nth=Nth("text", first + i + 1),
                remedy=f"Write {MASK} where a word is wanted.",
            )
    head = loaded.head

    def shares(one: Pass) -> list[Tensor]:
        # The head alone at the masks: everywhere else its scores would be most of the work.
        counts = [len(places[i]) for i in one.rows]
        row = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        column = torch.tensor([before + at for i, before in zip(one.rows, one.before, strict=True) for at in places[i]])
        logits = head(one.states[row, column][None], one.entered)[0]
        return list(logits.float().softmax(-1).split(counts))

    made = through(loaded.model, rows, shares)
    return [
        [_best(tokenizer, text, row.spans[place], share, count) for place, share in zip(found, each, strict=True)]
        for text, row, found, each in zip(texts, rows, places, made, strict=True)
    ]


def _best(tokenizer: Tokenizer, text: str, span: tuple[int, int], shares: Tensor, count: int) -> list[Filled]:
    """The likeliest tokens for the mask that stands at a span of a text."""
    top = shares[: tokenizer.vocab].topk(min(count, tokenizer.vocab))
    before, after = text[: span[0]], text[span[1] :]
    if text[span[0] : span[1]][:1].isspace():  # a mask may take the space before it
        before += " "
    found, around = [], tokenizer.around
    for probability, token in zip(top.values.tolist(), top.indices.tolist(), strict=True):
        (spelling,) = tokenizer.tokens([token])
        word = spelling if token in around else tokenizer.decode([token]).strip()
        joined = before.rstrip() + word[2:] if word.startswith(PIECE) else before + word
        found.append(Filled(spelling, word, token, probability, joined + after))
    return found
