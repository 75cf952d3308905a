"""Law 11 for parity: a wrong description or table is refused, or computes something else by more than 1e-3."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from laws.subjects import edit, on
from parity.subjects import Pair, batch, imported, pair
from transept.errors import InvalidConfig, InvalidData
from transept.inputs.tokens import Tokens
from transept.names import Names, Rule, Tied
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Window
from transept.parts.position import Sinusoid
from transept.parts.stack import Stack
from transept.spec import replace

NAME = "transformer: relu, one table"

# What is changed, and whether Marian could say it (then the numbers must tell, else `to_hf` must).
MUTANTS: dict[str, tuple[Any, bool]] = {
    "interleaved sinusoids": (on(Sinusoid, order="interleaved"), False),
    "other frequencies": (on(Sinusoid, base=1000.0), False),
    "no positions": (on(Tokens, position=None), False),
    "unscaled embeddings": (on(Tokens, scale=1.0), True),
    "embeddings scaled by the width": (on(Tokens, scale=32.0), False),
    "two heads": (on(Attention, heads=2), True),
    "two key and value heads": (on(Attention, kv_heads=2), False),
    "no biases in attention": (on(Attention, bias=False), False),
    "unscaled attention": (on(Attention, scale=1.0), False),
    "a decoder that sees ahead": (on(Attention, lambda p: p.pattern == Causal(), pattern=Full()), False),
    "a decoder with a window": (on(Attention, lambda p: p.pattern == Causal(), pattern=Causal() & Window(2)), False),
    "an encoder that sees back only": (on(Attention, lambda p: p.pattern == Full(), pattern=Causal()), False),
    "gelu": (on(FeedForward, activation="gelu"), True),
    "silu": (on(FeedForward, activation="silu"), True),
    "gated": (on(FeedForward, gated=True), False),
    "another epsilon": (on(Norm, eps=1e-2), False),
    "root mean square norm": (on(Norm, form="rms"), False),
    "norms before": (on(Block, place="before"), False),
    "a final norm": (on(Stack, norm=Norm()), False),
    "one block less": (on(Stack, lambda p: p.depth == 3, depth=2), True),
    "one block more": (on(Stack, lambda p: p.depth == 2, depth=3), True),
    "shared weights": (on(Stack, weights=1), False),
}


def difference(found: Pair, spec: Any) -> float:
    """How far the logits of a description with their weights are from theirs; infinite where they do not fit it."""
    try:
        model = imported(found.family, found.theirs, spec)
    except InvalidData:
        return math.inf
    given = batch(model, "right")
    with torch.no_grad():
        ours = model(*given.for_ours()).logits[given.valid]
        theirs = found.theirs(**given.for_theirs()).logits[given.valid]
    return float((ours - theirs).abs().max())


def test_the_right_one_passes() -> None:
    assert difference(pair(NAME), pair(NAME).ours.spec) < 1e-5


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_description_is_found(mutant: str) -> None:
    found = pair(NAME)
    change, sayable = MUTANTS[mutant]
    wrong = edit(found.ours.spec, change)
    assert wrong != found.ours.spec
    if sayable:
        assert found.family.from_hf(found.family.to_hf(wrong)) == wrong
    else:
        with pytest.raises(InvalidConfig, match="Marian cannot say this model: .* Marian's is"):
            found.family.to_hf(wrong)
    assert difference(found, wrong) > 1e-3


def test_the_remedy_names_the_word() -> None:
    declare = pair(NAME).family.declare
    sizes = {"vocab": 43, "width": 32, "hidden": 48, "heads": 4, "depth": 2}
    for word, value, remedy in (
        ("norm", "before", "norm: after"),
        ("order", "interleaved", "order: halves"),
        ("bias", False, "bias: true"),
        ("kv_heads", 2, "kv_heads: null"),
    ):
        with pytest.raises(InvalidConfig, match=f"Train it with {remedy}"):
            pair(NAME).family.to_hf(declare(**sizes, **{word: value}))


def swapped(names: Names, one: str, other: str) -> Names:
    """The table with the theirs of two rules exchanged."""
    by_ours = {rule.ours: rule for rule in names.rules}
    first, second = by_ours[(one,)], by_ours[(other,)]
    exchange = {first: replace(first, theirs=second.theirs), second: replace(second, theirs=first.theirs)}
    return Names(*(exchange.get(e, e) if isinstance(e, Rule) else e for e in names.entries))


B = "decoder.blocks.{i}"
TABLES: dict[str, Callable[[Names], Names]] = {
    "the biases of two norms": lambda n: swapped(n, f"{B}.attention_norm.bias", f"{B}.cross_norm.bias"),
    "the gains of two norms": lambda n: swapped(n, f"{B}.cross_norm.weight", f"{B}.feedforward_norm.weight"),
    "queries and keys": lambda n: swapped(n, f"{B}.attention.q.weight", f"{B}.attention.k.weight"),
    "the biases of values and outputs": lambda n: swapped(n, f"{B}.attention.v.bias", f"{B}.attention.o.bias"),
    "self and cross": lambda n: swapped(n, f"{B}.attention.v.weight", f"{B}.cross.v.weight"),
    "no bias of the logits": lambda n: Names(*(e for e in n.entries if getattr(e, "ours", "") != ("head.bias",))),
    "no second names": lambda n: Names(*(e for e in n.entries if not isinstance(e, Tied))),
}


@pytest.mark.parametrize("mutant", TABLES)
def test_a_wrong_table_is_found(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pair(NAME)
    wrong = TABLES[mutant](found.family.names(found.ours.spec))
    monkeypatch.setattr(found.family, "names", lambda spec: wrong)
    assert difference(found, found.ours.spec) > 1e-3
