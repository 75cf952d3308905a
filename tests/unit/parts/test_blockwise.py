"""Attention in blocks beside the reference: any pattern, length, padding, grouping, order, document, size of block."""

import math
from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from laws.drawn import ANY_PATTERN
from transept.errors import InvalidConfig
from transept.parts import blockwise
from transept.parts.attention import Attention
from transept.parts.blockwise import attend, plan, plans
from transept.parts.core import Allowed, Core, Reference
from transept.parts.pattern import Causal, Pattern
from transept.parts.pattern_text import parse_pattern
from transept.parts.relative import RelativeKeys
from transept.parts.scored import Buckets
from transept.parts.sparse import BlockSparse, Sliding, width_for
from transept.parts.view import count_positions

BIGBIRD = "local(4, 1, 1) | global_blocks(4) | global_blocks(4, 9) | random_blocks(4, 2, 40)"


def compare(
    pattern: Pattern,
    size: int,
    length: int,
    *,
    lengths: list[int] | None = None,
    side: str = "right",
    groups: int = 4,
    scores: int = 1 << 19,
    ordered: bool = False,
    documents: bool = False,
    seed: int = 0,
) -> None:
    """Mix and gradients of an attention in blocks of `size` against those of the reference."""
    torch.manual_seed(seed)
    rows, valid = len(lengths) if lengths else 2, None
    if lengths:
        columns = torch.arange(length).expand(rows, length)
        count = torch.tensor(lengths)[:, None].clamp(max=length)
        valid = {"right": columns < count, "left": columns >= length - count}.get(side)
        valid = torch.rand(rows, length) < count / length if valid is None else valid
    at = torch.arange(length)[None] if valid is None else count_positions(valid)
    q, k, v = (torch.randn(rows, heads, length, 8, requires_grad=True) for heads in (4, groups, groups))
    bias = Buckets(4, 8, 16).build(32) if ordered else None
    learned = [torch.nn.init.normal_(p) for p in bias.parameters()] if bias else []
    of = torch.randint(3, (rows, length)).sort(1).values if documents else None
    real = torch.ones(rows, length) if valid is None else valid.float()

    def run(compute: Callable[[Allowed], Tensor]) -> list[Tensor]:
        mix = compute(Allowed(pattern, at, at, valid, True, bias, documents=of))
        assert mix.isfinite().all()
        mix = mix * real[:, None, :, None]  # what padding asks for, nobody reads
        return [mix, *torch.autograd.grad((mix * torch.linspace(-1, 1, 8)).sum(), [q, k, v, *learned])]

    layer = Reference().build(4, 8)
    wanted = run(lambda allowed: layer(q, k, v, allowed, 0.3))
    with patch.object(blockwise, "SCORES", {"cpu": scores}):
        found = run(lambda allowed: attend(q, k, v, allowed, 0.3, 0.0, size))
    for got, want in zip(found, wanted, strict=True):
        assert_close(got, want, rtol=1e-5, atol=1e-5)


@settings(max_examples=1200, deadline=None, derandomize=True)
@given(
    pattern=ANY_PATTERN,
    size=st.integers(1, 9),
    length=st.integers(1, 30),
    lengths=st.none() | st.lists(st.integers(0, 30), min_size=1, max_size=3),
    side=st.sampled_from(["left", "right", "holes"]),
    groups=st.sampled_from([1, 2, 4]),
    scores=st.sampled_from([1, 300, 1 << 19]),
    ordered=st.booleans(),
    documents=st.booleans(),
    seed=st.integers(0, 99),
)
def test_blocks_equal_the_reference(pattern: Pattern, size: int, length: int, **how: object) -> None:
    compare(pattern, size, length, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [BIGBIRD, "causal & window(5)", "local(4)", "causal & (first(3) | rows(6, 3))"])
def test_published_patterns_at_odd_lengths(text: str) -> None:
    for length in (37, 40, 41):
        compare(parse_pattern(text), 4, length, lengths=[length, 17], side="left", groups=2)


class Counted(nn.Module):
    """Hugging Face draws no random blocks outside of training: it counts block 0 once more for each of them."""

    def __init__(self, block: int, drawn: int, length: int, heads: int) -> None:
        super().__init__()
        self.block, self.more, self.length, self.heads = block, math.log(1 + drawn), length, heads

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        middle = (q >= self.block) & (q < self.length - self.block)
        return (self.more * ((k < self.block) & middle)).unsqueeze(1).expand(-1, self.heads, -1, -1)


