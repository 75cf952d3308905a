"""FlexAttention: what its table says of a pattern, what it gives, and where it is refused."""

import shutil
from unittest.mock import patch

import pytest
import torch
import torch._dynamo as dynamo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.utils import counters
from torch.testing import assert_close

from laws.drawn import ANY_PATTERN
from laws.subjects import families, lively, on, some_ids
from transept.errors import InvalidConfig, UsageError
from transept.parts import flexible
from transept.parts.attention import Attention
from transept.parts.core import Allowed, Reference
from transept.parts.flexible import Flex, FlexLayer, block_mask, kernel, parted, table
from transept.parts.pattern import Causal, Documents, Full, Pattern, Window
from transept.parts.pattern_text import parse_pattern
from transept.parts.relative import RelativeKeys
from transept.parts.scored import Alibi
from transept.parts.stack import Stack
from transept.spec import edit, replace

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def vectors(rows: int, length: int, groups: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(length)
    return tuple(torch.randn(rows, heads, length, 8) for heads in (4, groups, groups))  # type: ignore[return-value]


def compare(pattern: Pattern, length: int, lengths: list[int] | None, documents: bool, size: int) -> None:
    """What a row's real queries get is what the reference gives them."""
    rows, at = 2 if lengths is None else len(lengths), torch.arange(length)[None]
    q, k, v = vectors(rows, length)
    valid = None if lengths is None else at >= length - torch.tensor(lengths)[:, None]  # padding on the left
    places = at if valid is None else (valid.cumsum(1) - 1).clamp(min=0)

    def allowed() -> Allowed:
        made = Allowed(pattern, places, places, valid)
        made.documents = at.expand(rows, -1) // 3 if documents else None
        return made

    got = FlexLayer(Flex(size))(q, k, v, allowed(), 0.3)
    want = Reference().build(4, 8)(q, k, v, allowed(), 0.3)
    real = torch.ones(()) if valid is None else valid[:, None, :, None]
    assert got.isfinite().all()
    assert_close(got * real, want * real, **CLOSE)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    pattern=ANY_PATTERN,
    length=st.integers(1, 14),
    lengths=st.none() | st.lists(st.integers(0, 14), min_size=1, max_size=3),
    documents=st.booleans(),
    size=st.sampled_from([1, 3, 4, 128]),
)
def test_any_pattern_equals_the_reference(
    pattern: Pattern, length: int, lengths: list[int] | None, documents: bool, size: int
) -> None:
    pattern = pattern & Documents() if documents else pattern
    if Flex(size).handles(pattern):
        compare(pattern, length, lengths, documents, size)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(pattern=ANY_PATTERN, length=st.integers(1, 20), size=st.integers(1, 8))
def test_the_table_is_the_pattern(pattern: Pattern, length: int, size: int) -> None:
    """Put together again, the masks of all blocks are the mask; what is not needed is empty, what is whole is full.

    The compiled kernel reads no mask where a block is whole, and none where it is not needed; the one that is written
    out reads them all, so nothing but this would see a wrong list of blocks there.
    """
    pattern, _ = parted(pattern)
    if not Flex().handles(pattern):
        return
    made, at = table(pattern, length, size, torch.device("cpu")), torch.arange(length)
    for head in range(pattern.apart()):
        want = pattern.of_head(head).allows(at[:, None], at[None]).expand(length, length)
        whole = made.masks[made.which[head].long()].transpose(1, 2).flatten(0, 1).flatten(1)
        assert torch.equal(whole[:length, :length], want)
        blocks = made.masks[made.which[head].long()].flatten(2)
        assert torch.equal(blocks.any(-1) & made.needed[head], blocks.any(-1))
        assert blocks[made.whole[head]].all()
    assert len(made.masks) == len(set(map(str, made.masks.tolist())))


@torch.inference_mode()
def test_a_table_that_was_made_for_an_answer_may_be_learned_with() -> None:
    """It is kept: a search asks for it before training does, whose backward pass saves it."""
    made = table(parse_pattern("causal & window(9)"), 37, 8, torch.device("cpu"))
    assert not any(t.is_inference() for t in (made.masks, made.which, made.needed, made.whole))


def test_the_blocks_that_the_kernel_visits_are_those_that_the_table_names() -> None:
    made = table(parse_pattern("causal & window(5)"), 40, 8, torch.device("cpu"))
    mask = block_mask(made, 8, 40, None, None)
    assert mask.kv_num_blocks[0, 0].tolist() == [1, 2, 2, 2, 2] and mask.full_kv_num_blocks.sum() == 0
    assert mask.kv_indices[0, 0, 3, :2].tolist() == [2, 3]
    assert len(made.masks) == 4  # all, none, on the diagonal, and before it: the same all along
    wide = block_mask(table(Causal(), 40, 8, torch.device("cpu")), 8, 40, None, None)
    assert wide.full_kv_num_blocks[0, 0].tolist() == [0, 1, 2, 3, 4]
    padded = block_mask(table(Causal(), 40, 8, torch.device("cpu")), 8, 40, torch.tensor([7]), None)
    assert padded.full_kv_num_blocks.sum() == 0  # no block is whole where a row may end


