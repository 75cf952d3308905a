"""What a run begins with: a model that its recipe declares, or one that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from transept.data.subwords import Subwords
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidConfig, TranseptError
from transept.families.declared import declared
from transept.hub.directory import Stored, read
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.tasks.settings.recipe import Recipe
from transept.topology import Topology, outline

Say = Callable[[str], None]


def started(recipe: Recipe, say: Say) -> Stored:
    """The model that a recipe starts from. What a person should hear of its directory is said.

    What `read` raises says that it is `start`, for a run that is resumed may be told nothing but its own directory.
    """
    assert recipe.start is not None
    try:
        stored = read(recipe.start)
    except TranseptError as error:
        raise type(error)(**error.fields(key="start", where=error.where or recipe.where("start"))) from error
    for sentence in stored.told():
        say(sentence)
    return stored


def tokenizer_of(stored: Stored, recipe: Recipe) -> Tokenizer:
    """The tokenizer of a model to go on from. Raises InvalidConfig where it has none."""
    if stored.tokenizer is None:
        raise InvalidConfig(stored.unread or "the model has no tokenizer to go on with", where=recipe.start)
    return stored.tokenizer


def taken_weights(stored: Stored) -> dict[str, Tensor]:
    """The weights of a model to go on from."""
    return {name: tensor.float() for name, tensor in stored.model.state_dict().items()}


def called(start: str) -> str:
    """What others may read of where a run begins: a name at the hub, or that of a directory without its place."""
    place = Path(start).expanduser()
    if not place.is_dir():
        return start
    whole = place.resolve()
    return whole.parent.name if whole.name == "model" else whole.name


def declared_pair(recipe: Recipe, vocab: int) -> Seq2Seq:
    """The two stacks that a recipe declares; InvalidConfig names the key where the model is another."""
    spec = declared(recipe.model, vocab, least=vocab, where=recipe.where)
    if not isinstance(spec, Seq2Seq):
        reason = f"model.family: {recipe.model['family']} has no encoder and decoder, as {recipe.task} needs"
        raise InvalidConfig(reason, where=recipe.where("model.family"))
    demand_treeless(spec, recipe)
    outline(spec)  # what cannot be built is refused now, and without its memory
    return spec


def demand_treeless(spec: Topology, recipe: Recipe) -> None:
    """Refuse a model whose positions read trees where a task has none. Raises InvalidConfig."""
    if spec.reads_tree:
        raise InvalidConfig(
            f"{recipe.model.get('positions')!r} reads dependency trees, and {recipe.task} has none",
            key="model.positions",
            remedy="The task tagging reads them from CoNLL-U (transept train pos-tagging); for another write a loop of "
            "your own, which gives the model tree=tree.",
        )


def started_pair(recipe: Recipe, say: Say) -> tuple[Seq2Seq, Subwords, dict[str, Tensor]]:
    """The description, the vocabulary and the weights of a model to go on from."""
    stored, start, task = started(recipe, say), recipe.start, recipe.task
    model, tokenizer = stored.model, tokenizer_of(stored, recipe)
    if not isinstance(tokenizer, Subwords):
        raise InvalidConfig(f"its vocabulary was not learned here, and {task} cannot go on with it", where=start)
    if not isinstance(model, Seq2SeqLayer):
        raise InvalidConfig(f"the model has no encoder and decoder, as {task} needs", where=start)
    say(f"the model and its vocabulary come from {start}: model and data.vocabulary have no say")
    return model.spec, tokenizer, taken_weights(stored)
