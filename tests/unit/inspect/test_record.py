"""What is recorded explains what was computed, of every family that reads text, and changes no bit of it."""

import pytest
import torch
from torch.testing import assert_close

import transept
from laws.subjects import families, lively, logits_of, padded, reads_text, some_ids
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.decode.search import search
from transept.errors import UsageError
from transept.inspect.record import attentions, record
from transept.models import Seq2Seq
from transept.topology import Built

FAMILIES = {name: spec for name, spec in families().items() if reads_text(spec) and attentions(spec.build())}
# Linformer's rows are of mixtures, and what is recalled is mixed in after the row.
EXPLAINED = [name for name in FAMILIES if name not in ("linformer", "memorizing")]


@pytest.mark.parametrize("name", EXPLAINED)
@torch.no_grad()
def test_rows_explain_the_pass_and_change_nothing(name: str) -> None:
    model = lively(FAMILIES[name])
    source, source_valid = padded([some_ids(n) for n in (7, 4, 6)], "right")
    target, valid = padded([some_ids(n) for n in (5, 8, 3)], "left")
    plain = logits_of(model, source, target, source_valid, valid)
    mixed: dict[str, torch.Tensor] = {}
    hooks = [
        layer.mix.register_forward_hook(
            lambda _, given, mix, name=name: mixed.__setitem__(
                name, torch.cat([mixed[name], mix], 2) if name in mixed else mix
            )
        )
        for name, layer in attentions(model).items()
    ]
    values = {}
    for at, layer in attentions(model).items():
        hooks.append(layer.asked.register_forward_hook(lambda _, given, asked, at=at: values.__setitem__(at, asked[2])))
    with record(model) as kept:
        recorded = logits_of(model, source, target, source_valid, valid)
    assert torch.equal(recorded, plain)
    assert set(kept) == set(attentions(model))
    for at, weights in kept.items():
        v = values[at].repeat_interleave(weights.size(1) // values[at].size(1), 1)
        asks = source_valid if at.startswith("encoder") else valid  # what padding asks for is nobody's
        own = asks[:, None, :, None] if asks.size(1) == weights.size(2) else torch.ones(1, dtype=torch.bool)
        assert_close(weights @ v * own, mixed[at] * own, rtol=1e-5, atol=1e-5)
        total = weights.sum(-1)
        assert ((total - 1).abs() < 1e-5).logical_or(total == 0).all()
        real = source_valid if "encoder" in at or "cross" in at or "attend" in at else valid
        if weights.size(3) == real.size(1):
            assert weights.masked_select(~real[:, None, None]).abs().sum() == 0
    for hook in hooks:
        hook.remove()
    assert torch.equal(logits_of(model, source, target, source_valid, valid), plain)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_are_the_same_while_recording(name: str) -> None:
    model, source, target = lively(FAMILIES[name]), some_ids(2, 6), some_ids(2, 5)

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        logits_of(model, source, target).square().sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    plain = gradients()
    with record(model):
        recorded = gradients()
    assert recorded.keys() == plain.keys()
    assert all(torch.equal(recorded[name], grad) for name, grad in plain.items())


def test_a_batch_that_changes_cannot_be_one_record() -> None:
    model, special = lively(families()["bahdanau"]), Special(bos=1, eos=2)
    with record(model) as kept:
        search(model, [[5, 6, 2], [7, 2]], Search(method="beam", beam=3), special)
    with pytest.raises(UsageError, match="rows of the batch changed while decoder.attend was recorded"):
        kept["decoder.attend"]


def test_the_rows_of_a_time_loop_stand_in_the_order_of_its_steps() -> None:
    model = lively(families()["bahdanau"])
    source, target = some_ids(2, 6), some_ids(2, 4)
    with record(model, "decoder.*") as whole:
        model(source, target)
    assert whole["decoder.attend"].shape == (2, 1, 4, 6)
    memory = model.encode(source)
    cache = model.cache(2, 8, memory)
    with record(model) as stepped, torch.no_grad():
        for t in range(4):
            model.decode(target[:, t : t + 1], cache=cache)
    assert_close(stepped["decoder.attend"], whole["decoder.attend"], rtol=1e-5, atol=1e-6)


def test_steps_with_a_cache_are_rows_of_growing_reach() -> None:
    model = lively(families()["gpt2"])
    ids = some_ids(1, 5)
    with record(model, "stack.blocks.0.*") as whole, torch.no_grad():
        model(ids)
    cache = model.cache(1, 9)
    with record(model, "stack.blocks.0.*") as stepped, torch.no_grad():
        model.decode(ids[:, :3], cache=cache)
        model.decode(ids[:, 3:], cache=cache)
    rows = stepped["stack.blocks.0.attention"]
    assert rows.shape == (1, 4, 5, 9)
    assert_close(rows[..., :5], whole["stack.blocks.0.attention"], rtol=1e-5, atol=1e-6)
    assert not rows[..., 5:].any()


def test_what_is_not_there_is_named() -> None:
    model: Built = lively(families()["transformer"])
    assert isinstance(model.spec, Seq2Seq)
    words = r"no attention is called 'decoder.blocks.0.corss'.*'decoder.blocks.0.cross'"
    with pytest.raises(UsageError, match=words), record(model, "decoder.blocks.0.corss"):
        pass
    with transept.record(model, "decoder.*.cross") as kept:
        model(some_ids(1, 3), some_ids(1, 2))
    assert [name.split(".")[2] for name in kept] == ["0", "1"]
    with pytest.raises(KeyError, match="nothing was recorded"):
        kept["decoder.blocks.0.attention"]
    with pytest.raises(UsageError, match="none"), record(lively(families()["lstm"])):
        pass
