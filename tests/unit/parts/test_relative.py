"""Vectors of distances against the equations of Shaw et al. 2018, pair by pair, and what they may cost."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from transept.errors import InvalidConfig
from transept.parts import core as core_module
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.core import Core, Fused, Reference
from transept.parts.hard import Hard
from transept.parts.initial import Xavier
from transept.parts.pattern import Causal, Full, Pattern, Window
from transept.parts.relative import RelativeKeys, Several
from transept.parts.sparse import Sliding
from transept.parts.view import View

LONG, REACH = 9, 3
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def layer_of(spec: Attention, width: int = 16) -> AttentionLayer:
    torch.manual_seed(0)
    layer = spec.build(width)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return layer.eval()


def by_the_paper(layer: AttentionLayer, x: Tensor, allowed: Any, clip: int) -> Tensor:
    """Equations 3 and 4 of Shaw et al. 2018, a pair and a head at a time."""
    spec, keys, values = layer.spec, layer.position.weight, layer.position.values  # type: ignore[union-attr]
    wide, shared = layer.head_width, spec.heads // layer.kv_heads
    q, k, v = layer.q(x), layer.k(x), layer.v(x)
    rows = []
    for i in range(len(x)):
        heads = []
        for h in range(spec.heads):
            own = slice(h * wide, (h + 1) * wide)
            group = slice(h // shared * wide, (h // shared + 1) * wide)
            seen = [j for j in range(len(x)) if allowed(i, j)]
            at = {j: max(-clip, min(clip, j - i)) + clip for j in seen}
            e = torch.stack([q[i, own] @ (k[j, group] + keys[at[j]]) / wide**0.5 for j in seen])  # type: ignore[index]
            alpha = e.softmax(0)
            heads.append(sum(a * (v[j, group] + values[at[j]]) for a, j in zip(alpha, seen, strict=True)))  # type: ignore[index]
        rows.append(torch.cat(heads))  # type: ignore[arg-type]
    out: Tensor = layer.o(torch.stack(rows))
    return out


@pytest.mark.parametrize("short", [core_module.SHORT, {}], ids=["products", "written out"])
@pytest.mark.parametrize("core", [Reference(), Fused()], ids=["Reference", "Fused"])
@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("pattern", [Full(), Causal()], ids=str)
def test_keys_and_values_are_those_of_the_paper(pattern: Pattern, kv_heads: int, core: Core, short: Any) -> None:
    position = RelativeKeys(REACH, values="relative")
    layer = layer_of(Attention(4, pattern, core=core, kv_heads=kv_heads, position=position))
    x = torch.randn(LONG, 16)
    wanted = by_the_paper(layer, x, lambda i, j: isinstance(pattern, Full) or j <= i, REACH)
    with patch.object(core_module, "SHORT", short):
        got = layer(x[None], View.of(x[None]))[0]
        assert_close(got, wanted, **TOLERANCE)
        gradients = [
            torch.autograd.grad(made.square().sum(), list(layer.position.parameters()), retain_graph=True)  # type: ignore[union-attr]
            for made in (got, wanted)
        ]
    for mine, theirs in zip(*gradients, strict=True):
        assert float(theirs.abs().max()) > 1e-2
        assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_the_values_count() -> None:
    """What has no values of distances is another function; with zeros there it is the same."""
    whole = layer_of(Attention(4, position=RelativeKeys(REACH, values="relative")))
    keys = layer_of(Attention(4, position=RelativeKeys(REACH)))
    keys.load_state_dict({name: value for name, value in whole.state_dict().items() if name != "position.values"})
    x = torch.randn(2, LONG, 16)
    assert float((whole(x, View.of(x)) - keys(x, View.of(x))).detach().abs().max()) > 0.1
    torch.nn.init.zeros_(whole.position.values)  # type: ignore[union-attr,arg-type]
    assert_close(whole(x, View.of(x)), keys(x, View.of(x)), **TOLERANCE)


def test_a_text_may_begin_anywhere() -> None:
    layer, x = layer_of(Attention(4, position=RelativeKeys(REACH, "both", "relative"))), torch.randn(1, LONG, 16)
    late = View(torch.arange(LONG)[None] + 1000)
    assert_close(layer(x, late), layer(x, View.of(x)), rtol=1e-6, atol=1e-6)


def test_far_distances_are_cut() -> None:
    """With a reach as long as the text nothing is cut, and a longer one changes nothing; a shorter one does."""
    x, layers = torch.randn(1, LONG, 16), {}
    for reach in (LONG - 1, LONG + 4, 2):
        layers[reach] = layer_of(Attention(4, position=RelativeKeys(reach, values="relative")))
    state, more = layers[LONG + 4].state_dict(), 5
    for name in ("position.weight", "position.values"):
        state = state | {name: state[name][more:-more]}
    layers[LONG - 1].load_state_dict(state)
    made = {reach: layer(x, View.of(x)) for reach, layer in layers.items()}
    assert_close(made[LONG - 1], made[LONG + 4], **TOLERANCE)
    cut = state | {name: state[name][LONG - 3 : LONG + 2] for name in ("position.weight", "position.values")}
    layers[2].load_state_dict(cut)
    assert float((layers[2](x, View.of(x)) - made[LONG - 1]).detach().abs().max()) > 0.1
    assert_close(layers[2](x[:, :3], View.of(x[:, :3])), layers[LONG - 1](x[:, :3], View.of(x[:, :3])), **TOLERANCE)


class Largest(TorchDispatchMode):
    """The most numbers that any operation gave."""

    found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple) else (made,):
            if isinstance(one, Tensor) and one.untyped_storage().nbytes() // one.element_size() >= one.numel():
                self.found = max(self.found, one.numel())
        return made


@pytest.mark.parametrize("core", [Reference(), Fused()], ids=["Reference", "Fused"])
def test_no_vector_is_made_for_a_pair(core: Core) -> None:
    """Two heads of 64 features, 200 tokens: a vector for each pair would be 200 x 200 x 64 numbers."""
    layer = layer_of(Attention(2, core=core, position=RelativeKeys(16, values="relative")), width=128)
    x = torch.randn(1, 200, 128, requires_grad=True)
    with Largest() as largest:
        layer(x, View.of(x)).square().sum().backward()
    assert largest.found <= 2 * 200 * 200  # the scores of both heads
    with Largest() as largest:
        torch.zeros(200, 200, 64) + 1.0
    assert largest.found == 200 * 200 * 64  # the mutant: it would be seen


def test_several_are_added() -> None:
    one, other = RelativeKeys(2, values="relative"), RelativeKeys(5, "both")
    layer, x = layer_of(Attention(4, position=Several((one, other)))), torch.randn(2, LONG, 16)
    allowed = View.of(x).allowed(Full(), "self")
    q, k = torch.randn(2, 4, LONG, 4), torch.randn(2, 4, LONG, 4)
    first, second = layer.position.keyed  # type: ignore[union-attr,misc]
    both = layer.position.scores(q, k, allowed)  # type: ignore[union-attr,operator]
    assert_close(both, first.scores(q, k, allowed) + second.scores(q, k, allowed), rtol=1e-6, atol=1e-6)
    assert layer(x, View.of(x)).isfinite().all()
    with pytest.raises(InvalidConfig, match="two or more, not 1"):
        Several((one,))


def test_the_tables_begin_as_the_scheme_says() -> None:
    layer = Attention(4, position=RelativeKeys(60, values="relative")).build(64)
    Xavier().apply(layer, 64)
    for table in layer.position.parameters():  # type: ignore[union-attr]
        assert float(table.std()) == pytest.approx(1 / 8, rel=0.1)


def test_who_computes_them() -> None:
    """Hard attention takes one value with its vector; what makes no (S, T) tensor refuses by name."""
    layer, x = layer_of(Attention(4, core=Hard(), position=RelativeKeys(2, values="relative"))), torch.randn(1, 5, 16)
    assert layer(x, View.of(x)).isfinite().all()
    with pytest.raises(InvalidConfig, match="Sliding makes no .S, T. tensor.*use the core Fused or Reference"):
        Attention(4, Causal() & Window(2), core=Sliding(), position=RelativeKeys(2))
