"""The one stack that a run begins with: declared by its recipe, or taken from a model that is there, with a head of its
own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from torch import Tensor

from transept.errors import InvalidConfig
from transept.families.declared import declared
from transept.families.registry import family
from transept.heads.attended import Attended
from transept.heads.classes import Averaged, Classes, Pooled
from transept.heads.head import Head
from transept.heads.letters import Letters
from transept.hub.described import headed
from transept.hub.directory import Stored
from transept.hub.processor import Hearing
from transept.inputs.tokens import Tokens
from transept.inputs.waveform import Waveform
from transept.models import Model, ModelLayer
from transept.spec import fits, replace
from transept.tasks.settings.classification import Tune
from transept.tasks.settings.recipe import Recipe
from transept.tasks.start import demand_treeless, started
from transept.topology import outline

Say = Callable[[str], None]


@dataclass(frozen=True)
class Begun:
    """A description, and the weights to begin with where it was trained before; what is missing of them is drawn."""

    spec: Model
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def fresh(self) -> frozenset[str]:
        """The parameters that begin anew in a model that was trained before."""
        own = outline(self.spec).named_parameters() if self.weights else ()
        return frozenset(name for name, _ in own if name not in self.weights)

    def build(self) -> ModelLayer:
        """The model with these weights."""
        model = self.spec.build()
        if self.weights:
            model.load_state_dict(dict(self.weights), strict=False)  # `taken` has made sure of what may be missing
        return model


def words_known(recipe: Recipe, words: Mapping[str, Any]) -> dict[str, Any]:
    """What of some words the recipe's family can be told, and the recipe does not tell itself."""
    name = recipe.model.get("family")
    hints = get_type_hints(family(name).declare) if isinstance(name, str) else {}
    return {
        word: value
        for word, value in words.items()
        if word in hints and word not in recipe.model and fits(value, hints[word])
    }


def declared_model(recipe: Recipe, words: Mapping[str, Any], needs: str, *, trees: bool = False) -> Model:
    """The one stack that a recipe declares, with `words` where it says nothing; `needs` is what the task is about, and
    `trees` tells that it can have the trees of its sentences."""
    model = recipe.model | words_known(recipe, words)
    spec = declared(model, int(words.get("vocab", 2)), where=recipe.where)
    if not isinstance(spec, Model):
        reason = f"model.family: {model['family']} has an encoder and a decoder, and {needs} needs one stack"
        raise InvalidConfig(reason, where=recipe.where("model.family"))
    if not trees:
        demand_treeless(spec, recipe)
    outline(spec)  # what cannot be built is refused now, and without its memory
    return spec


def opened(recipe: Recipe, say: Say) -> Stored | None:
    """The model that a recipe starts from, where it does."""
    if recipe.start is None:
        return None
    stored = started(recipe, say)
    if not isinstance(stored.model.spec, Model):
        raise InvalidConfig(f"the model has two stacks, and {recipe.task} needs one", where=recipe.start)
    return stored


def taken(stored: Stored, spec: Model, whole: bool, recipe: Recipe, say: Say) -> Begun:
    """A model's weights under a description that differs in its head, unless `whole`, and in what is hidden of sound.

    What begins anew is said in a line.
    """
    was = stored.model.spec
    assert isinstance(was, Model)
    old, own = stored.model.state_dict(), outline(spec).state_dict()
    kept = {
        name: tensor.float()
        for name, tensor in old.items()
        if name in own and tensor.shape == own[name].shape and (whole or not _of_a_head(name))
    }
    pooler = "" if whole else pooler_of(was, spec.head)
    kept |= {
        f"head.dense.{name.removeprefix(pooler)}": tensor.float()
        for name, tensor in old.items()
        if pooler and name.startswith(pooler)
    }
    missing = [name for name in own if name not in kept and not _of_a_head(name)]
    strange = [name for name in missing if name != "embed.hidden"]
    assert not strange, f"the description differs in more than its head: {strange}"
    head = "its head goes on" if whole else f"a new head, {spoken(spec.head)}, begins in place of {spoken(was.head)}"
    head += ", over the pooler that it had" if pooler else ""
    also = ", and a vector for hidden frames" if missing else ""
    say(f"the model comes from {recipe.start}, and model has no say: {head}{also}")
    return Begun(spec, kept)


