"""How likely a model finds a text, or the piece of one that follows what is given.

Of a model that looks back it is the sum of the log-probabilities of the tokens; of one with an encoder that of the
target, its end counted; of one that fills masks the pseudo-log-likelihood, each token under a mask of its own while all
others are seen (Salazar et al. 2020, equation 2).

Shapes: B rows, P shared tokens, S tokens of a row, N tokens that are scored, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transept.data.tokenizer import Encoding
from transept.decode.batch import NARROW, pad
from transept.errors import InvalidData, Nth, UsageError
from transept.hub.kinds import reads
from transept.models import Model, ModelLayer, Seq2SeqLayer
from transept.use.kinds import described
from transept.use.reading import ROOM, Pass, demand_tokenizer, through

if TYPE_CHECKING:
    from transept.use.opened import Opened

SHARED = 16  # tokens that the rows of a batch begin with alike, from which on they are read once for all


@dataclass(frozen=True)
class Likelihood:
    """The tokens of a text that were scored, and the log-probability of each, in nats. `length` is its characters."""

    tokens: list[str]
    logprobs: list[float]
    length: int

    @property
    def total(self) -> float:
        """The log-probability of the text."""
        return sum(self.logprobs)

    @property
    def by_token(self) -> float:
        """The mean over its tokens."""
        return self.total / len(self.logprobs)

    @property
    def by_character(self) -> float:
        """The same for each of its characters."""
        return self.total / max(self.length, 1)


@dataclass(frozen=True)
class _Row:
    """Ids with what stands around them, of which those at `places` are scored; `first` is the least of them."""

    ids: list[int]
    places: list[int]
    encoding: Encoding | None = None

    @property
    def first(self) -> int:
        return self.places[0]


def likelihoods(
    loaded: "Opened", given: Sequence[str], texts: Sequence[str], numbers: Sequence[int] | None = None
) -> list[Likelihood]:
    """How likely each text is behind what is given, "" where nothing is. `numbers` name them in messages, from 0.

    A text is cut into tokens together with what stands before it; a token that holds characters of both is the text's.
    The very first token of a model that has none to begin a text with cannot be scored, and is left out. Raises
    InvalidData where no token is left, and where both are longer than the model takes: nothing is cut.
    """
    demand_scoring(loaded)
    numbers = range(len(texts)) if numbers is None else numbers
    if isinstance(loaded.model, Seq2SeqLayer):
        return _written(loaded, given, texts, numbers)
    tokenizer = demand_tokenizer(loaded)
    whole = tokenizer.encodings([before + text for before, text in zip(given, texts, strict=True)])
    # Whether the tokenizer ends a text, which may go on here.
    ended = looks_back(loaded) and tokenizer.encode("")[-1:] == [loaded.demand_search().special.eos]
    rows = [_row(loaded, *one, ended) for one in zip(whole, given, texts, numbers, strict=True)]
    assert isinstance(loaded.model, ModelLayer)
    made = _continued(loaded.model, rows) if looks_back(loaded) else _filled(loaded, rows)
    return [_told(loaded, row, found, text) for row, found, text in zip(rows, made, texts, strict=True)]


def demand_scoring(loaded: "Opened") -> None:
    """Refuse a model that tells no probabilities of tokens of a text."""
    fits = {"generate", "fill", "translate"} & set(loaded.verbs)
    if not fits or reads(loaded.spec) != "text":
        raise UsageError(
            f"this model does not say how likely a text is: it is {described(loaded.spec)}",
            where=loaded.path,
            remedy="Take one that scores the tokens of a vocabulary.",
        )


def begins(loaded: "Opened") -> bool:
    """Whether the very first token of a text has a probability: not where nothing stands before it."""
    return not looks_back(loaded) or loaded.demand_search().special.bos is not None


def looks_back(loaded: "Opened") -> bool:
    """Whether a model of one stack tells each token by those before it."""
    return isinstance(loaded.spec, Model) and loaded.spec.stack.causal


def _told(loaded: "Opened", row: _Row, logprobs: Tensor, text: str) -> Likelihood:
    tokens = demand_tokenizer(loaded).tokens([row.ids[at] for at in row.places])
    return Likelihood(tokens, logprobs.tolist(), len(text))


def _row(loaded: "Opened", found: Encoding, given: str, text: str, number: int, ended: bool) -> _Row:
    """What a model of one stack reads of a text behind what is given, `found` of both."""
    causal, ids = looks_back(loaded), found.ids
    both = enumerate(zip(found.texts, found.spans, strict=True))
    places = [at for at, (of, (_, end)) in both if of == 0 and end > len(given)]
    if causal:
        special = loaded.demand_search().special
        ids = ids[:-1] if ended else ids
        if places[:1] == [0] and special.bos is not None:
            ids, places = [special.bos, *ids], [at + 1 for at in places]
        places = [at for at in places if at > 0]
    if not places:
        _refuse_nothing(given, text, number)
    read = len(ids) - causal  # the last token of a text is told, not read
    _demand_room(loaded, read, given or text, number)
    return _Row(ids, places, found)


@contextmanager
def placed(places: Sequence[str]) -> Iterator[None]:
    """Tell a fault of one of several texts with its file and line, where these are known."""
    try:
        yield
    except InvalidData as error:
        number = error.nth.number if error.nth is not None else None
        if error.where is not None or number is None or number > len(places):
            raise
        raise InvalidData(**error.fields(where=places[number - 1], nth=Nth("text", None))) from None


def _refuse_nothing(given: str, text: str, number: int) -> None:
    where = f" behind {given[-40:]!r}" if given else ""
    raise InvalidData(
        f"has no token{where} that could be scored: {text[:40]!r}",
        nth=Nth("text", number + 1),
        remedy="Take a text that the model's tokenizer knows more of than nothing.",
    )


def _demand_room(loaded: "Opened", count: int, begins: str, number: int) -> None:
    if count > loaded.longest:
        raise InvalidData(
            f"has {count:,} tokens with what stands before it, and the model takes {loaded.longest:,}"
            f" (it begins {begins[:40]!r})",
            nth=Nth("text", number + 1),
            remedy="Shorten it, or give fewer or shorter examples before it: nothing is cut in silence.",
        )


def _scores(model: ModelLayer | Seq2SeqLayer, states: Tensor, one: Pass, wanted: Tensor) -> Tensor:
    """Log-probabilities of `wanted` (N,) tokens by states (N, D)."""
    logits: Tensor = model.head(states[None], one.entered)[0]
    return logits.float().log_softmax(-1).gather(1, wanted[:, None].to(logits.device))[:, 0]


# ------------------------------------------------------------------ a decoder alone


@torch.inference_mode()
def _continued(model: ModelLayer, rows: Sequence[_Row]) -> list[Tensor]:
    """The log-probabilities of each row's places. What the rows of a batch begin with alike is read once."""
    found: dict[int, Tensor] = {}
    training = model.training
    model.train(False)
    try:
        for batch in _batches(rows):
            shared = _shared([rows[i] for i in batch])
            rest = [rows[i].ids[shared:-1] for i in batch]
            ids, valid = pad(rest, model.device, NARROW if not shared else 1)
            cache = None
            if shared:
                start = torch.tensor([rows[batch[0]].ids[:shared]], device=model.device)
                cache = model.cache(1, shared + ids.size(1))
                model.hidden(start, None, cache)
                cache.reorder(torch.zeros(len(batch), dtype=torch.long, device=model.device))
            states, entered = model.hidden(ids, valid, cache)
            one = Pass(batch, [ids.size(1) - len(row) for row in rest], states, entered)
            counts = [len(rows[i].places) for i in batch]
            row = torch.arange(len(batch)).repeat_interleave(torch.tensor(counts))
            column = [
                before + at - 1 - shared for i, before in zip(batch, one.before, strict=True) for at in rows[i].places
            ]
            wanted = torch.tensor([rows[i].ids[at] for i in batch for at in rows[i].places])
            scores = _scores(model, states[row, torch.tensor(column)], one, wanted).cpu()
            found |= dict(zip(batch, scores.split(counts), strict=True))
    finally:
        model.train(training)
    return [found[i] for i in range(len(rows))]


