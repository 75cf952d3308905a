"""Heads cut out of the weights are heads that are cut: of every family and variant, to the last bits."""

import pytest
import torch
from torch.testing import assert_close

from laws.entering import some_rows, together, wordless
from laws.subjects import attends, lively, logits_of, padded, reads_text, some_ids, variants
from transept.errors import UsageError
from transept.inspect.cut import HeadAt, cut
from transept.inspect.importance import Unit, importance, least, usefulness
from transept.inspect.prune import groups, prunable, prune, units
from transept.inspect.record import attentions
from transept.parts.attention import AttentionLayer
from transept.parts.grid import GridBias
from transept.parts.hard import HardLayer
from transept.parts.scored import Alibi, Buckets
from transept.spec import from_json, to_json
from transept.topology import Built

ALL = variants() | wordless()
SUBJECTS = {name: spec for name, spec in ALL.items() if attends(spec)[1]}


def asked(name: str, model: Built) -> torch.Tensor:
    torch.manual_seed(1)
    if reads_text(ALL[name]):
        source, source_valid = padded([some_ids(n) for n in (7, 4)], "right")
        target, valid = padded([some_ids(n) for n in (5, 8)], "left")
        return logits_of(model, source, target, source_valid, valid)
    spec = ALL[name]
    entry = spec.embed if hasattr(spec, "stack") else spec.source
    inputs, real = together(some_rows(entry, (330, 250)), "right")
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    if hasattr(spec, "decoder"):
        return model(inputs, some_ids(2, 5), real).logits
    return model(inputs, real).logits


