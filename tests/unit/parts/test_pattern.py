"""Patterns against their definitions by hand, and what they say of ranges against what they say of pairs."""

import itertools
import math
from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from laws.drawn import ANY_PATTERN
from laws.subjects import families, lively, on, some_ids
from transept.errors import InvalidConfig, UsageError
from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.pattern import Band, Causal, Documents, First, Pattern, Places, Spans, Window
from transept.parts.pattern_blocks import Local, RandomBlocks
from transept.parts.pattern_grid import Columns, Convolutional, Rows
from transept.parts.pattern_strides import Dilated, Strided, Summary
from transept.parts.pattern_text import parse_pattern, patterns_by_word
from transept.parts.position import Learned, Sinusoid
from transept.parts.rotary import Rotary
from transept.parts.scored import Alibi
from transept.parts.stack import Stack
from transept.parts.view import View, count_in_documents
from transept.spec import edit

SIZE = 40

# Each as its paper says it, of one query i and one key j.
BY_HAND: dict[str, Callable[[int, int], bool]] = {
    "full": lambda i, j: True,
    "causal": lambda i, j: j <= i,
    "documents": lambda i, j: True,
    "window(3)": lambda i, j: j in range(i - 3, i + 4),
    "band(3, 1)": lambda i, j: j in (i - 3, i - 2, i - 1, i, i + 1),
    "first(2)": lambda i, j: j in (0, 1),
    "prefix(5)": lambda i, j: i < 5 and j < 5,
    "dilated(2, 3)": lambda i, j: j in (i - 6, i - 3, i, i + 3, i + 6),
    "strided(4)": lambda i, j: i % 4 == j % 4,
    "summary(5, 2)": lambda i, j: j % 5 in (3, 4),
    "local(6)": lambda i, j: i // 6 == j // 6,
    "local(6, 1)": lambda i, j: j // 6 in (i // 6 - 1, i // 6),
    "local(6, 0, 2)": lambda i, j: j // 6 in (i // 6, i // 6 + 1, i // 6 + 2),
    "global_blocks(4)": lambda i, j: i < 4 or j < 4,
    "global_blocks(4, 2, 2)": lambda i, j: i in range(8, 16) or j in range(8, 16),
    # A grid of rows of 5 after 7 others.
    "rows(5, 7)": lambda i, j: min(i, j) >= 7 and abs(i - j) <= 5,
    "columns(5, 7)": lambda i, j: min(i, j) >= 7 and (i - 7) % 5 == (j - 7) % 5,
    "convolutional(5, 3, 7)": lambda i, j: (
        min(i, j) >= 7 and abs((i - 7) // 5 - (j - 7) // 5) <= 1 and abs((i - 7) % 5 - (j - 7) % 5) <= 1
    ),
}


def pairs(pattern: Pattern, size: int = SIZE) -> Tensor:
    at = torch.arange(size)
    return pattern.allows(at[:, None], at[None]).expand(size, size)


@pytest.mark.parametrize("text", BY_HAND)
def test_a_pattern_is_its_definition(text: str) -> None:
    wanted = [[BY_HAND[text](i, j) for j in range(SIZE)] for i in range(SIZE)]
    pattern = parse_pattern(text)
    assert pairs(pattern).tolist() == wanted
    assert str(pattern) == text


def test_every_word_is_held_to_a_definition() -> None:
    held = {text.split("(")[0] for text in BY_HAND}
    assert held | {"random_blocks"} == set(patterns_by_word())


def test_random_blocks_are_drawn_once_and_fairly() -> None:
    pattern = RandomBlocks(4, 3, 80, seed=1)
    graph = pattern.graph()
    assert graph.shape == (20, 20)
    assert graph.sum(1).tolist() == [3] * 20
    at = torch.arange(20)
    assert not graph[(at[:, None] - at).abs() <= 1].any()
    assert not graph[:, [0, 19]].any()
    assert torch.equal(pairs(pattern, 80), graph.repeat_interleave(4, 0).repeat_interleave(4, 1))
    assert torch.equal(pairs(pattern, 50), pairs(pattern, 80)[:50, :50])  # whatever the length of a row
    assert not pairs(pattern, 90)[80:].any()
    assert not pairs(pattern, 90)[:, 80:].any()
    assert torch.equal(graph, RandomBlocks(4, 3, 80, seed=1).graph())
    assert not torch.equal(graph, RandomBlocks(4, 3, 80, seed=2).graph())
    assert graph[4].nonzero().flatten().tolist() == [7, 9, 11]  # on every machine, in every version
    drawn = sum(RandomBlocks(1, 3, 12, seed=seed).graph().float() for seed in range(200)) / 200
    free = drawn[6][[1, 2, 3, 4, 8, 9, 10]]  # 3 of 7 each
    assert_close(free, torch.full((7,), 3 / 7), rtol=0, atol=0.12)
    assert RandomBlocks(4, 99, 24).graph().sum(1).tolist() == [3, 2, 1, 1, 2, 3]  # all that there are


def test_rows_and_columns_reach_every_earlier_token_of_a_picture_in_two_layers() -> None:
    """Ramesh et al. 2021: what a token cannot see itself, one of those that it sees can."""
    row, column = (pairs(Causal() & (First(3) | kind(6, 3)), 39).float() for kind in (Rows, Columns))
    assert torch.equal((column @ row > 0), pairs(Causal(), 39))
    near = pairs(Causal() & (First(3) | Convolutional(6, 3, 3)), 39)
    assert near[19].nonzero().flatten().tolist() == [0, 1, 2, 12, 13, 14, 18, 19]


def test_strided_and_fixed_attention_of_sparse_transformers_reach_everything_in_two_layers() -> None:
    """Child et al. 2019, section 4.2: every earlier position in p + 1 steps."""
    for text in ("causal & (band(6) | strided(6))", "causal & (local(6) | summary(6, 1))"):
        seen = pairs(parse_pattern(text)).float()
        assert torch.equal(seen @ seen > 0, pairs(Causal())), text


# ------------------------------------------------------------------ what is said of ranges


def check_ranges(pattern: Pattern, size: int, block: int) -> None:
    """Blocks that hold an allowed pair are touched, blocks that are filled hold no other, and bands are bands."""
    allowed = pairs(pattern, size)
    low = torch.arange(0, size, block)
    ends = [(int(a), min(int(a) + block, size)) for a in low]
    spans = Spans(low, (low + block).clamp(max=size) - 1)
    rows, columns = Spans(spans.low[:, None], spans.high[:, None]), Spans(spans.low[None], spans.high[None])
    shape = (len(ends), len(ends))
    touched, filled = pattern.touches(rows, columns).expand(shape), pattern.fills(rows, columns).expand(shape)
    for (i, (top, bottom)), (j, (left, right)) in itertools.product(enumerate(ends), enumerate(ends)):
        part = allowed[top:bottom, left:right]
        assert bool(touched[i, j]) or not part.any(), f"{pattern} hides {top}-{bottom} from {left}-{right}"
        assert part.all() or not bool(filled[i, j]), f"{pattern} shows all of {left}-{right} to {top}-{bottom}"
    back, ahead = pattern.band()
    at = torch.arange(size)
    lag = (at[:, None] - at)[allowed]
    assert not len(lag) or (lag.max() <= back and lag.min() >= -ahead), f"{pattern} looks beyond its band"


@settings(max_examples=800, deadline=None, derandomize=True)
@given(pattern=ANY_PATTERN, size=st.integers(1, 36), block=st.integers(1, 9))
def test_what_is_said_of_ranges_holds_for_pairs(pattern: Pattern, size: int, block: int) -> None:
    check_ranges(pattern, size, block)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(pattern=ANY_PATTERN)
def test_a_sparse_pattern_has_few_keys_for_nearly_all_queries(pattern: Pattern) -> None:
    if pattern.is_sparse():
        short, long = pairs(pattern, 150).sum(1), pairs(pattern, 300).sum(1)
        assert long.sort().values[:-130].max() <= max(80, short.sort().values[-140])


def test_what_is_sparse_by_name() -> None:
    for text in (
        "window(3)",
        "causal & window(3) | first(2)",
        "local(4, 1)",
        "global_blocks(4) | window(2)",
        "rows(5)",
    ):
        assert parse_pattern(text).is_sparse(), text
    for text in ("full", "causal", "strided(3)", "columns(5)", "summary(4, 1)", "window(3) | causal", "~window(3)"):
        assert not parse_pattern(text).is_sparse(), text


def test_mutants_are_caught() -> None:
    """A block too few that is touched, a block too many that is filled, a band that is too narrow."""
    always = lambda self, q, k: (q.low == q.low) & (k.low == k.low)  # noqa: E731
    short = lambda self, q, k: q.before(k).among(1 - self.reach, self.reach)  # noqa: E731
    for pattern, name, wrong in (
        (Window(3), "touches", short),
        (Causal(), "fills", always),
        (Local(3), "band", lambda self: (self.size - 2, self.size - 1)),
        (Strided(3), "touches", lambda self, q, k: q.before(k).among(0, 0)),
    ):
        check_ranges(pattern, 30, 2)
        with patch.object(type(pattern), name, wrong), pytest.raises(AssertionError):
            check_ranges(pattern, 30, 2)
    assert Window(3).band() == (3, 3)
    assert Causal().band() == (math.inf, 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Convolutional(32, 4), "odd"),
        (lambda: Summary(3, 4), "below 4"),
        (lambda: Local(0), "at least 1"),
        (lambda: Dilated(2, 0), "at least 1"),
        (lambda: RandomBlocks(4, 1, 0), "at least 1"),
        (lambda: Band(-1), "at least 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong: Callable[[], Pattern], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        wrong()


# ------------------------------------------------------------------ documents


def test_documents_are_kept_apart_by_their_ids() -> None:
    of = torch.tensor([7, 7, 2, 2, 2, 9])
    q, k = Places(torch.arange(6)[:, None], of[:, None]), Places(torch.arange(6)[None], of[None])
    same = of[:, None] == of
    assert torch.equal(Documents().relates(q, k), same)
    assert torch.equal((~Documents() | First(1)).relates(q, k), ~same | (torch.arange(6) == 0))
    assert torch.equal((Causal() & Documents()).relates(q, k), same.tril())


def test_positions_begin_anew_with_each_document() -> None:
    of = torch.tensor([[4, 4, 4, 1, 1, 6], [0, 0, 0, 5, 5, 5]])
    valid = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 1]]).bool()
    assert count_in_documents(of).tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 2, 0, 1, 2]]
    assert count_in_documents(of, valid)[valid].tolist() == [0, 1, 2, 0, 1, 0, 0, 1, 0, 1]