def _batches(rows: Sequence[_Row]) -> list[list[int]]:
    """Rows that begin alike together: in the order of their tokens, as many as `ROOM` holds."""
    batches: list[list[int]] = []
    widest = 0
    for i in sorted(range(len(rows)), key=lambda i: rows[i].ids):
        wide = max(widest, len(rows[i].ids))
        if not batches or wide * (len(batches[-1]) + 1) > ROOM:
            batches.append([])
            wide = len(rows[i].ids)
        batches[-1].append(i)
        widest = wide
    return batches


def _shared(rows: Sequence[_Row]) -> int:
    """How many tokens rows in their order begin with alike, all before what is scored; 0 where they are few."""
    most = min(row.first - 1 for row in rows)
    ends = zip(rows[0].ids, rows[-1].ids, strict=False)  # in order, those between begin so too
    most = min(most, next((at for at, (one, other) in enumerate(ends) if one != other), most))
    return most if most >= SHARED and len(rows) > 1 else 0


# ------------------------------------------------------------------ an encoder that fills masks


def _filled(loaded: "Opened", rows: Sequence[_Row]) -> list[Tensor]:
    """The log-probability of each place by a row in which it is masked."""
    mask = demand_tokenizer(loaded).demand("mask")
    asked, places, wanted = list[Encoding](), list[int](), list[int]()
    for row in rows:
        assert row.encoding is not None
        for at in row.places:
            asked.append(replace(row.encoding, ids=[*row.ids[:at], mask, *row.ids[at + 1 :]]))
            places.append(at)
            wanted.append(row.ids[at])
    model = loaded.model
    assert isinstance(model, ModelLayer)

    def score(one: Pass) -> list[Tensor]:
        column = torch.tensor([before + places[i] for i, before in zip(one.rows, one.before, strict=True)])
        states = one.states[torch.arange(len(one.rows)), column]
        return list(_scores(model, states, one, torch.tensor([wanted[i] for i in one.rows])))

    made = torch.stack(through(model, asked, score)) if asked else torch.empty(0)
    return list(made.split([len(row.places) for row in rows]))