def test_bigbird_is_hugging_faces() -> None:
    """Their block-sparse attention, mix and gradients: windows and global blocks at 16 blocks of 4."""
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

    torch.manual_seed(0)
    length, block, drawn, heads = 64, 4, 2, 4
    words = {"hidden_size": 32, "num_attention_heads": heads, "block_size": block, "num_random_blocks": drawn}
    theirs = BigBirdBlockSparseAttention(BigBirdConfig(**words), seed=0).eval()
    blocked, band, asking, asked = BigBirdModel.create_masks_for_block_sparse_attn(torch.ones(2, length), block)
    q, k, v = (torch.randn(2, heads, length, 8, requires_grad=True) for _ in range(3))
    want, _ = theirs.bigbird_block_sparse_attention(
        *(q, k, v, band, asking, asked, blocked, blocked, heads, drawn, 8, block, block, 2, length, length),
        seed=0,
        plan_from_length=None,
        plan_num_rand_blocks=None,
    )
    at = torch.arange(length)[None]
    pattern = parse_pattern(f"local({block}, 1, 1) | global_blocks({block}) | global_blocks({block}, 15)")
    allowed = Allowed(pattern, at, at, bias=Counted(block, drawn, length, heads))
    for size in (4, 8, 5):
        got = BlockSparse(size).build(4, 8)(q, k, v, allowed, 8**-0.5)
        assert_close(got, want.transpose(1, 2), rtol=1e-5, atol=1e-5)
        up = torch.linspace(-1, 1, 8)
        ours = torch.autograd.grad((got * up).sum(), (q, k, v))
        others = torch.autograd.grad((want.transpose(1, 2) * up).sum(), (q, k, v), retain_graph=True)
        for mine, other in zip(ours, others, strict=True):
            assert_close(mine, other, rtol=1e-5, atol=1e-5)
    plain = BlockSparse(4).build(4, 8)(q, k, v, Allowed(pattern, at, at), 8**-0.5)
    assert (plain - want.transpose(1, 2)).abs().max() > 1e-2  # and the counting is no detail


def test_no_score_is_computed_that_a_pattern_lets_nobody_see() -> None:
    """BigBird at 40 blocks: 3 of a window, 2 global and 2 random blocks, and two rows of blocks that see everything."""
    planned = plan(parse_pattern("local(4, 1, 1) | global_blocks(4) | random_blocks(4, 2, 160)"), 160, 4, 256, CPU)
    computed = sum(piece.keys.numel() for piece in planned.pieces)
    assert computed <= 38 * 6 + 40 + 8
    assert all(piece.hidden is None or piece.hidden.any() for piece in planned.pieces)
    causal = plan(Causal() & parse_pattern("window(8)"), 4096, 8, 1, CPU)
    assert sum(piece.keys.numel() for piece in causal.pieces) == 2 * 512 - 1
    assert len({id(piece.hidden) for piece in causal.pieces}) == 2  # one mask for all blocks but the first


CPU = torch.device("cpu")


@pytest.mark.parametrize("core", [Sliding(), BlockSparse(16)], ids=str)
def test_no_tensor_grows_with_the_square_of_the_length(core: Core) -> None:
    """The largest tensor of a forward and a backward pass, by what torch says of each operation."""
    pattern = parse_pattern("causal & window(16)")

    def largest(length: int) -> int:
        q = torch.randn(1, 2, length, 4, requires_grad=True)
        at, sizes = torch.arange(length)[None], [0]

        class Watch(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, func: Callable[..., object], kinds: object, args=(), kwargs=None) -> object:  # type: ignore[no-untyped-def]
                made = func(*args, **(kwargs or {}))
                sizes.extend(
                    t.numel() for t in (made if isinstance(made, tuple | list) else [made]) if isinstance(t, Tensor)
                )
                return made

        with patch.object(blockwise, "SCORES", {"cpu": 1 << 12}), Watch():
            core.build(4, 8)(q, q, q, Allowed(pattern, at, at), 0.5).sum().backward()
        return max(sizes)

    assert largest(2048) <= 2.2 * largest(1024)


def test_the_rows_that_explain_need_no_square_either() -> None:
    at, q = torch.arange(300)[None], torch.randn(1, 2, 300, 8)
    allowed = Allowed(parse_pattern("causal & window(9)"), at, at, bias=Buckets(2, 8, 16).build(16))
    torch.nn.init.normal_(allowed.bias.weight)  # type: ignore[union-attr, arg-type]
    layer = Sliding().build(2, 8)
    rows = layer.weights(q, q, allowed, 0.3, slice(40, 43))
    assert allowed._mask is None
    assert_close(rows @ q, layer(q, q, q, allowed, 0.3)[:, :, 40:43], rtol=1e-5, atol=1e-5)


