"""What training needs of a task, and nothing else: the loop knows tasks only by this protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from transept.parts.loss import Loss


class Batch(Protocol):
    """Some examples, ready for a model."""

    @property
    def rows(self) -> Sequence[int]:
        """The examples' numbers in their split, for messages that must name them."""

    @property
    def tokens(self) -> int:
        """Supervised tokens: what progress and speed are counted in."""

    def to(self, device: torch.device) -> Self:
        """The same batch on a device."""


AnyBatch = TypeVar("AnyBatch", bound=Batch)
SomeBatch = TypeVar("SomeBatch", bound=Batch, covariant=True)


class Batches(Protocol[SomeBatch]):
    """The batches of one epoch, in order, each made when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> SomeBatch: ...

    def largest(self) -> int:
        """The index of the batch that needs the most memory."""


@runtime_checkable
class Remembers(Protocol):
    """A task that keeps numbers from one update to the next, beside the weights: REINFORCE's moving baseline.

    They move at the end of an update, by sums over all of its batches in all processes, and are saved with every
    checkpoint: so a run repeats itself, however its updates are parted and whenever it is interrupted.
    """

    @property
    def notes(self) -> int:
        """How many sums each loss has in `noted`."""

    def heed(self, noted: Sequence[float]) -> None:
        """Move by the sums of an update."""

    def remembered(self) -> dict[str, Any]:
        """What is kept, as plain data."""

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Take up what was kept."""


@runtime_checkable
class Follows(Protocol):
    """A task whose batches may follow each other: what one of them hands to the next, as the states of a text's last
    tokens, is saved with every checkpoint. One process trains all of them, for they wait for each other.
    """

    @property
    def follows(self) -> bool:
        """Whether they do."""

    def carried(self) -> Mapping[str, torch.Tensor]:
        """What the last batch handed on, and nothing before the first one."""

    def take_up(self, model: nn.Module, carried: Mapping[str, torch.Tensor]) -> None:
        """Go on from what a batch had handed on."""


class Task(Protocol[AnyBatch]):
    """What a batch is, what the loss is, what is measured, what is left for others.

    A task whose batches are counted in something else than tokens names it in `counts`, and one whose loss is a mean
    over something else in `each`: it has no perplexity. One that takes up a model and gives it parts of its own names
    their parameters in `fresh`: they learn where the rest has adapters.

    Randomness: the order and the content of a batch are a pure function of (split, epoch, index); what `loss` draws it
    draws from torch's own generators, which the loop seeds anew for every batch. So a resumed run repeats itself.
    """

    @property
    def name(self) -> str:
        """What the task is called in messages."""

    @property
    def verb(self) -> str:
        """The verb of the models that it makes; "" where they have none."""

    @property
    def score(self) -> str:
        """The key of `evaluate` that decides which checkpoint is best."""

    @property
    def higher(self) -> bool:
        """Whether more of that score is better."""

    @property
    def fingerprint(self) -> str:
        """A hash of everything that the training batches come from: content, tokenizer, limits, order."""

    def facts(self) -> Mapping[str, str]:
        """Lines for the head of a run: "title" with the model and its size, "data" with what was dropped, others."""

    def trial(self) -> Sequence[tuple[str, str]]:
        """What `transept check` shows beside the facts, each named: what the vocabulary makes of the data, say."""

    def build(self) -> nn.Module:
        """A fresh model, drawn from torch's generator."""

    def batches(self, split: str, epoch: int) -> Batches[AnyBatch]:
        """The batches of a split; `epoch` counts from 0 and matters to "train" only."""

    def loss(self, model: nn.Module, batch: AnyBatch) -> Loss:
        """The sum of the loss over a batch's supervised tokens, and their number."""

    def evaluate(self, model: nn.Module, split: str = "valid") -> Mapping[str, float]:
        """Measures on a whole split: "loss" (unsmoothed, a mean) and `score` among them."""

    def samples(self, model: nn.Module) -> Sequence[Mapping[str, str]]:
        """A few fixed examples of the validation split as the model answers them now."""

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        """Write a model directory; `record` tells how the model came about and is plain data. None: nothing is
        measured, and its card tells nothing of that."""


def samples_of(task: Task[AnyBatch], model: nn.Module, count: int) -> Sequence[Mapping[str, str]]:
    """The samples of a task; none, and the task is not asked, where `train.samples` is 0."""
    return task.samples(model) if count else []


def each_of(task: object) -> str:
    """What a task's loss is a mean over: "token", where it does not say."""
    return str(getattr(task, "each", "token"))


def article(word: str) -> str:
    """ "a" or "an"."""
    return "an" if word[0] in "aeiou" else "a"
