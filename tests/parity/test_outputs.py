"""Law 1: a model of Hugging Face's, read through the family's table, computes what theirs computes."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import decodes
from parity.subjects import (
    NAMED,
    SIDES,
    Batch,
    Pair,
    doubled,
    of_ours,
    of_theirs,
    on_real,
    oracle_of,
    oracles,
    pair,
    writes,
)
from transept.families.registry import all_families
from transept.models import Seq2Seq
from transept.names import Copy

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
EXACT = {"rtol": 1e-10, "atol": 1e-10}
STEPS = 64

subjects = pytest.mark.parametrize("name", NAMED)
decoding = pytest.mark.parametrize("name", [name for name in NAMED if writes(name)])


def test_every_family_with_a_shape_of_theirs_is_a_subject() -> None:
    shaped = {name for name, module in all_families().items() if hasattr(module, "HF_MODELS")}
    assert set(oracles()) == shaped
    assert "transformer" in shaped


def compare(ours: dict[str, Tensor], theirs: dict[str, Tensor], given: Batch, **close: float) -> None:
    assert {"logits", "hidden"} <= set(theirs)
    assert any("map" in name for name in theirs), "theirs gave no maps"
    assert set(theirs) <= set(ours), sorted(set(theirs) - set(ours))
    for name, other in theirs.items():
        mine = on_real(name, ours[name], given)
        assert_close(
            mine, on_real(name, other, given), **close, check_dtype=False, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize(
    ("name", "side"), [(name, side) for name in NAMED for side in getattr(oracle_of(name), "SIDES", SIDES)]
)
@torch.no_grad()
def test_everything_that_a_pass_computes(name: str, side: str) -> None:
    found = pair(name)
    assert decodes(found.ours.spec) == writes(name)
    given = found.batch(side)
    compare(of_ours(found.ours, given), of_theirs(found.theirs, given), given, **CLOSE)


@pytest.mark.parametrize("name", [name for name in NAMED if getattr(oracle_of(name), "DOUBLE", True)])
@torch.no_grad()
def test_in_float64(name: str) -> None:
    found = pair(name)
    ours, theirs = copy.deepcopy(found.ours).double(), copy.deepcopy(found.theirs).double()
    given = doubled(found.batch("right" if "right" in getattr(found.oracle, "SIDES", SIDES) else "none"))
    compare(of_ours(ours, given), of_theirs(theirs, given), given, **EXACT)


@pytest.mark.parametrize("name", [name for name in NAMED if "right" in getattr(oracle_of(name), "SIDES", SIDES)])
@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_padding_is_as_if_alone(name: str, side: str) -> None:
    """Theirs may count positions by columns, so that its own output moves with the padding; alone, it does not."""
    found = pair(name)
    given = found.batch(side)
    ours = found.ours(**given.ours).logits
    assert len(given.alone) == len(ours)
    for i, arguments in enumerate(given.alone):
        mine = ours[i : i + 1]
        if given.real is not None and ours.shape[:2] == given.real.shape:
            mine = mine[:, given.real[i]]
        assert_close(mine, of_theirs(found.theirs, Batch({}, arguments))["logits"], **CLOSE, check_dtype=False)


@decoding
@torch.no_grad()
def test_step_by_step_with_a_cache(name: str) -> None:
    found = pair(name)
    given = found.batch("none", seed=3)
    steps = min(STEPS, (found.ours.spec.limit() or 10**6) - 8)
    quiet = {"do_sample": False, "max_new_tokens": steps, "min_new_tokens": steps, "output_logits": True}
    theirs = copy.deepcopy(found.theirs)
    for word in ("eos_token_id", "forced_eos_token_id", "forced_bos_token_id", "max_length"):
        setattr(theirs.generation_config, word, None)
    theirs.generation_config.pad_token_id = 0
    if isinstance(found.ours.spec, Seq2Seq):
        memory = found.ours.encode(given.ours["source"])
        tokens = torch.full((len(given.ours["source"]), 1), theirs.config.decoder_start_token_id or 0)
        asked = {"input_ids": given.ours["source"], "decoder_start_token_id": int(tokens[0, 0])}
    else:
        memory, tokens = None, given.ours["inputs"][:, :5]
        asked = {"input_ids": tokens}
    other = theirs.generate(
        **asked, attention_mask=torch.ones_like(asked["input_ids"]), return_dict_in_generate=True, **quiet
    )
    cache = found.ours.cache(len(tokens), tokens.size(1) + steps, memory)
    logits = found.ours.decode(tokens, cache=cache)[:, -1]
    assert len(other.logits) == steps
    for expected in other.logits:
        assert_close(logits, expected, **CLOSE, check_dtype=False)
        token = logits.argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, token], 1)
        logits = found.ours.decode(token, cache=cache)[:, 0]
    assert tokens.equal(other.sequences)
    assert_close(logits, found.ours.decode(tokens, memory)[:, -1], **CLOSE)


@subjects
def test_gradients(name: str) -> None:
    found = pair(name)
    given = found.batch("right" if "right" in getattr(found.oracle, "SIDES", SIDES) else "none", seed=4)
    draws = torch.Generator().manual_seed(5)
    weights: dict[str, Tensor] = {}

    def total(results: dict[str, Tensor]) -> Any:
        whole: Any = 0.0
        for part in ("logits", "second"):
            if part in results:
                value = on_real(part, results[part], given)
                if part not in weights:
                    weights[part] = torch.randn(value.shape, generator=draws)
                whole = whole + (value * weights[part]).sum() / len(value)
        return whole

    for model in (found.ours, found.theirs):
        model.zero_grad()
    total(of_ours(found.ours, given)).backward()
    total(of_theirs(found.theirs, given)).backward()
    compare_gradients(found)


def compare_gradients(found: Pair) -> None:
    names = found.family.names(found.ours.spec)
    parameters = dict(found.ours.named_parameters())
    idle = torch.zeros_like
    ours = names.to_theirs({name: idle(p) if p.grad is None else p.grad for name, p in parameters.items()})
    theirs = {name: parameter.grad for name, parameter in found.theirs.named_parameters()}
    for entry in names.entries:
        if isinstance(entry, Copy):  # one table of ours is several of theirs, whose gradients add up
            first = names.their_name(entry.ours)
            parts = [grad for grad in (theirs.pop(entry.theirs, None), theirs.get(first)) if grad is not None]
            theirs[first] = sum(parts[1:], parts[0])
    compared = {name: grad for name, grad in theirs.items() if grad is not None}
    moved = [name for name, p in parameters.items() if p.grad is not None and p.grad.any()]
    assert len(moved) >= len(compared) / 4  # several of theirs may be one of ours, and the other way round
    assert compared
    for name, other in compared.items():
        reach = float(other.abs().max())
        assert_close(
            ours[name],
            other,
            rtol=1e-4,
            # A sum of many products errs by its largest terms; a bias of keys has no effect, and only errors are left,
            # which are of 1.4e-7 where a processor's sums have another order (AVX-512).
            atol=1e-5 * max(reach, 5e-2),
            check_dtype=False,
            msg=lambda text, name=name: f"{name}: {text}",
        )