def first_that_goes(model: Built) -> dict[str, list[int]]:
    """Something that can go of every attention: the unit with the lowest number, and another of every second one."""
    scores = {name: torch.arange(layer.spec.heads).flip(0).float() for name, layer in attentions(model).items()}
    own = {name: layer.spec.heads for name, layer in prunable(model).items()}
    for count in range(sum(own.values()) - len(own), 0, -1):
        if found := least(units(model, scores), own, count // 2 + 1):
            return found
    return {}


def inside(stack: torch.nn.Module) -> list[AttentionLayer]:
    """The attentions of a stack to itself."""
    return [layer for layer in attentions(stack).values() if layer.spec.source == "self"]


@pytest.mark.parametrize("name", SUBJECTS)
@torch.no_grad()
def test_without_their_weights_is_without_them(name: str) -> None:
    model = lively(SUBJECTS[name]).double()  # sums in another order differ by 2e-6 in float32
    gone = first_that_goes(model)
    if not gone:
        assert all(len(groups(layer)) == 1 for layer in prunable(model).values())
        return
    stacks = [getattr(model, trunk) for trunk in ("stack", "encoder", "decoder") if hasattr(model, trunk)]
    if any(isinstance(getattr(s.spec, "position", None), Alibi | GridBias) for s in stacks):
        with pytest.raises(UsageError, match="slope"):
            prune(model, gone)
        return
    tied = [layer for s in stacks if isinstance(getattr(s.spec, "position", None), Buckets) for layer in inside(s)]
    if {id(layer) for layer in tied} - {id(layer) for layer in prunable(model).values()}:  # some cannot lose theirs
        with pytest.raises(UsageError, match="one table"):
            prune(model, gone)
        return
    smaller = prune(model, gone)
    before = sum(p.numel() for p in model.parameters())
    assert sum(p.numel() for p in smaller.parameters()) < before
    assert from_json(to_json(smaller.spec)) == smaller.spec
    with cut(model, *(HeadAt(at, head) for at, heads in gone.items() for head in heads)):
        wanted = asked(name, model)
    assert wanted.dtype is torch.float64
    assert_close(asked(name, smaller), wanted, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(asked(name, model), wanted, rtol=1e-3, atol=1e-4)
    again = smaller.spec.build()
    again.load_state_dict(smaller.state_dict())


def test_mutant_the_wrong_head() -> None:
    model = lively(ALL["transformer"])
    smaller = prune(model, {"decoder.blocks.0.cross": [1]})
    with cut(model, HeadAt("decoder.blocks.0.cross", 2)), pytest.raises(AssertionError):
        assert_close(asked("transformer", smaller), asked("transformer", model), rtol=1e-5, atol=2e-6)


def test_what_cannot_go_is_refused() -> None:
    model = lively(ALL["transformer"])
    at = "decoder.blocks.0.cross"
    for heads, words in (([9], "heads 0 to 3"), ([0, 1, 2, 3], "lose all of its 4 heads")):
        with pytest.raises(UsageError, match=words):
            prune(model, {at: heads})
    with pytest.raises(UsageError, match="no attention of that name"):
        prune(model, {"decoder.blocks.7.cross": [0]})
    with pytest.raises(UsageError, match="share their keys"):
        prune(lively(ALL["transformer, 2 key/value heads"]), {at: [0]})
    t5 = lively(ALL["t5"])
    with pytest.raises(UsageError, match="one table of scores by position"):
        prune(t5, {"encoder.blocks.0.attention": [0]})
    assert prune(t5, {"encoder.blocks.0.attention": [0], "encoder.blocks.1.attention": [0]}) is not t5


def test_the_gradient_is_that_of_the_mask() -> None:
    """|dL/dxi| against differences of the loss of each row with a head a little stronger and weaker."""
    model, ids = lively(ALL["gpt2"]).double(), some_ids(3, 6)
    found = importance(model, [ids], lambda batch: model(batch).logits.square().sum(), normalise=False)
    for at, layer in attentions(model).items():
        for head in range(layer.spec.heads):
            rows = []
            for by in (1e-4, -1e-4):
                factor = torch.ones(1, layer.spec.heads, 1, 1, dtype=torch.float64)
                factor[0, head] += by
                with (
                    layer.mix.register_forward_hook(lambda _, given, mix, factor=factor: mix * factor),
                    torch.no_grad(),
                ):
                    rows.append(model(ids).logits.square().sum((1, 2)))
            slope = ((rows[0] - rows[1]) / 2e-4).abs().mean()
            assert_close(found[at][head], slope, rtol=1e-5, atol=1e-7)
    scaled = importance(model, [ids[:1], ids[1:]], lambda batch: model(batch).logits.square().sum())
    for at in found:
        assert_close(scaled[at], found[at] / found[at].norm(), rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_usefulness_is_what_is_measured() -> None:
    model, ids = lively(ALL["bart"]), some_ids(1, 6)

    def ask() -> torch.Tensor:
        return model(ids, ids).logits.square().mean()

    found, whole = usefulness(model, ask), ask()
    with cut(model, HeadAt("decoder.blocks.1.cross", 2)):
        assert_close(found["decoder.blocks.1.cross"][2], ask() - whole, rtol=1e-5, atol=1e-7)
    assert set(found) == set(attentions(model))


def test_the_least_go_first_and_one_stays() -> None:
    singles = [
        Unit({name: (head,)}, score)
        for name, head, score in (("a", 0, 0.1), ("a", 1, 0.2), ("b", 0, 0.3), ("b", 1, 0.05), ("b", 2, 0.06))
    ]
    heads = {"a": 2, "b": 3}
    assert least(singles, heads, 2) == {"b": [1, 2]}
    assert least(singles, heads, 3) == {"a": [0], "b": [1, 2]}
    with pytest.raises(UsageError, match="so 3 can"):
        least(singles, heads, 4)
    even = [Unit({name: (head,)}, score + head) for name, score in (("a", 0.0), ("b", 10.0)) for head in range(4)]
    assert least(even, {"a": 4, "b": 4}, 4, even=True) == {"a": [0, 1], "b": [0, 1]}
    assert least(even, {"a": 4, "b": 4}, 4) == {"a": [0, 1, 2], "b": [0]}


def test_hard_heads_are_scored_too() -> None:
    assert any(
        isinstance(layer.core, HardLayer) for name in SUBJECTS for layer in prunable(SUBJECTS[name].build()).values()
    )
