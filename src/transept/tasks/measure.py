"""What a translation model is worth on given pairs: its loss, its translations, and their scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from transept.data.batches import PairBatch, collate, plan
from transept.data.cache import TokenPairs
from transept.data.subwords import Subwords
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.decode.search import search
from transept.errors import InvalidData
from transept.heads.vocabulary import VocabularyLayer
from transept.models import Seq2SeqLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.score import Case, References, Score, bleu, chrf, exact_match


@dataclass(frozen=True)
class Measured:
    """The loss, without smoothing; what the model wrote; the scores of it by their short names.

    `more` are other figures by their names, which say their units; without one they are in percent. `each` is what the
    loss is counted in, of which there are `tokens`, and `unit` is its own: "nats", "squared error".
    """

    loss: float
    tokens: int
    outputs: list[str]
    scores: Mapping[str, Score]
    more: Mapping[str, float] = field(default_factory=dict)
    each: str = "token"
    unit: str = "nats"

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.loss, 700.0))

    def values(self) -> dict[str, float]:
        """Everything in numbers, by the names that recipes and metrics.jsonl use."""
        named = {name: score.value for name, score in self.scores.items()}
        return {"loss": self.loss, **self.perplexed(), **named, **self.more}

    def perplexed(self) -> dict[str, float]:
        """The perplexity by its name, where tokens have one."""
        return {"ppl": self.perplexity} if self.each == "token" else {}


def pair_loss(model: Seq2SeqLayer, batch: PairBatch, smoothing: Smoothing) -> Loss:
    """The loss of the target given the source and the target before it.

    The target's validity is not told: it is padded on the right, where a causal decoder's real tokens never look, and
    its labels leave the padding out. So the decoder needs no mask and takes the kernel for causal attention.
    """
    states, entered = model.hidden(batch.source, batch.target, batch.source_valid)
    assert isinstance(model.head, VocabularyLayer), "what translates scores a vocabulary"
    return model.head.loss(states, entered, batch.labels, smoothing)


@contextmanager
def judging(model: torch.nn.Module) -> Iterator[None]:
    """Without dropout and without gradients; the model is left as it was."""
    training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def demand_fitting(tokens: TokenPairs, longest: int) -> TokenPairs:
    """The pairs, if none has a side of more tokens than the model takes: what is measured is never cut or left out."""
    lengths = tokens.lengths.max(axis=1)
    row = int(lengths.argmax())
    if lengths[row] > longest:
        raise InvalidData(
            f"{lengths[row]:,} tokens on a side, and the model takes {longest:,}",
            where=tokens.where(row),
            remedy="Split the sentence, or take the pair out of the file: nothing is cut in silence.",
        )
    return tokens


def mean_loss(
    model: Seq2SeqLayer, tokens: TokenPairs, batch_tokens: int, bos: int = Subwords.bos, pad: int = Subwords.pad
) -> tuple[float, int]:
    """Unsmoothed nats a token over all pairs, and the number of tokens. `bos` opens a target, `pad` fills rows up."""
    longest = int(tokens.lengths.max())
    total, count = 0.0, 0
    with judging(model):
        # No pair is left out of a measure: a longer one has a batch of its own.
        for rows in plan(tokens.lengths, max(batch_tokens, longest), seed=0, epoch=0, shuffle=False):
            batch = collate(tokens, rows, bos=bos, pad=pad).to(model.device)
            loss = pair_loss(model, batch, Smoothing())
            total, count = total + float(loss.nll), count + loss.count
    return total / count, count


# A search never chooses padding, a second beginning, or the token that stands for what is not known.
SPECIAL = Special(Subwords.bos, Subwords.eos, (Subwords.pad, Subwords.bos, Subwords.unk))


def translate(model: Seq2SeqLayer, tokenizer: Subwords, texts: Sequence[str], settings: Search) -> list[str]:
    """The best translation of each text."""
    found = search(model, tokenizer.encode_batch(texts), settings, SPECIAL)
    return tokenizer.decode_batch([hypotheses[0].tokens for hypotheses in found])


def measure(
    model: Seq2SeqLayer,
    tokenizer: Subwords,
    tokens: TokenPairs,
    settings: Search,
    *,
    batch_tokens: int,
    tokenize: str = "13a",
    case: Case = "mixed",
    resamples: int = 0,
) -> Measured:
    """Everything about a model on these pairs. References are the text as it stands in the files."""
    loss, count = mean_loss(model, tokens, batch_tokens)
    texts, references = ([side[row] for row in tokens.rows] for side in (tokens.text.source, tokens.text.target))
    outputs = translate(model, tokenizer, texts, settings)
    return Measured(loss, count, outputs, scored(outputs, references, tokenize, case, resamples))


def scored(
    outputs: Sequence[str], references: Sequence[References], tokenize: str, case: Case, resamples: int
) -> dict[str, Score]:
    """What texts are worth beside their references, by the short names of the scores."""
    return {
        "bleu": bleu(outputs, references, tokenize=tokenize, case=case, resamples=resamples),
        "chrf": chrf(outputs, references, case=case, resamples=resamples),
        "exact_match": exact_match(outputs, references, case=case),
    }
