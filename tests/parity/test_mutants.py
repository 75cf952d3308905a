"""Law 11 for parity: a wrong description or table is refused, or computes something else by more than 1e-3."""

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch

from parity.subjects import Pair, imported, of_ours, of_theirs, on_real, oracles, pair
from transept.errors import InvalidConfig, InvalidData
from transept.families.hugging_face import plain
from transept.names import Names, Rule, Tied
from transept.spec import edit
from transept.topology import Topology

MUTANTS = [(family, name) for family, oracle in oracles().items() for name in oracle.MUTANTS]
FIRST = {family: f"{family}: {next(iter(oracle.SUBJECTS))}" for family, oracle in oracles().items()}


@torch.no_grad()
def difference(found: Pair, spec: Any) -> float:
    """How far what a description computes with their weights is from theirs; infinite where they do not fit it."""
    try:
        model = imported(found.family, found.theirs, spec)
    except InvalidData:
        return math.inf
    given = found.batch("right" if "right" in getattr(found.oracle, "SIDES", ("right",)) else "none")
    ours, theirs = of_ours(model, given), of_theirs(found.theirs, given)
    apart = [
        (on_real(part, ours[part], given) - on_real(part, theirs[part], given)).abs().max()
        for part in ("logits", "second")
        if part in theirs
    ]
    return float(torch.stack(apart).max())


@pytest.mark.parametrize("family", FIRST)
def test_the_right_one_passes(family: str) -> None:
    assert difference(pair(FIRST[family]), pair(FIRST[family]).ours.spec) < 1e-5


def began(spec: Topology) -> Any:
    """The description in the fewest words, without how its weights begin."""
    return replace(plain(spec), initial=pair(FIRST["transformer"]).ours.spec.initial)  # type: ignore[type-var]


def said_again(found: Pair, spec: Any) -> Any:
    """What reading the configuration of a description gives back; None where there is none that says it."""
    with suppress(InvalidConfig):
        return found.family.from_hf(found.family.to_hf(spec))
    return None


@pytest.mark.parametrize(("family", "mutant"), MUTANTS)
def test_a_wrong_description_is_found(family: str, mutant: str) -> None:
    variant, change = pair(FIRST[family]).oracle.MUTANTS[mutant]
    found = pair(f"{family}: {variant}")
    try:
        wrong = edit(found.ours.spec, change)
    except InvalidConfig:
        return  # no such model can be described
    assert wrong != found.ours.spec
    again = said_again(found, wrong)
    assert again is None or began(again) == began(wrong)
    assert difference(found, wrong) > 1e-3


def swapped(names: Names, one: Rule, other: Rule) -> Names:
    """The table with the theirs of two rules exchanged."""
    exchange = {one.ours: replace(one, theirs=other.theirs), other.ours: replace(other, theirs=one.theirs)}
    return Names(*(exchange.get(e.ours, e) if isinstance(e, Rule) else e for e in names.entries))


def swaps(found: Pair) -> list[tuple[Rule, Rule]]:
    """Pairs of plain rules whose tensors have one shape: each with the next of its shape."""
    state = found.ours.state_dict()
    rules = [rule for rule in found.family.names(found.ours.spec).rules if len(rule.ours) == len(rule.theirs) == 1]
    shapes: dict[Any, Rule] = {}
    pairs = []
    for rule in rules:
        name = rule.ours[0].replace("{i}", "0")
        if name in state:
            key = (tuple(state[name].shape), "{i}" in rule.ours[0], rule.read is list)
            if key in shapes and key[2]:
                pairs.append((shapes[key], rule))
            shapes[key] = rule
    return pairs


@pytest.mark.parametrize("family", FIRST)
def test_a_wrong_table_is_found(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pair(FIRST[family])
    right = found.family.names(found.ours.spec)
    pairs = swaps(found)
    assert pairs
    for one, other in pairs:
        wrong = swapped(right, one, other)
        monkeypatch.setattr(found.family, "names", lambda spec, wrong=wrong: wrong)
        far = difference(found, found.ours.spec)
        assert far > 1e-3, f"{one.ours[0]} and {other.ours[0]} exchanged: {far}"


def test_a_table_without_second_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = pair(FIRST["transformer"])
    right = found.family.names(found.ours.spec)
    wrong = Names(*(e for e in right.entries if not isinstance(e, Tied)))
    monkeypatch.setattr(found.family, "names", lambda spec: wrong)
    assert difference(found, found.ours.spec) > 1e-3


def test_the_remedy_names_the_word() -> None:
    declare = pair(FIRST["transformer"]).family.declare
    sizes = {"vocab": 43, "width": 32, "hidden": 48, "heads": 4, "depth": 2}
    for word, value, remedy in (
        ("norm", "before", "norm: after"),
        ("order", "interleaved", "order: halves"),
        ("bias", False, "bias: true"),
        ("kv_heads", 2, "kv_heads: null"),
    ):
        with pytest.raises(InvalidConfig, match=f"Train it with {remedy}"):
            pair(FIRST["transformer"]).family.to_hf(declare(**sizes, **{word: value}))


@pytest.mark.parametrize(
    ("family", "size", "count"),
    [(family, size, count) for family, oracle in oracles().items() for size, count in oracle.PUBLISHED.items()],
)
def test_a_published_size_has_its_parameters(family: str, size: str, count: int) -> None:
    module = pair(FIRST[family]).family
    vocab = {"vocab": module.GOLDEN_VOCAB} if hasattr(module, "GOLDEN_VOCAB") else {}
    with torch.device("meta"):
        model = module.declare(**vocab | module.SIZES[size]).build()
    assert sum(parameter.numel() for parameter in model.parameters()) == count
