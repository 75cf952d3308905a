"""Law 5: every core equals `Reference` on every pattern it handles, forward and gradient, and refuses the others."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import cores, patterns, toys
from transept.errors import InvalidConfig
from transept.parts import core as core_module
from transept.parts.attention import Attention
from transept.parts.core import Allowed, Core, Reference
from transept.parts.pattern import Both, Causal, Full, Pattern, Window
from transept.parts.scored import Scored

CORES = {name: core for name, core in cores().items() if core.exact}
PATTERNS = patterns()
SIMPLE = st.sampled_from(sorted(PATTERNS)).map(PATTERNS.__getitem__)
ANY_PATTERN = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
    ),
    max_leaves=4,
)


def compare(
    core: Core,
    pattern: Pattern,
    *,
    heads: int,
    groups: int,
    queries: int,
    keys: int,
    own: bool,
    lengths: list[int] | None,
    bias: Scored | None,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    rows = len(lengths) if lengths else 2
    k_at = torch.arange(keys)[None]
    q_at = k_at if own else torch.randint(0, keys, (rows, queries))
    queries = keys if own else queries
    valid = None if lengths is None else torch.arange(keys) < torch.tensor(lengths)[:, None]
    shapes = ((rows, heads, queries, 8), (rows, groups, keys, 8), (rows, groups, keys, 8))
    q, k, v = (torch.randn(shape, requires_grad=True) for shape in shapes)
    scored = None if bias is None else bias.build(8 * heads)
    for parameter in [] if scored is None else scored.parameters():  # a layer alone is memory as it was found
        torch.nn.init.normal_(parameter)

    def run(layer: torch.nn.Module) -> list[Tensor]:
        with torch.set_grad_enabled(core.learns("cpu")):
            mix = layer(q, k, v, Allowed(pattern, q_at, k_at, valid, own, scored), 0.3)
        assert mix.isfinite().all()
        if not mix.requires_grad:
            return [mix * real]
        return [mix * real, *torch.autograd.grad((mix * real * torch.linspace(-1, 1, 8)).sum(), (q, k, v))]

    real = torch.ones(()) if valid is None or not own else valid[:, None, :, None]  # what padding asks, nobody reads
    wanted = run(Reference().build(heads, 8))[: None if core.learns("cpu") else 1]
    for short in (core_module.SHORT, {}):  # short rows by products, and all by the kernel
        with patch.object(core_module, "SHORT", short):
            for got, want in zip(
                run(core.chosen(Attention(4, pattern, core=core)).build(heads, 8)), wanted, strict=True
            ):
                assert_close(got, want, rtol=1e-5, atol=1e-5)


@settings(max_examples=3000, deadline=None)
@given(
    core=st.sampled_from(sorted(CORES)).map(CORES.__getitem__),
    pattern=ANY_PATTERN,
    groups=st.sampled_from([1, 2, 4]),
    keys=st.integers(1, 12),
    queries=st.integers(1, 6),
    own=st.booleans(),
    lengths=st.none() | st.lists(st.integers(0, 12), min_size=1, max_size=3),
    bias=st.sampled_from([None, *toys(Scored).values()]),
    seed=st.integers(0, 99),
)
def test_core_equals_reference(
    core: Core,
    pattern: Pattern,
    groups: int,
    keys: int,
    queries: int,
    own: bool,
    lengths: list[int] | None,
    bias: Scored | None,
    seed: int,
) -> None:
    if not core.handles(pattern):
        with pytest.raises(InvalidConfig, match=type(core).__name__):
            Attention(4, pattern, core=core)
        return
    if core.objects(Attention(4, pattern), scored=True) is not None:
        bias = None
    compare(
        core,
        pattern,
        heads=4,
        groups=groups,
        queries=queries,
        keys=keys,
        own=own,
        lengths=lengths,
        bias=bias,
        seed=seed,
    )


@pytest.mark.parametrize("pattern", [Full(), Causal(), Causal() & Window(9)], ids=str)
@pytest.mark.parametrize("name", [name for name in CORES if name != "Reference"])
def test_no_mask_is_made_where_none_is_needed(name: str, pattern: Pattern) -> None:
    if not CORES[name].handles(pattern) or (name == "Fused" and isinstance(pattern, Both)):
        return
    positions = torch.arange(300)[None]
    allowed = Allowed(pattern, positions, positions)
    q = torch.randn(1, 2, 300, 8)
    CORES[name].chosen(Attention(2, pattern)).build(2, 8)(q, q, q, allowed, 0.3)
    assert allowed._mask is None


def test_weights_explain_the_mix() -> None:
    """The rows on demand, times the values, are what the kernel gave; rows sum to 1 and hide what is hidden."""
    torch.manual_seed(0)
    for name, core in CORES.items():
        for pattern in PATTERNS.values():
            if core.handles(pattern):
                at = torch.arange(9)[None]
                allowed = Allowed(pattern, at, at, torch.arange(9) < torch.tensor([9, 5])[:, None])
                q, k, v = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8)
                layer = core.chosen(Attention(4, pattern)).build(4, 8)
                rows = layer.weights(q, k, allowed, 0.3)
                mix, real = (
                    layer(q, k, v, allowed, 0.3),
                    (torch.arange(9) < torch.tensor([9, 5])[:, None])[:, None, :, None],
                )
                assert_close(real * (rows @ v.repeat_interleave(2, 1)), real * mix, rtol=1e-5, atol=1e-5, msg=name)
                seen = allowed.mask().expand(2, 4, 9, 9)
                assert_close(rows.sum(-1), seen.any(-1).float(), rtol=1e-5, atol=1e-5)
                assert rows.masked_select(~seen).abs().sum() == 0
                assert_close(layer.weights(q, k, allowed, 0.3, slice(3, 5)), rows[:, :, 3:5], rtol=1e-6, atol=1e-6)


def test_mutants_are_caught() -> None:
    """A causality aligned to the wrong corner, and a scale that is forgotten."""
    sdpa = core_module.F.scaled_dot_product_attention

    def unscaled(*args: object, scale: float = 1.0, **kw: object) -> Tensor:
        return sdpa(*args, scale=1.0, **kw)  # type: ignore[arg-type]

    case = {"heads": 4, "groups": 4, "queries": 3, "keys": 7, "own": True, "lengths": None, "bias": None, "seed": 0}
    compare(CORES["Fused"], Full(), **case)  # type: ignore[arg-type]
    with patch.object(core_module.F, "scaled_dot_product_attention", unscaled), pytest.raises(AssertionError):
        compare(CORES["Fused"], Full(), **case)  # type: ignore[arg-type]

    class Confident(Allowed):
        """Believes that the keys are always the queries' own."""

        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            self.own = True

    with patch.dict(globals(), Allowed=Confident), pytest.raises((AssertionError, RuntimeError)):
        compare(CORES["Fused"], Causal(), **(case | {"own": False}))  # type: ignore[arg-type]
