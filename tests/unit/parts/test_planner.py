"""What the planner chooses, and that it chooses it from the description alone."""

import pytest
import torch
import torch._dynamo as dynamo
from torch.testing import assert_close

from laws.subjects import families, lively, on, some_ids
from transept.cli.flat import brief
from transept.parts.attention import Attention
from transept.parts.core import Core, Fused, Reference
from transept.parts.pattern import Causal, Window
from transept.parts.pattern_text import parse_pattern
from transept.parts.planner import Auto
from transept.parts.relative import RelativeKeys
from transept.parts.sparse import BlockSparse, BlockwiseLayer, Sliding
from transept.spec import edit


@pytest.mark.parametrize(
    ("pattern", "core"),
    [
        ("full", Fused()),
        ("causal", Fused()),
        ("causal & window(5)", Sliding()),
        ("local(256, 1)", Sliding()),
        ("causal & documents & band(7)", Sliding()),
        ("window(5) | first(2)", BlockSparse(64)),
        ("local(32, 1, 1) | global_blocks(32) | random_blocks(32, 3, 4096)", BlockSparse(32)),
        ("window(3) | global_blocks(1)", BlockSparse(64)),
        ("causal & (band(8) | strided(8))", Fused()),
        ("~window(3)", Fused()),
    ],
)
def test_a_pattern_gets_the_cheapest_core(pattern: str, core: Core) -> None:
    attend = Attention(4, parse_pattern(pattern), core=Auto())
    assert attend.core.chosen(attend) == core
    assert f"core=Auto() that chose {brief(core)}" in brief(attend)


def test_what_blocks_cannot_do_is_left_to_the_fused_core() -> None:
    for more in ({"source": "memory"}, {"position": RelativeKeys(3)}):
        attend = Attention(4, parse_pattern("window(3)"), core=Auto(), **more)  # type: ignore[arg-type]
        assert attend.core.chosen(attend) == Fused()


def test_a_model_computes_every_length_in_one_way_and_gets_what_the_reference_gets() -> None:
    near = on(Attention, pattern=Causal() & Window(3), core=Auto())
    model = lively(edit(families()["gpt2"], near))
    same = lively(edit(families()["gpt2"], on(Attention, pattern=Causal() & Window(3), core=Reference())))
    used = [type(layer) for layer in model.modules() if isinstance(layer, BlockwiseLayer)]
    assert len(used) == 2
    for length in (1, 2, 30):
        ids = some_ids(2, length)
        assert_close(model(ids).logits, same(ids).logits, rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match="chosen"):
        Auto().build(4, 8)


@pytest.mark.parametrize("near", ["window(3)", "(window(2) | random_blocks(2, 2, 24) | global_blocks(2))"])
def test_a_cached_step_is_one_graph(near: str) -> None:
    """As with any core: the fused one computes it, and whatever draws a pattern is arithmetic."""
    spec = edit(families()["gpt2"], on(Attention, pattern=parse_pattern(f"causal & {near}"), core=Auto()))
    model, ids = lively(spec), some_ids(2, 8)
    dynamo.reset()
    step = torch.compile(
        lambda token, cache: model.decode(token, cache=cache), backend="eager", fullgraph=True, dynamic=False
    )
    with torch.no_grad():
        cache = model.cache(2, 8)
        out = [model.decode(ids[:, :5], cache=cache), *(step(ids[:, t : t + 1], cache) for t in range(5, 8))]
        assert_close(torch.cat(out, 1), model.decode(ids), rtol=1e-5, atol=1e-5)