def test_dropout_drops_and_its_gradient_is_of_what_was_kept() -> None:
    torch.manual_seed(3)
    pattern, at = parse_pattern("causal & window(3)"), torch.arange(12)[None]
    q, k, v = (torch.randn(1, 2, 12, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        torch.manual_seed(5)
        return attend(q, k, v, Allowed(pattern, at, at), 0.5, 0.3, 4)

    assert torch.autograd.gradcheck(mix, (q, k, v))
    ones = torch.ones_like(v)
    means = torch.stack([attend(q, k, ones, Allowed(pattern, at, at), 0.5, 0.3, 4) for _ in range(300)]).mean(0)
    assert_close(means, ones, rtol=0, atol=0.25)
    assert (attend(q, k, ones, Allowed(pattern, at, at), 0.5, 0.3, 4) - 1).abs().max() > 0.1


def test_half_precision_is_near() -> None:
    pattern, at = parse_pattern("window(9)"), torch.arange(50)[None]
    q = torch.randn(2, 2, 50, 8)
    want = Reference().build(4, 8)(q, q, q, Allowed(pattern, at, at), 0.3)
    half = q.bfloat16()
    assert_close(
        Sliding().build(4, 8)(half, half, half, Allowed(pattern, at, at), 0.3).float(), want, rtol=0.05, atol=0.05
    )


@pytest.mark.parametrize("text", ["causal & window(9)", BIGBIRD])
def test_gradients_in_half_precision_are_as_near_as_those_of_torch(text: str) -> None:
    """Values with a common part, which every gradient of a score must take away again."""
    torch.manual_seed(0)
    pattern, at = parse_pattern(text), torch.arange(40)[None]
    q, k, v, up = (torch.randn(2, 2, 40, 8) + shift for shift in (0.0, 0.0, 2.0, 1.0))
    allowed, layer = Allowed(pattern, at, at), Reference().build(2, 8)

    def gradients(compute: Callable[[Tensor, Tensor, Tensor], Tensor], dtype: torch.dtype) -> list[Tensor]:
        given = [t.to(dtype, copy=True).requires_grad_() for t in (q, k, v)]
        return [t.float() for t in torch.autograd.grad(compute(*given), given, up.to(dtype))]

    def theirs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = pattern.allows(at[0, :, None], at[0])
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.3)

    exact = gradients(lambda q, k, v: layer(q, k, v, allowed, 0.3), torch.float32)
    ours = gradients(lambda q, k, v: attend(q, k, v, allowed, 0.3, 0.0, 4), torch.bfloat16)
    near = gradients(theirs, torch.bfloat16)
    for want, got, peer in zip(exact, ours, near, strict=True):
        assert (got - want).norm() < max(1.5 * (peer - want).norm(), 0.005 * want.norm())


def test_blocks_are_as_wide_as_what_they_hold() -> None:
    assert width_for(parse_pattern("local(256)")) == 256
    assert width_for(parse_pattern("causal & window(256)")) in (128, 256)
    assert width_for(parse_pattern("window(5)")) <= 32


@pytest.mark.parametrize(
    ("core", "pattern", "words"),
    [
        (Sliding(), "full", "Sliding cannot honour the pattern full"),
        (Sliding(), "causal", "Sliding cannot honour the pattern causal"),
        (Sliding(), "window(3) | first(2)", "Sliding cannot honour"),
        (BlockSparse(), "causal", "BlockSparse cannot honour the pattern causal"),
        (BlockSparse(), "strided(4)", "BlockSparse cannot honour the pattern strided"),
    ],
)
def test_what_would_cost_the_square_is_refused(core: Core, pattern: str, words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        Attention(4, parse_pattern(pattern), core=core)


def test_scores_by_vectors_are_refused() -> None:
    for core in (Sliding(), BlockSparse()):
        with pytest.raises(InvalidConfig, match="RelativeKeys"):
            Attention(4, parse_pattern("window(3)"), core=core, position=RelativeKeys(4))


def test_mutants_are_caught() -> None:
    """A padding that is taken for real, a block too few, an end that is forgotten, a gradient that is not summed."""
    pattern = parse_pattern("causal & window(5)")
    compare(pattern, 4, 21, lengths=[21, 9], side="left")
    touched, packing, scatter = blockwise.touched, blockwise.packing, blockwise.Piece.scatter

    def fewer(pattern: Pattern, length: int, size: int) -> tuple[Tensor, Tensor]:
        needed, whole = touched(pattern, length, size)
        return needed.triu(-1), whole

    def seen(pattern: Pattern, length: int, size: int) -> tuple[Tensor, Tensor]:
        return touched(pattern, length, size)[0], touched(pattern, length, size)[0]

    def once(self: blockwise.Piece, into: Tensor, more: Tensor) -> None:
        into.zero_()
        scatter(self, into, more)

    for owner, name, wrong in (
        (blockwise, "touched", fewer),
        (blockwise, "touched", seen),
        (blockwise, "packing", lambda valid: packing(~valid)),
        (blockwise.Piece, "scatter", once),
    ):
        plans.cache_clear()
        with patch.object(owner, name, wrong), pytest.raises(AssertionError):
            compare(pattern, 4, 21, lengths=[21, 9], side="left", scores=1)
    plans.cache_clear()
    assert math.isfinite(sum(pattern.band()))