def test_a_table_that_is_wrong_is_noticed() -> None:
    """Mutants: a mask that is forgotten, padding that counts, documents that are not asked."""
    pattern = Causal() & Window(3) & Documents()
    compare(pattern, 9, [9, 5], True, 4)
    honest, masked = table, block_mask

    def full(*args: object) -> flexible.Table:
        made = honest(*args)  # type: ignore[arg-type]
        return replace_masks(made, made.masks | ~made.masks)

    def replace_masks(made: flexible.Table, masks: Tensor) -> flexible.Table:
        return flexible.Table(masks, made.which, made.needed, made.whole)

    with patch.object(flexible, "table", full), pytest.raises(AssertionError):
        compare(pattern, 9, [9, 5], True, 4)
    for hidden in (3, 4):  # the counts, the documents

        def blind(*args: object, hidden: int = hidden) -> object:
            return masked(*(None if i == hidden else arg for i, arg in enumerate(args)))  # type: ignore[arg-type]

        with patch.object(flexible, "block_mask", blind), pytest.raises(AssertionError):
            compare(Full() & Documents(), 9, [9, 5], True, 4)


def test_a_model_with_it_is_the_same_model() -> None:
    """Whole passes by the kernel, cached steps by the fused core; BigBird's blocks differ from head to head."""
    seen = parse_pattern("causal & (window(2) | random_blocks(2, 2, 24, 0, 4) | global_blocks(2))")
    plain = lively(edit(families()["gpt2"], on(Attention, pattern=seen, core=Reference())))
    same = lively(edit(families()["gpt2"], on(Attention, pattern=seen, core=Flex(4))))
    ids = some_ids(2, 11)
    valid = torch.arange(11) >= torch.tensor([0, 4])[:, None]
    with torch.no_grad():
        assert_close(same(ids, valid).logits[valid], plain(ids, valid).logits[valid], **CLOSE)
        cache = same.cache(2, 11)
        steps = [same.decode(ids[:, a:b], cache=cache) for a, b in ((0, 6), (6, 7), (7, 11))]
        assert_close(torch.cat(steps, 1), plain(ids).logits, **CLOSE)


def test_gradients_on_a_processor_are_refused_before_anything_is_computed() -> None:
    q, k, v = (t.requires_grad_() for t in vectors(1, 5))
    allowed = Allowed(Causal(), torch.arange(5)[None], torch.arange(5)[None])
    with pytest.raises(UsageError, match=r"no backward pass on this device \(cpu\)") as caught:
        FlexLayer(Flex())(q, k, v, allowed, 0.3)
    assert "core Auto" in str(caught.value.remedy)
    with torch.no_grad():
        assert FlexLayer(Flex())(q, k, v, allowed, 0.3).shape == q.shape
    assert Flex().learns("cuda") and not Flex().learns("cpu")
    assert kernel("cuda") is not kernel("cpu")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            {"pattern": Causal() & ~Documents()},
            "Flex cannot honour the pattern causal & ~documents: it reads documents",
        ),
        ({"dropout": 0.1}, "drops no weights, and the attention has dropout=0.1: set it to 0"),
        ({"source": "memory"}, "neither a memory"),
        ({"position": RelativeKeys(3)}, "makes no .S, T. tensor"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(words: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason):
        Attention(4, core=Flex(), **words)  # type: ignore[arg-type]


def test_scores_by_positions_are_refused() -> None:
    stack = families()["gpt2"].stack  # type: ignore[attr-defined]
    flexed = edit(stack, on(Attention, core=Flex()))
    assert isinstance(flexed, Stack)
    with pytest.raises(InvalidConfig, match="Flex adds no scores by positions"):
        replace(flexed, position=Alibi(4))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a processor with g++")
def test_the_compiled_kernel_takes_every_pattern_without_being_compiled_for_each() -> None:
    """As on a GPU: what is compiled reads the lists of blocks, and skips what they leave out."""
    dynamo.reset()
    counters.clear()
    compiled = torch.compile(kernel("cpu"))
    at = torch.arange(40)[None]
    q, k, v = vectors(2, 40, 4)
    with patch.object(flexible, "kernel", lambda device: compiled), torch.no_grad():
        for text in (
            "causal",
            "causal & window(5)",
            "random_blocks(16, 1, 40, 0, 4)",
            "window(3) | first(2)",
            "local(8, 1) & ~strided(3)",
        ):
            allowed = Allowed(parse_pattern(text), at, at)
            got = FlexLayer(Flex(16))(q, k, v, allowed, 0.3)
            assert_close(got, Reference().build(4, 8)(q, k, v, allowed, 0.3), **CLOSE)
    assert counters["stats"]["unique_graphs"] == 3  # for a number of masks, for any number, and where heads differ