def pooler_of(was: Model, head: Head) -> str:
    """What the names of a dense matrix begin with that goes on under a new head, BERT's pooler; "": there is none."""
    if not isinstance(head, Classes | Pooled) or head.dense is None:
        return ""
    for name, one in (("head", was.head), ("second", was.second)):
        if isinstance(one, Pooled | Classes) and (one.pool, one.dense) == (head.pool, head.dense):
            return f"{name}.dense."
    return ""


def _of_a_head(name: str) -> bool:
    return name.startswith(("head.", "second."))


def spoken(head: Head) -> str:
    """A head as a person would say it: "Letters of 17"."""
    count = count_of(head)
    return type(head).__name__ + (f" of {count:,}" if count else "")


def count_of(head: Head) -> int:
    """How many classes or letters a head scores; 0 where it scores none."""
    if isinstance(head, Averaged):
        return count_of(head.heads[0])
    return head.count if isinstance(head, Classes | Attended | Letters) else 0


def scoring(was: Model, count: int, kind: str | None = None) -> Head:
    """A head for `count` classes: as it was where it scored classes, else that of Hugging Face's family of the
    model_type `kind`, else one that suits what enters."""
    if isinstance(was.head, Averaged):
        return replace(was.head, heads=tuple(scoring(replace(was, head=one), count, kind) for one in was.head.heads))
    if isinstance(was.head, Classes | Attended):
        return replace(was.head, count=count)
    if isinstance(was.embed, Waveform):
        return Classes(count, "mean", narrow=256)
    if isinstance(was.embed, Tokens):
        found = headed(was, "ForSequenceClassification", count, kind)
        return found or Classes(count, "last" if was.stack.causal else "mean")
    return Classes(count)


def tuned(spec: Model, tune: Tune, recipe: Recipe) -> Model:
    """A description with what of sound is hidden while it is tuned. InvalidConfig where `tune` does not suit it."""
    sound = isinstance(spec.embed, Waveform)
    for key in ("times", "channels"):
        if getattr(tune, key) is not None and not sound:
            raise InvalidConfig(f"tune.{key} hides parts of sound, and this model hears none", where=_said(recipe, key))
    if recipe.start is None and tune.wait:
        raise InvalidConfig(
            "tune.wait keeps what was learned before, and this run begins at nothing",
            where=_said(recipe, "wait"),
            remedy="Name a model by --from MODEL, or leave it out.",
        )
    if not isinstance(spec.embed, Waveform):
        return spec
    embed = spec.embed
    for key in ("times", "channels"):
        if (share := getattr(tune, key)) is not None:
            embed = replace(embed, **{key: replace(getattr(embed, key), share=share)})
    return replace(spec, embed=embed)


def _said(recipe: Recipe, key: str) -> str | None:
    return recipe.where(f"tune.{key}")


def demand_sound(spec: Model, recipe: Recipe) -> Waveform:
    """What a model hears by; InvalidConfig where it hears nothing."""
    if not isinstance(spec.embed, Waveform):
        named = recipe.where("model.family") if recipe.start is None else recipe.start
        raise InvalidConfig(f"this model hears no sound, as {recipe.task} needs", where=named)
    return spec.embed


def hearing_of(stored: Stored | None, rate: int, recipe: Recipe, say: Say) -> Hearing:
    """How sound becomes what a model takes: as the model that is taken up had it, which is said where the recipe asks
    for another rate; else at the recipe's."""
    if stored is None or not isinstance(stored.processor, Hearing):
        return Hearing(rate, True, True)
    if stored.processor.rate != rate:
        say(
            f"the model of {recipe.start} hears {stored.processor.rate:,} samples a second, and so it does here:"
            f" data.rate ({rate:,}) has no say"
        )
    return stored.processor


def refused(recipe: Recipe, wanted: type[Head]) -> InvalidConfig:
    """What to say where a recipe's model has another head than its task needs."""
    key = "model.head" if "head" in recipe.model else "model.family"
    return InvalidConfig(
        f"{key}: {recipe.model.get(key.partition('.')[2])} has another head than {recipe.task} trains,"
        f" {wanted.__name__}",
        where=recipe.where(key),
        remedy="Leave model.head out." if "head" in recipe.model else None,
    )
