"""From what a recipe says of a model, `{family: transformer, size: base, norm: before}`, to its description."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from transept.errors import InvalidConfig, nearest
from transept.families.attentions import WORDS, attending, meant
from transept.families.orders import read
from transept.families.registry import family
from transept.spec import fits, part_from_dict, spoken
from transept.topology import Topology


def declared(
    model: Mapping[str, Any], vocab: int, least: int = 0, where: Callable[[str], str | None] = lambda key: None
) -> Topology:
    """The description of a family at a size, with what the mapping changes; `vocab` where it names none and has one.

    `least` is the number of tokens that the vocabulary must hold; `where` tells where a key such as "model.size" was
    written. Raises InvalidConfig with the place, the key and the nearest name.
    """
    given = dict(model)
    if "family" not in given:
        raise InvalidConfig("model.family is not set", remedy="Name one: model.family=transformer.")
    module = family(given.pop("family"))
    size = given.pop("size", None)
    if size is not None:
        if size not in module.SIZES:
            remedy = f"There are: {', '.join(module.SIZES)}."
            former = getattr(module, "FORMER", {}).get("size")
            if former is not None and isinstance(size, int):
                remedy = f"What size=NUMBER was is model.{former}={size} now. {remedy}"
            reason = f"model.size: there is no {size!r}.{nearest(str(size), module.SIZES)}"
            raise InvalidConfig(reason, where=where("model.size"), remedy=remedy)
        given = module.SIZES[size] | given
    hints, known = WORDS | get_type_hints(module.declare), inspect.signature(module.declare).parameters
    more = [word for word in WORDS if word not in known]  # that every family has
    if "vocab" in known:
        given.setdefault("vocab", vocab)
    given = {key: _frozen(value, key in more, key, where(f"model.{key}")) for key, value in given.items()}
    for key, value in given.items():
        if key not in known and key not in more:
            remedy = f"There are: size, {', '.join([*known, *more])}."
            reason = f"unknown key 'model.{key}'.{nearest(key, ['size', *known, *more])}"
            raise InvalidConfig(reason, where=where(f"model.{key}"), remedy=remedy)
        if not fits(value, hints[key]) and not (value is None and key in more):
            raise InvalidConfig(f"model.{key} must be {spoken(hints[key])}, not {value!r}", where=where(f"model.{key}"))
    missing = [key for key, told in known.items() if told.default is told.empty and key not in given]
    if missing:
        raise InvalidConfig(
            f"model.{missing[0]} is not set" + (f", nor {', '.join(missing[1:])}" if missing[1:] else ""),
            remedy=f"Set it, or take a published size: model.size={next(iter(module.SIZES))}.",
        )
    if "vocab" in given and given["vocab"] < least:
        raise InvalidConfig(
            f"{given['vocab']:,} rows of embeddings do not hold a vocabulary of {least:,} tokens",
            key="model.vocab",
            where=where("model.vocab"),
            remedy=f"Leave model.vocab out, raise it to {least}, or lower data.vocabulary.merges.",
        )
    if "positions" in given:
        read(given["positions"], known["positions"].default, where("model.positions"))
    spec = module.declare(**{key: value for key, value in given.items() if key in known})
    assert isinstance(spec, Topology), f"{module.__name__}.declare made no model"
    told = {word: given[word] for word in more if word in given}
    try:
        return attending(spec, told)
    except InvalidConfig as error:
        words = [f"model.{word}" for word in told]
        place = next((found for word in words if (found := where(word)) is not None), None)
        if len(words) == 1:
            raise InvalidConfig(**error.fields(key=words[0], where=place)) from None
        raise InvalidConfig(**error.fields(what=f"{' and '.join(words)}: {error.what}", where=place)) from None


def _frozen(value: Any, every: bool, key: str, where: str | None) -> Any:
    """Lists as tuples, which descriptions hold, however deep they lie; what says its `kind` as the part that it is.

    `every` tells that the key is a word of every family, some of which are written shorter.
    """
    try:
        value = meant(key, value) if every else value
        if isinstance(value, list):
            return tuple(_frozen(item, False, key, where) for item in value)
        return part_from_dict(value, f"model.{key}") if isinstance(value, dict) else value
    except InvalidConfig as error:
        if error.what.startswith("model."):
            raise InvalidConfig(**error.fields(where=where)) from None
        raise InvalidConfig(**error.fields(key=f"model.{key}", where=where)) from None
