"""What a run begins with: a model that its recipe declares, or one that is there."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from transept.data.subwords import Subwords
from transept.errors import InvalidConfig
from transept.families.declared import declared
from transept.hub.directory import read
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.tasks.settings.recipe import Recipe
from transept.topology import outline


def declared_pair(recipe: Recipe, vocab: int) -> Seq2Seq:
    """The two stacks that a recipe declares; InvalidConfig names the key where the model is another."""
    spec = declared(recipe.model, vocab, least=vocab, where=recipe.where)
    if not isinstance(spec, Seq2Seq):
        reason = f"model.family: {recipe.model['family']} has no encoder and decoder, as {recipe.task} needs"
        raise InvalidConfig(reason, where=recipe.where("model.family"))
    if spec.reads_tree:
        raise InvalidConfig(
            f"model.positions: {recipe.model.get('positions')!r} reads dependency trees, and {recipe.task} has none",
            where=recipe.where("model.positions"),
            remedy="Train such a model in a loop of its own: model(source, target, source_valid, valid, tree=tree).",
        )
    outline(spec)  # what cannot be built is refused now, and without its memory
    return spec


def started_pair(start: Path, task: str) -> tuple[Seq2Seq, Subwords, dict[str, Tensor]]:
    """The description, the vocabulary and the weights of a model to go on from."""
    stored = read(start)
    model, tokenizer = stored.model, stored.tokenizer
    if tokenizer is None:
        raise InvalidConfig("the model has no tokenizer.json to go on with", where=start)
    if not isinstance(tokenizer, Subwords):
        raise InvalidConfig(f"its vocabulary was not learned here, and {task} cannot go on with it", where=start)
    if not isinstance(model, Seq2SeqLayer):
        raise InvalidConfig(f"the model has no encoder and decoder, as {task} needs", where=start)
    return model.spec, tokenizer, {name: tensor.float() for name, tensor in model.state_dict().items()}
