"""Texts as a model reads them: ids with their segments and places, in batches, refused where they are too long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from transept.data.parted import places, stacked
from transept.data.tokenizer import Encoding, Tokenizer, shortened
from transept.decode.batch import NARROW, pad, plan
from transept.errors import InvalidData, Nth
from transept.inputs.tokens import Tokens
from transept.models import ModelLayer, Seq2SeqLayer
from transept.parts.entered import Entered
from transept.topology import Built

if TYPE_CHECKING:
    from transept.use.opened import Opened

ROOM = 4096  # tokens of a batch, padding counted

Given = str | tuple[str, str]  # a text, or a pair of texts that stand in one row


@dataclass(frozen=True)
class Pass:
    """A batch that went through a model: which rows, how many columns stand before each, and what came out.

    states (B, S, D), what a head reads, with what entered.
    """

    rows: list[int]
    before: list[int]
    states: Tensor
    entered: Entered

    def own(self, scores: Tensor) -> list[Tensor]:
        """The columns of each row that are its own. (B, S, ...) -> (S of the row, ...) each"""
        return [row[before:] for row, before in zip(scores, self.before, strict=True)]

    def within(self, starts: Sequence[int], ends: Sequence[int]) -> Entered:
        """What entered, of each row some tokens alone: what stands before and behind them counts as padding."""
        place = self.states.device
        before, start, end = (torch.tensor(found, device=place)[:, None] for found in (self.before, starts, ends))
        own = torch.arange(self.states.size(1), device=place) - before
        return replace(self.entered, valid=(own >= start) & (own < end))


def demand_tokenizer(loaded: "Opened") -> Tokenizer:
    """The model's tokenizer; InvalidData where it has none."""
    if loaded.tokenizer is None:
        raise InvalidData(
            loaded.unread or "this model has no tokenizer.json, so it reads no text",
            where=loaded.path,
            remedy="Put its tokenizer.json there, or give token ids to its module, `.model`.",
        )
    return loaded.tokenizer


def prompt_ids(loaded: "Opened", prompt: str) -> list[int]:
    """A prompt as the model reads it, open at its end; an empty one is the token that every text begins with.

    A source keeps the end that its encoder was trained to see.
    """
    tokenizer = demand_tokenizer(loaded)
    ids, special = tokenizer.encode(prompt), loaded.demand_search().special
    if isinstance(loaded.model, Seq2SeqLayer):
        return ids
    if ids[-1:] == tokenizer.encode("")[-1:] == [special.eos]:
        ids = ids[:-1]
    if not ids and special.bos is None:
        raise InvalidData("an empty prompt, and this model has no token that a text begins with", remedy="Begin one.")
    return ids or [cast(int, special.bos)]


def encodings(
    loaded: "Opened",
    given: Sequence[Given],
    first: int,
    *,
    longest: int | None = None,
    cut: Callable[[str], None] | None = None,
    words: Tokenizer | None = None,
) -> list[Encoding]:
    """Texts or pairs with what the model has around them. `first` counts those before these.

    InvalidData names a text that is too long, unless it may be cut: then `cut` hears how many were, and the last tokens
    are left out, of a pair the longer text's (`shortened`). `longest` is fewer tokens than the model takes, `words`
    another tokenizer than its own.
    """
    most = min(loaded.longest, longest or loaded.longest)
    texts, others = apart(given)
    found = (words or demand_tokenizer(loaded)).encodings(texts, others)
    long = [i for i, one in enumerate(found) if len(one.ids) > most]
    if long and cut is None:
        raise InvalidData(
            f"has {len(found[long[0]].ids)} tokens, and the model takes {most} (it begins {texts[long[0]][:40]!r})",
            nth=Nth("text", first + long[0] + 1),
            remedy="Split it: nothing is cut in silence.",
        )
    for i in long:
        found[i] = shortened(found[i], most)
    if long and cut is not None:
        cut(f"{len(long)} of {len(found)} texts were cut to {most} tokens")
    return found


def apart(given: Sequence[Given]) -> tuple[list[str], list[str] | None]:
    """The first texts, and the second ones where they are pairs."""
    pairs = [one for one in given if not isinstance(one, str)]
    if pairs and len(pairs) < len(given):
        raise InvalidData("some rows are a text and some are a pair of texts", remedy="Give each kind in its own call.")
    texts = [one if isinstance(one, str) else one[0] for one in given]
    return texts, [second for _, second in pairs] if pairs else None


@torch.inference_mode()
def through(
    model: Built,
    rows: Sequence[Encoding],
    what: Callable[[Pass], Sequence[Tensor]],
    *,
    again: Callable[[list[int]], list[int]] | None = None,
    room: int = ROOM,
) -> list[Tensor]:
    """What is made of each row by a model in evaluation mode, in batches of like length: in order, on the processor.

    Two stacks read it with the first alone, or with both where `again` makes of a row what the second reads.
    """
    found: dict[int, Tensor] = {}
    training = model.training
    model.train(False)
    try:
        for batch in plan([(len(row.ids), 0) for row in rows], room):
            ids, valid = pad([rows[i].ids for i in batch], model.device, NARROW)
            before = [ids.size(1) - len(rows[i].ids) for i in batch]
            if isinstance(model, ModelLayer):
                more = {}
                if isinstance(model.spec.embed, Tokens) and model.spec.embed.segments > 1:
                    more["segments"] = pad([rows[i].segments for i in batch], model.device, NARROW)[0]
                one = Pass(batch, before, *model.hidden(ids, valid, None, None, None, **more))
            else:
                assert isinstance(model, Seq2SeqLayer)
                if again is None:
                    memory = model.encode(ids, valid)
                    one = Pass(batch, before, memory.states, Entered(memory.states, memory.valid))
                else:
                    target, _ = pad([again(rows[i].ids) for i in batch], model.device, NARROW)
                    one = Pass(batch, before, *model.hidden(ids, target, valid, valid))
            found |= {i: made.cpu() for i, made in zip(batch, what(one), strict=True)}
    finally:
        model.train(training)
    return [found[i] for i in range(len(rows))]


@torch.inference_mode()
def over(
    model: Built,
    documents: Sequence[Sequence[Sequence[int]]],
    what: Callable[[Pass], Sequence[Tensor]],
    *,
    room: int = ROOM,
) -> list[Tensor]:
    """The same of documents, the tokens of each sentence of which a model reads by itself."""
    assert isinstance(model, ModelLayer)
    found: dict[int, Tensor] = {}
    training = model.training
    model.train(False)
    try:
        for batch in plan([(places(document), 0) for document in documents], room):
            ids, valid = (t.to(model.device) for t in stacked([documents[i] for i in batch], 0))
            one = Pass(batch, [0] * len(batch), *model.hidden(ids, valid))
            found |= {i: made.cpu() for i, made in zip(batch, what(one), strict=True)}
    finally:
        model.train(training)
    return [found[i] for i in range(len(documents))]
