"""A text, a pair of texts, a picture or a sound as an example to explain: rows with their tokens and words."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transept.data.tokenizer import Encoding
from transept.errors import UsageError
from transept.inputs.seen import Seen
from transept.inputs.tokens import Tokens
from transept.inputs.waveform import Waveform
from transept.inspect.example import Example, Row
from transept.inspect.words import Span, Word, units, words_of
from transept.models import Model, Seq2Seq
from transept.use.hear import listened
from transept.use.kinds import described
from transept.use.reading import demand_tokenizer, encodings, prompt_ids
from transept.use.see import prepared
from transept.use.senses import warn

if TYPE_CHECKING:
    from transept.use.opened import Opened

Given = str | tuple[str, str] | Path | Tensor
Target = str | Sequence[int]


def explain(loaded: "Opened", given: Given, target: Target | None) -> Example:
    """What a model reads of a text. See `Loaded.explain`."""
    spec = loaded.spec
    if isinstance(spec, Seq2Seq):
        if spec.source_tokens is None:
            if isinstance(given, tuple) or target is None:
                raise UsageError("this model writes of pictures: give the picture, and as target the text")
            return Example(loaded.model, picture_row(loaded, given), written_row(loaded, target))
        if not isinstance(given, str):
            raise UsageError(f"this model reads text, not a {type(given).__name__}")
        source = source_row(loaded, given)
        if loaded.generation is None:  # its second stack reads the source again
            ids = loaded.again(source.inputs[0].tolist())
            return Example(loaded.model, source, named(loaded, ids))
        return Example(loaded.model, source, written_row(loaded, target or ""))
    if target is not None and not isinstance(target, str) and isinstance(given, str) and loaded.generation is not None:
        return Example(loaded.model, named(loaded, [*prompt_ids(loaded, given), *target]))
    if target is not None:
        raise UsageError(
            f"this model has one stack, and writes no target: it is {described(spec)}",
            remedy="Of one that goes on with a text, give the token ids that it wrote: target=[...]."
            if loaded.generation is not None
            else None,
        )
    if isinstance(spec, Model) and isinstance(spec.embed, Waveform):
        if isinstance(given, tuple):
            raise UsageError("this model hears one sound at a time")
        return Example(loaded.model, sound_row(loaded, given))
    if isinstance(spec, Model) and isinstance(spec.embed, Seen):
        if isinstance(given, tuple):
            raise UsageError("this model sees one picture at a time")
        return Example(loaded.model, picture_row(loaded, given))
    if not isinstance(spec, Model) or not isinstance(spec.embed, Tokens) or isinstance(given, Path | Tensor):
        raise UsageError(
            f"explain takes what this model reads, a text, a picture or a sound: it is {described(spec)}",
            remedy="Make the Example by hand: transept.inspect.example.Example(model, Row(inputs, names)).",
        )
    (one,) = encodings(loaded, [given], 0)
    if loaded.generation is not None:
        one = unended(loaded, one)
    text = given if isinstance(given, str) else "\n".join(given)
    more = {"segments": torch.tensor([one.segments])} if spec.embed.segments > 1 else {}
    return Example(loaded.model, text_row(loaded, one, text), None, more)


def source_row(loaded: "Opened", text: str, cuts: Sequence[Span] | None = None) -> Row:
    """A text as an encoder reads it."""
    (one,) = encodings(loaded, [text], 0)
    return text_row(loaded, one, text, cuts)


def written_row(loaded: "Opened", target: Target) -> Row:
    """What was written, a text or its tokens, as a decoder reads it."""
    return target_row(loaded, target) if isinstance(target, str) else named(loaded, [loaded.start, *target])


def target_row(loaded: "Opened", text: str, cuts: Sequence[Span] | None = None) -> Row:
    """A text as a decoder reads it while it is written: behind the token that opens it, without an end."""
    tokenizer = demand_tokenizer(loaded)
    (one,) = tokenizer.encodings([text])
    own = [at for at, of in enumerate(one.texts) if of is not None]
    ids = [loaded.start, *(one.ids[at] for at in own)]
    spans = [(0, 0), *(one.spans[at] for at in own)]
    names = tokenizer.tokens(ids)
    return Row(torch.tensor([ids]), names, words_of(text, spans, names, cuts), text)


def text_row(loaded: "Opened", one: Encoding, text: str, cuts: Sequence[Span] | None = None) -> Row:
    """A text, or two with a line end between them, with what the model has around them."""
    names = demand_tokenizer(loaded).tokens(one.ids)
    second = text.find("\n") + 1 if any(of == 1 for of in one.texts) else 0
    places = [
        (0, 0) if of is None else (a + second * of, b + second * of)
        for of, (a, b) in zip(one.texts, one.spans, strict=True)
    ]
    return Row(torch.tensor([one.ids]), names, words_of(text, places, names, cuts), text)


def unended(loaded: "Opened", one: Encoding) -> Encoding:
    """A text that is to be continued, without the end token that the tokenizer puts there."""
    end = loaded.demand_search().special.eos
    if one.ids and one.ids[-1] == end and one.texts[-1] is None:
        return Encoding(one.ids[:-1], one.segments[:-1], one.texts[:-1], one.spans[:-1], one.words[:-1])
    return one


def named(loaded: "Opened", ids: list[int]) -> Row:
    """Tokens without a text. Raises InvalidData for one that the vocabulary does not have."""
    names = demand_tokenizer(loaded).tokens(ids)
    return Row(torch.tensor([ids]), names, [Word(name, 0, 0, (at,)) for at, name in enumerate(names)])


def picture_row(loaded: "Opened", picture: str | Path | Tensor) -> Row:
    """A picture with its places as tokens: `3,5` is the sixth of the fourth row."""
    values = picture if isinstance(picture, Tensor) else prepared(loaded, Path(picture), 0)
    with torch.no_grad():
        model = loaded.model
        entry = getattr(model, "source", None) or model.embed
        assert isinstance(entry, torch.nn.Module)
        count = entry(values[None].to(model.device)).x.size(1)
    spec = loaded.spec.source if isinstance(loaded.spec, Seq2Seq) else loaded.spec.embed  # type: ignore[attr-defined]
    rows, columns = spec.grid() if isinstance(spec, Seen) else (1, count)
    rows, columns = (rows, columns) if rows * columns <= count else (1, count)
    before = count - rows * columns  # [CLS] and its like
    names = [f"[{at}]" for at in range(before)] + [f"{y},{x}" for y in range(rows) for x in range(columns)]
    words = [Word(name, 0, 0, (at,), special=at < before) for at, name in enumerate(names)]
    return Row(values[None], names, words)


def sound_row(loaded: "Opened", sound: str | Path | Tensor) -> Row:
    """A sound with its frames as tokens, each called by the second that it begins at.

    A tensor (N,) is heard as it is; a file is made what the model listens to, and what was done to it is told.
    """
    samples = sound if isinstance(sound, Tensor) else listened(loaded, sound, None, 1, True, warn)[0]
    names = seconds_of(loaded, samples)
    return Row(samples[None], names, [Word(name, 0, 0, (at,)) for at, name in enumerate(names)])


def seconds_of(loaded: "Opened", samples: Tensor) -> list[str]:
    """Where each frame of a sound (N,) begins, in seconds: "0.02"."""
    spec = loaded.spec
    assert isinstance(spec, Model)
    assert isinstance(spec.embed, Waveform)
    features = spec.embed.features
    step = prod(features.strides) / loaded.demand_hearing().rate
    return [f"{at * step:.2f}" for at in range(features.frames(len(samples)))]


def spaced(text: str) -> list[Span]:
    """The words of a text that was cut before: what stands between spaces, punctuation with it."""
    found, start = list[Span](), None
    for at, letter in enumerate(f"{text} "):
        if letter.isspace():
            if start is not None:
                found.append((start, at))
            start = None
        elif start is None:
            start = at
    return found


def fielded(text: str, fields: Sequence[Span]) -> list[Span]:
    """The words of a text of which some places are words as they are: the fields of a date."""
    inside = {at for start, end in fields for at in range(start, end)}
    rest = [(a, b) for a, b in units("".join(" " if at in inside else letter for at, letter in enumerate(text)))]
    return sorted([*fields, *rest])


def worded(loaded: "Opened", words: Sequence[str]) -> Example | None:
    """A sentence whose words are known, with spaces between them; None where it is too long, or a word has no token.

    Of two stacks it is what the first one reads; the second has only what opens a target.
    """
    text, cuts, at = " ".join(words), list[Span](), 0
    for word in words:
        cuts.append((at, at + len(word)))
        at += len(word) + 1
    (one,) = demand_tokenizer(loaded).encodings([text])
    if len(one.ids) > loaded.longest:
        return None
    row = text_row(loaded, one, text, cuts)
    if sum(not word.special for word in row.words) != len(words):
        return None
    if isinstance(loaded.spec, Seq2Seq):
        return Example(loaded.model, row, named(loaded, [loaded.start]))
    assert isinstance(loaded.spec, Model)
    segments = isinstance(loaded.spec.embed, Tokens) and loaded.spec.embed.segments > 1
    return Example(loaded.model, row, None, {"segments": torch.tensor([one.segments])} if segments else {})