# ------------------------------------------------------------------ an encoder and a decoder


@torch.inference_mode()
def _written(loaded: "Opened", given: Sequence[str], texts: Sequence[str], numbers: Sequence[int]) -> list[Likelihood]:
    """Texts as targets of what is given, each source encoded once. White space between both falls."""
    model, tokenizer, special = loaded.model, demand_tokenizer(loaded), loaded.demand_search().special
    assert isinstance(model, Seq2SeqLayer) and special.bos is not None
    sources = list(dict.fromkeys(text.rstrip() for text in given))
    places = {source: at for at, source in enumerate(sources)}
    read = tokenizer.encode_batch(sources)
    rows = list[_Row]()
    for i, (one, own) in enumerate(zip(given, tokenizer.encodings([text.lstrip() for text in texts]), strict=True)):
        scored = [
            at for at, of in enumerate(own.texts) if of == 0 or (at == len(own.ids) - 1 and own.ids[at] in special.ends)
        ]
        if 0 not in [own.texts[at] for at in scored]:
            _refuse_nothing("", texts[i], numbers[i])
        _demand_room(loaded, max(len(own.ids), len(read[places[one.rstrip()]])), one or texts[i], numbers[i])
        rows.append(_Row(own.ids, scored))
    found: dict[int, Tensor] = {}
    training = model.training
    model.train(False)
    try:
        for batch in _of_sources([places[one.rstrip()] for one in given], rows, read):
            which = [places[given[i].rstrip()] for i in batch]
            together = sorted(set(which))
            memory = model.encode(*pad([read[at] for at in together], model.device, NARROW))
            places_in = torch.tensor([together.index(at) for at in which], device=model.device)
            target, valid = pad([[special.bos, *rows[i].ids[:-1]] for i in batch], model.device)
            logits = model.decode(target, memory.rows(places_in), valid=valid).float().log_softmax(-1)
            for row, i in enumerate(batch):
                before = target.size(1) - len(rows[i].ids)
                columns = torch.tensor([before + at for at in rows[i].places])
                found[i] = logits[row, columns, torch.tensor([rows[i].ids[at] for at in rows[i].places])].cpu()
    finally:
        model.train(training)
    return [_told(loaded, rows[i], found[i], texts[i]) for i in range(len(rows))]


def _of_sources(places: Sequence[int], rows: Sequence[_Row], read: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows in batches, those of a source beside each other, sources of like length too."""
    batches: list[list[int]] = []
    room = 0
    for i in sorted(range(len(rows)), key=lambda i: (len(read[places[i]]), places[i]), reverse=True):
        if room == 0:
            batches.append([])
            room = max(1, ROOM // max(len(read[places[i]]), 1))
        batches[-1].append(i)
        room -= 1
    return batches
