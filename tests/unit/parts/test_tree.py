"""Places in dependency trees: a tree of six words by hand, any tree against its paths, and what reads them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from transept.data.trees import places, token_places, tree_tensor
from transept.errors import InvalidConfig, UsageError
from transept.families import bert, transformer
from transept.parts.attention import Attention
from transept.parts.pattern import Causal
from transept.parts.position import Sinusoid, Structural
from transept.parts.relative import RelativeKeys
from transept.parts.shorten import Shorten
from transept.parts.tree import apart, depth
from transept.spec import replace

# Bush held a talk with Sharon: held is the root, Bush and talk hang from it, a and Sharon from talk, with from Sharon.
HEADS = [1, 1, 3, 1, 5, 3]
DEPTHS = [1, 0, 2, 1, 3, 2]
APART = [
    # Bush held a talk with Sharon: each word's distance from
    [0, 1, -3, -2, -4, -3],
    [-1, 0, -2, -1, -3, -2],
    [3, 2, 0, 1, -5, -4],
    [2, 1, -1, 0, -2, -1],
    [4, 3, 5, 2, 0, 1],
    [3, 2, 4, 1, -1, 0],
]


def tree_of(heads: list[int]) -> Tensor:
    return tree_tensor([places(heads)])


def between(tree: Tensor) -> Tensor:
    at = torch.arange(tree.size(1))[None]
    return apart(tree, tree, at, at)[0]


@st.composite
def trees(draw: st.DrawFn) -> list[int]:
    """The heads of any tree of up to 12 words."""
    size = draw(st.integers(1, 12))
    order = draw(st.permutations(range(size)))
    heads = [0] * size
    for i, word in enumerate(order):
        heads[word] = word if i == 0 else order[draw(st.integers(0, i - 1))]
    return heads


def test_a_tree_by_hand() -> None:
    tree = tree_of(HEADS)
    assert depth(tree)[0].tolist() == DEPTHS
    assert between(tree).tolist() == APART


@settings(max_examples=200, deadline=None, derandomize=True)
@given(heads=trees())
def test_any_tree_against_its_paths(heads: list[int]) -> None:
    def path(word: int) -> list[int]:
        return [word] if heads[word] == word else [word, *path(heads[word])]

    tree, far = tree_of(heads), [len(path(word)) - 1 for word in range(len(heads))]
    made = between(tree)
    assert depth(tree)[0].tolist() == far
    assert torch.equal(made, -made.T)
    for i in range(len(heads)):
        for j in range(len(heads)):
            side = (i > j) - (i < j)
            on_one = i in path(j) or j in path(i)
            assert int(made[i, j]) == (far[i] - far[j] if on_one else side * (far[i] + far[j]))


def test_a_chain_is_the_line() -> None:
    """Each word hangs from its left neighbour: then the depth is the number of the word, and a distance i - j."""
    tree = tree_of([0, *range(7)])
    assert depth(tree)[0].tolist() == list(range(8))
    at = torch.arange(8)
    assert torch.equal(between(tree), at[:, None] - at)


def test_pieces_of_a_word_stand_together() -> None:
    """talk becomes three pieces: all have its depth, nothing lies between them, and others see them alike."""
    words = [0, 1, 2, 3, 3, 3, 4, 5, None]
    tree = tree_tensor([token_places(places(HEADS), words)])
    made, whole = between(tree), torch.tensor(APART)
    assert depth(tree)[0].tolist() == [1, 0, 2, 1, 1, 1, 3, 2, 0]
    for i, one in enumerate(words):
        for j, other in enumerate(words):
            if one is not None and other is not None:
                assert made[i, j] == whole[one, other]
    assert made[-1].tolist() == [-d for d in depth(tree)[0].tolist()]  # the mark at the end stands at the root


def test_the_sinusoids_are_fused() -> None:
    layer = Structural().build(8)
    torch.nn.init.normal_(layer.mix.weight)
    torch.nn.init.normal_(layer.mix.bias)
    at, sinusoid = torch.arange(6)[None], Sinusoid().build(8)
    both = torch.cat([sinusoid(at), sinusoid(torch.tensor([DEPTHS]))], -1)
    wanted = (both @ layer.mix.weight.T + layer.mix.bias).tanh()
    assert_close(layer(at, tree_of(HEADS)), wanted, rtol=1e-6, atol=1e-6)
    assert layer(at, tree_of(HEADS).expand(3, -1, -1)).shape == (3, 6, 8)


# ------------------------------------------------------------------ in models

WANG = "structural + relative(4) + tree(3)"


def test_the_2019_encoder_reads_trees_and_its_decoder_none() -> None:
    torch.manual_seed(0)
    spec = transformer.declare(**transformer.TOY, positions=WANG)
    assert spec.source is not None and spec.share == "table"
    assert (spec.source.position, spec.embed.position) == (Structural(), Sinusoid())  # type: ignore[attr-defined]
    model = spec.build().eval()
    source, target = torch.randint(3, 23, (2, 6)), torch.randint(3, 23, (2, 5))
    tree, other = tree_of(HEADS).expand(2, -1, -1), tree_of([0, 0, 1, 2, 3, 4]).expand(2, -1, -1)
    made = model(source, target, tree=tree).logits
    assert_close(model.decode(target, model.encode(source, tree=tree)), made, rtol=1e-6, atol=1e-6)
    assert float((model(source, target, tree=other).logits - made).abs().max()) > 1e-3  # the tree is felt
    with pytest.raises(UsageError, match="no tree was given"):
        model(source, target)
    with pytest.raises(UsageError, match="no position of this model reads one"):
        transformer.declare(**transformer.TOY).build()(source, target, tree=tree)


def test_each_position_feels_its_tree() -> None:
    torch.manual_seed(0)
    ids = torch.randint(3, 23, (1, 6))
    for positions in ("structural", "tree(3)"):
        model = bert.declare(**bert.TOY, positions=positions).build().eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        one, two = (model(ids, tree=tree_of(heads)).logits for heads in (HEADS, [0, 0, 1, 2, 3, 4]))
        assert float((one - two).abs().max()) > 1e-3
        with pytest.raises(UsageError, match=r"no tree was given\n  .*model\(ids, valid, tree=tree\)"):
            model(ids)


def test_where_a_tree_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="has no place in a tree"):
        Attention(4, Causal(), position=RelativeKeys(2, along="tree"), shorten=Shorten(2))
    spec = transformer.declare(**transformer.TOY)
    with pytest.raises(InvalidConfig, match="the positions of the decoder are places in a tree"):
        replace(spec, embed=replace(spec.embed, position=Structural()))
