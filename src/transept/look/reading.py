"""What a model reads and writes, made ready to be looked at: tokens with their words, patches, frames of sound."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from transept.data.tokenizer import Encoding, Tokenizer
from transept.decode.search import describe, extend, search
from transept.errors import InvalidData, UsageError
from transept.heads.vocabulary import Vocabulary
from transept.inputs.patches import Patches
from transept.inputs.seen import Seen
from transept.inputs.tokens import Tokens
from transept.inputs.waveform import Waveform
from transept.inspect.example import Choice, Example
from transept.inspect.words import Span, words_of
from transept.look.hearing import Heard, heard
from transept.look.roles import Role
from transept.look.scene import Side
from transept.models import Model, ModelLayer, Seq2SeqLayer
from transept.use.classify import Label
from transept.use.loaded import Loaded
from transept.use.reading import demand_tokenizer, encodings, prompt_ids
from transept.use.see import prepared
from transept.use.text import UNKNOWN, continued

TOP = 5  # classes of a picture that are told
MOST = 48  # tokens that a model goes on with where nobody says

Weighed = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Read:
    """One input, as an example to be passed and asked about.

    The sides are what was read; where there are two stacks, what was written; and what the second stack was given for
    each token that it wrote, which is what stood before it. `writes` says that the scores are of what could have been
    written at each row; `target` are the tokens that were. `asked` are the outputs that can be explained: each token
    that was written, or each class that is told. `begun` are the tokens that it was made to begin with, `most` how many
    more it was to write.
    """

    title: str
    sides: tuple[Side, ...]
    example: Example = field(repr=False)
    writes: bool = False
    asked: tuple[Choice, ...] = ()
    spoken: Callable[[int], str] = str
    written: str = ""
    answers: Weighed = ()
    target: tuple[int, ...] = ()
    picture: str | None = None
    sound: Heard | None = None
    begun: tuple[int, ...] = ()
    most: int | None = None

    def beside(self, role: Role) -> tuple[str, str]:
        """The sides of an attention: of its rows, and of its columns."""
        names = [side.name for side in self.sides]
        written = names[min(1, len(names) - 1)]
        return {"encoder": (names[0], names[0]), "decoder": (written, names[-1]), "cross": (written, names[0])}[role]

    def scores(self) -> Tensor:
        """What the model makes of it, passed now. UsageError where that is not a number, which no page can show."""
        logits: Tensor = self.example.output().logits
        if logits.isnan().any():
            raise UsageError("what the model makes of this is nan, not a number", remedy="Take an earlier checkpoint.")
        return logits


def read(loaded: Loaded, given: str, target: Sequence[int] | str | None = None, most: int | None = None) -> Read:
    """An input of a model: a text, or the file of a picture or a sound. `target` are tokens that its text begins with,
    or the text that its second stack is to have written: nothing is added to that.

    UsageError where the model takes none of these, or has no such tokens; InvalidData where the text is too long or the
    file is no such thing.
    """
    if isinstance(target, str):
        target, most = tokens_of(loaded, target), 0
    if target:
        known(loaded, target)
    if most is not None:  # no more than the model takes
        most = max(0, min(most, loaded.longest - len(target or ())))
    found = _read(loaded, given, target, most)
    return replace(found, begun=tuple(target or ()), most=most)


def known(loaded: Loaded, target: Sequence[int]) -> None:
    """UsageError where these are no tokens that a model writes."""
    embed = getattr(loaded.spec, "embed", None)
    if not isinstance(embed, Tokens) or loaded.generation is None:
        raise UsageError("this model writes no text, and there is none to begin it with")
    if len(target) >= loaded.longest:
        raise InvalidData(f"{len(target)} tokens, and the model takes {loaded.longest}", remedy="Begin with fewer.")
    most = min(demand_tokenizer(loaded).vocab, embed.vocab)
    for token in target:
        if not 0 <= token < most:
            raise UsageError(f"there is no token {token}: the vocabulary has {most:,}", remedy=f"0 to {most - 1} are.")


def tokens_of(loaded: Loaded, text: str) -> list[int]:
    """The tokens of a text as a second stack writes it: with the end behind them, where the model has one."""
    if not isinstance(loaded.model, Seq2SeqLayer):
        raise UsageError("this model has one stack, and no text to be given it", remedy="Write it behind what is read.")
    (one,) = demand_tokenizer(loaded).encodings([text])
    found = [token for token, of in zip(one.ids, one.texts, strict=True) if of is not None]
    end = loaded.demand_search().special.eos
    found += [] if end is None else [end]
    if len(found) >= loaded.longest:
        raise InvalidData(f"{len(found)} tokens, and the model takes {loaded.longest}", remedy="Shorten the text.")
    return found


def _read(loaded: Loaded, given: str, target: Sequence[int] | None, most: int | None) -> Read:
    spec, model = loaded.spec, loaded.model
    if isinstance(model, Seq2SeqLayer):
        if isinstance(model.spec.source, Seen):
            return _described(loaded, Path(given), target or (), most)
        return _translated(loaded, given, target or (), most)
    if isinstance(spec, Model) and isinstance(spec.embed, Seen):
        return _classified(loaded, Path(given))
    if isinstance(spec, Model) and isinstance(spec.embed, Waveform) and {"hear", "transcribe"} & set(loaded.verbs):
        return _listened(loaded, Path(given))
    if isinstance(spec, Model) and isinstance(spec.embed, Tokens):
        if spec.stack.causal and isinstance(spec.head, Vocabulary) and loaded.generation is not None:
            return _continued(loaded, given, target or (), most)
        return _encoded(loaded, given)
    raise UsageError(
        f"there is no view of what this model reads, {type(getattr(spec, 'embed', spec)).__name__}",
        where=loaded.path,
        remedy="Record it in Python: transept.record(model).",
    )


# ------------------------------------------------------------------ texts


def _encoded(loaded: Loaded, text: str) -> Read:
    (one,) = encodings(loaded, [text], 0)
    tokenizer, model = demand_tokenizer(loaded), loaded.model
    ids = torch.tensor([one.ids], device=model.device)
    spec = loaded.spec
    assert isinstance(spec, Model)
    assert isinstance(spec.embed, Tokens)
    more = {"segments": torch.tensor([one.segments], device=model.device)} if spec.embed.segments > 1 else {}
    side = side_of("text", tokenizer, one, text)
    example = Example(model, side.row(ids), None, more)
    if "classify" not in loaded.verbs:
        return Read(text, (side,), example)
    asked, answers = _told(loaded, loaded.classify(text))
    return Read(text, (side,), example, asked=asked, answers=answers)


def _continued(loaded: Loaded, text: str, target: Sequence[int], most: int | None) -> Read:
    tokenizer, model = demand_tokenizer(loaded), loaded.model
    assert isinstance(model, ModelLayer)
    prompt = prompt_ids(loaded, text)
    ids = [*prompt, *target]
    if len(ids) > loaded.longest:
        raise InvalidData(f"{len(ids)} tokens, and the model takes {loaded.longest}", remedy="Shorten the text.")
    more = min(MOST if most is None else most, loaded.longest - len(ids))  # all of it is read once more, to be shown
    if more > 0:
        settings = loaded.settings(method="greedy", max_ratio=0.0, max_extra=more, max_whole=None)
        ((best, *_),) = extend(model, [ids], settings, loaded.demand_search().special)
        ids += best.tokens
    row = torch.tensor([ids], device=model.device)
    side = Side("text", *written(tokenizer, ids))
    return Read(
        text,
        (side,),
        Example(model, side.row(row)),
        writes=True,
        asked=tuple(Choice(ids[at], at - 1) for at in range(max(len(prompt), 1), len(ids))),
        spoken=_spoken(tokenizer),
        written=tokenizer.decode(ids),
        target=tuple(ids[len(prompt) :]),
    )


def _translated(loaded: Loaded, text: str, target: Sequence[int], most: int | None) -> Read:
    tokenizer, model, generation = demand_tokenizer(loaded), loaded.model, loaded.demand_search()
    assert isinstance(model, Seq2SeqLayer)
    source = tokenizer.encode(text)
    if len(source) > loaded.longest:
        raise InvalidData(f"{len(source)} tokens, and the model takes {loaded.longest}", remedy="Split the text.")
    ids = list(target)
    if most != 0:
        settings = loaded.settings(**({} if most is None else {"max_ratio": 0.0, "max_extra": most}))
        ((best, *_),) = search(model, [source], settings, generation.special, [ids])
        ids += best.tokens
    (one,) = tokenizer.encodings([text])
    return _answered(loaded, text, side_of("source", tokenizer, one, text), torch.tensor([source]), ids)


def _answered(loaded: Loaded, title: str, source: Side, inputs: Tensor, ids: list[int]) -> Read:
    """What two stacks read and wrote."""
    tokenizer, model = demand_tokenizer(loaded), loaded.model
    assert isinstance(model, Seq2SeqLayer)
    start = loaded.demand_search().special.start([])
    pieces, words = written(tokenizer, ids)
    opened = tuple(tokenizer.tokens(start))
    target = Side("target", (*opened[1:], *pieces), (*[None] * (len(start) - 1), *words))
    given = Side("given", (*opened, *pieces[:-1]), (*[None] * len(start), *words[:-1]))
    rows, inputs = torch.tensor([[*start, *ids[:-1]]], device=model.device), inputs.to(model.device)
    return Read(
        title,
        (source, target, given),
        Example(model, source.row(inputs), given.row(rows)),
        writes=True,
        asked=tuple(Choice(token, len(start) - 1 + at) for at, token in enumerate(ids)),
        spoken=_spoken(tokenizer),
        written=tokenizer.decode(ids),
        target=tuple(ids),
    )


def side_of(name: str, tokenizer: Tokenizer, one: Encoding, text: str) -> Side:
    """The tokens of a text that was read: as they stand in it, with the number of the word that each is of."""
    names = tokenizer.tokens(one.ids)
    spans = [span if of == 0 and span[1] > span[0] else (0, 0) for of, span in zip(one.texts, one.spans, strict=True)]
    shown = [text[start:end] if end > start else token for (start, end), token in zip(spans, names, strict=True)]
    return Side(name, tuple(shown), numbered(text, spans, names))


def written(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[tuple[str, ...], tuple[int | None, ...]]:
    """The pieces of text that tokens add, one after another, and the number of the word that each is of."""
    pieces: list[str] = []
    spans: list[Span] = []
    text, known = tokenizer.decode(ids), 0
    for at, token in enumerate(ids):
        if token in tokenizer.around:
            pieces.append(tokenizer.tokens([token])[0])
            spans.append((0, 0))
            continue
        piece = continued(tokenizer.decode, list(ids[:at]), [token])
        pieces.append(piece.strip() or piece)
        end = len(tokenizer.decode(ids[: at + 1]).rstrip(UNKNOWN))  # a character of several tokens comes with its last
        spans.append((known, min(max(end, known + 1), len(text))))
        known = max(known, end)
    return tuple(pieces), numbered(text, spans, pieces)


def numbered(text: str, spans: Sequence[Span], names: Sequence[str]) -> tuple[int | None, ...]:
    """The number of the word that each token is of, by the rule of `inspect.words`; None where it is of none."""
    words: list[int | None] = [None] * len(spans)
    for number, word in enumerate(word for word in words_of(text, spans, names) if not word.special):
        for at in word.tokens:
            words[at] = number
    return tuple(words)


def _spoken(tokenizer: Tokenizer) -> Callable[[int], str]:
    return lambda token: tokenizer.tokens([token])[0] if token in tokenizer.around else tokenizer.decode([token]) or " "


# ------------------------------------------------------------------ pictures and sound


def side_of_picture(entry: Seen) -> Side:
    """The places of a picture, row by row, after the tokens that stand before them."""
    rows, columns = entry.grid()
    before = entry.before() if isinstance(entry, Patches) else 0
    marks = ("class", "distilled")[:before]
    places = [f"{row + 1}, {column + 1}" for row in range(rows) for column in range(columns)]
    return Side("picture", (*marks, *places), (*[None] * before, *range(len(places))), (rows, columns))


def _classified(loaded: Loaded, path: Path) -> Read:
    loaded.demand("see")
    model = loaded.model
    assert isinstance(model, ModelLayer)
    assert isinstance(model.spec.embed, Seen)
    values, side = prepared(loaded, path, 0), side_of_picture(model.spec.embed)
    asked, answers = _told(loaded, loaded.see(values))
    example = Example(model, side.row(values[None].to(model.device)))
    return Read(str(path), (side,), example, asked=asked, answers=answers, picture=shown(loaded, values))


def _listened(loaded: Loaded, path: Path) -> Read:
    sound = heard(loaded, path)
    # Every frame is a word of its own: none is an end or a mark.
    side = Side("sound", sound.frames, tuple(range(len(sound.frames))), step=sound.step)
    example = Example(loaded.model, side.row(sound.samples[None].to(loaded.model.device)))
    answers = _told(loaded, loaded.hear(sound.samples))[1] if "hear" in loaded.verbs else ()
    return Read(str(path), (side,), example, answers=answers, sound=sound)


def _told(loaded: Loaded, label: Label) -> tuple[tuple[Choice, ...], Weighed]:
    """The classes that are told, and their probabilities. Those that may hold together are no choice between them."""
    answers = tuple(label.scores.items())[:TOP]
    apart = abs(sum(label.scores.values()) - 1) < 1e-3
    return tuple(Choice(loaded.labels.index(name), None) for name, _ in answers) if apart else (), answers


def _described(loaded: Loaded, path: Path, target: Sequence[int], most: int | None) -> Read:
    model, special = loaded.model, loaded.demand_search().special
    assert isinstance(model, Seq2SeqLayer)
    assert isinstance(model.spec.source, Seen)
    values, side = prepared(loaded, path, 0), side_of_picture(model.spec.source)
    ids = list(target)
    if most != 0:
        settings = loaded.settings(**({} if most is None else {"max_ratio": 0.0, "max_extra": most}))
        ((best, *_),) = describe(model, [values], len(side.texts), settings, special, [ids])
        ids += best.tokens
    found = _answered(loaded, str(path), side, values[None], ids)
    return replace(found, picture=shown(loaded, values))


def shown(loaded: Loaded, values: Tensor) -> str:
    """A prepared picture (C, H, W) as an address that holds it: what the model saw, cut and resized as it was."""
    from PIL import Image

    how = loaded.demand_preparation()
    mean, std = (torch.tensor(found)[:, None, None] for found in (how.mean or (0.0,), how.std or (1.0,)))
    grey = (values.float() * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    held = io.BytesIO()
    Image.fromarray(grey[..., 0] if grey.shape[2] == 1 else grey).save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")
