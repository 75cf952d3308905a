"""Law 1: a model of Hugging Face's, read through the family's table, computes what theirs computes."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from parity.subjects import NAMED, SUBJECTS, Batch, Pair, batch, pair
from transept.families.registry import all_families
from transept.names import Copy
from transept.parts.loss import Smoothing

CLOSE = {"rtol": 1e-5, "atol": 1e-5}

subjects = pytest.mark.parametrize("name", NAMED)


def test_every_family_with_a_shape_of_theirs_is_a_subject() -> None:
    shaped = {name for name, module in all_families().items() if hasattr(module, "HF_MODELS")}
    assert set(SUBJECTS) == shaped
    assert "transformer" in shaped


@subjects
@pytest.mark.parametrize("side", ["none", "right"])
@torch.no_grad()
def test_logits_and_states(name: str, side: str) -> None:
    found, given = pair(name), batch(pair(name).ours, side)
    layers: list[Tensor] = []
    blocks = [*found.ours.encoder.blocks, *found.ours.decoder.blocks]
    hooks = [block.register_forward_hook(lambda module, args, out: layers.append(out)) for block in blocks]
    ours = found.ours(*given.for_ours())
    for hook in hooks:
        hook.remove()
    theirs = found.theirs(**given.for_theirs(), output_hidden_states=True)
    assert_close(ours.logits[given.valid], theirs.logits[given.valid], **CLOSE)
    assert_close(ours.memory.states[given.real], theirs.encoder_last_hidden_state[given.real], **CLOSE)
    assert_close(ours.hidden[given.valid], theirs.decoder_hidden_states[-1][given.valid], **CLOSE)
    split = len(found.ours.encoder.blocks)
    for mine, other in zip(layers[:split], theirs.encoder_hidden_states[1:], strict=True):
        assert_close(mine[given.real], other[given.real], **CLOSE)
    for mine, other in zip(layers[split:], theirs.decoder_hidden_states[1:], strict=True):
        assert_close(mine[given.valid], other[given.valid], **CLOSE)


@subjects
@torch.no_grad()
def test_padding_on_the_left_is_as_if_alone(name: str) -> None:
    """Theirs counts positions by columns, so that its own output moves with the padding; alone, it does not."""
    found, given = pair(name), batch(pair(name).ours, "left")
    ours = found.ours(*given.for_ours()).logits
    for i in range(len(ours)):
        alone = found.theirs(
            input_ids=given.source[i : i + 1, given.real[i]], decoder_input_ids=given.target[i : i + 1, given.valid[i]]
        )
        assert_close(ours[i, given.valid[i]], alone.logits[0], **CLOSE)


@subjects
@torch.no_grad()
def test_step_by_step_with_a_cache(name: str) -> None:
    found, given = pair(name), batch(pair(name).ours, "right", seed=2)
    target = batch(found.ours, "none", seed=3).target
    memory = found.ours.encode(given.source, given.real)
    cache = found.ours.cache(len(target), target.size(1), memory)
    past, entered = None, found.theirs.get_encoder()(given.source, attention_mask=given.real.long())
    whole = found.ours.decode(target, memory)
    for t in range(target.size(1)):
        step = found.ours.decode(target[:, t : t + 1], cache=cache)[:, 0]
        theirs = found.theirs(
            encoder_outputs=entered,
            attention_mask=given.real.long(),
            decoder_input_ids=target[:, t : t + 1],
            past_key_values=past,
            use_cache=True,
        )
        past = theirs.past_key_values
        assert_close(step, theirs.logits[:, 0], **CLOSE)
        assert_close(step, whole[:, t], **CLOSE)


@subjects
def test_loss_and_gradients(name: str) -> None:
    found, given = pair(name), batch(pair(name).ours, "right", seed=4)
    count = int((given.labels != -100).sum())
    found.ours.zero_grad()
    found.theirs.zero_grad()
    states, entered = found.ours.hidden(*given.for_ours())
    ours = found.ours.head.loss(states, entered, given.labels, Smoothing(0.1, "uniform"))
    (ours.total / count).backward()
    logits = found.theirs(**given.for_theirs()).logits
    theirs = F.cross_entropy(logits.flatten(0, 1), given.labels.flatten(), label_smoothing=0.1)
    theirs.backward()
    assert int(ours.count) == count
    assert_close(ours.total / count, theirs, **CLOSE)
    plain = F.cross_entropy(logits.flatten(0, 1), given.labels.flatten())
    assert_close(ours.nll / count, plain, **CLOSE)
    compare_gradients(found, given)


def compare_gradients(found: Pair, given: Batch) -> None:
    names = found.family.names(found.ours.spec)
    parameters = dict(found.ours.named_parameters())
    assert all(parameter.grad is not None for parameter in parameters.values())
    ours = names.to_theirs({name: parameter.grad for name, parameter in parameters.items()})
    theirs = {name: parameter.grad for name, parameter in found.theirs.named_parameters()}
    for entry in names.entries:
        if isinstance(entry, Copy):  # one table of ours is several of theirs, whose gradients add up
            first = names.their_name(entry.ours)
            parts = [grad for grad in (theirs.pop(entry.theirs), theirs.get(first)) if grad is not None]
            theirs[first] = sum(parts[1:], parts[0])
    compared = [name for name, grad in theirs.items() if grad is not None]
    assert len(compared) >= len(parameters) - 1  # the bias of the logits is a buffer of theirs, which learns nothing
    for name in compared:
        assert_close(ours[name], theirs[name], **CLOSE, msg=lambda text, name=name: f"{name}: {text}")