PACKED = {
    "nothing": None,
    "learned": on(Tokens, position=Learned(32)),
    "sinusoid": on(Tokens, position=Sinusoid()),
    "rotary": on(Attention, position=Rotary()),
    "alibi": on(Stack, position=Alibi(4)),
}


def check_packed(order: str) -> None:
    spec = edit(edit(families()["gpt2"], on(Tokens, position=None)), on(Attention, pattern=Causal() & Documents()))
    model = lively(spec if PACKED[order] is None else edit(spec, PACKED[order]))
    texts = [[some_ids(n) for n in lengths] for lengths in ((4, 1, 5), (7, 3))]
    ids = torch.stack([torch.cat(row) for row in texts])
    documents = torch.tensor([[0] * 4 + [1] + [2] * 5, [0] * 7 + [1] * 3])
    with torch.no_grad():
        together = model(ids, documents=documents).logits
        alone = torch.stack([torch.cat([model(text[None]).logits[0] for text in row]) for row in texts])
        assert_close(together, alone, rtol=1e-5, atol=1e-5)
        valid = torch.tensor([[True] * 12, [False] * 2 + [True] * 10])  # beside one more row, padded on its left
        longer = torch.cat([torch.cat([ids[:1], some_ids(1, 2)], 1), torch.cat([some_ids(1, 2), ids[1:]], 1)])
        of = torch.tensor([[0] * 4 + [1] + [2] * 5 + [3] * 2, [0] * 9 + [1] * 3])
        padded = model(longer, valid, documents=of).logits
    assert_close(padded[0, :10], alone[0], rtol=1e-5, atol=1e-5)
    assert_close(padded[1, 2:], alone[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", PACKED)
def test_packed_in_a_row_equals_alone(order: str) -> None:
    check_packed(order)


def test_mutant_documents_that_run_on() -> None:
    """Positions that are not counted anew, and ids that are lost on the way."""
    from transept import models

    with patch.object(models, "count_in_documents", lambda of, valid: torch.arange(of.size(1))[None]):
        check_packed("rotary")
        with pytest.raises(AssertionError):
            check_packed("learned")
    lose = View.of

    def lost(*args: object, documents: object = None, **more: object) -> View:
        return lose(*args, **more)  # type: ignore[arg-type]

    with patch.object(View, "of", lost), pytest.raises(AssertionError):
        check_packed("rotary")


def test_documents_that_nobody_keeps_apart_are_refused() -> None:
    ids = some_ids(1, 4)
    with pytest.raises(UsageError, match="causal & documents"):
        lively(families()["gpt2"])(ids, documents=torch.zeros_like(ids))
    vit = edit(families()["vit"], on(Attention, pattern=Documents()))
    with pytest.raises(UsageError, match="Patches"):
        lively(vit)(torch.zeros(1, 3, 8, 8), documents=torch.zeros(1, 4))
