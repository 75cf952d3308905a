"""Adapters, for every family: beside any matrix they are nothing at first, learn wherever it is read, and add to it.

Cached steps with adapters are those of the model that they are merged into, since both hold the laws of the cache.
"""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from laws.entering import some_rows, together
from laws.subjects import families, lively, logits_of, reads_text, some_ids
from transept.errors import InvalidConfig
from transept.models import Seq2Seq
from transept.parts.lora import Adapted, adapters, drop_lora, lora, merge_lora
from transept.topology import Built

FAMILIES = families()


def answer(model: Built) -> Tensor:
    """The logits for rows of the model's own kind."""
    spec = model.spec
    torch.manual_seed(7)
    if reads_text(spec):
        return logits_of(model, some_ids(2, 6), some_ids(2, 5))
    if isinstance(spec, Seq2Seq):
        rows, valid = together(some_rows(spec.source, (40, 40)), "right")
        return model(rows, some_ids(2, 5), valid).logits
    length = 400 if type(spec.embed).__name__ == "Waveform" else 6  # type: ignore[attr-defined]
    rows, valid = together(some_rows(spec.embed, (length, length)), "right")  # type: ignore[attr-defined]
    return model(rows, valid).logits


def matrices(model: Built) -> int:
    return sum(isinstance(layer, nn.Linear) for layer in model.modules())


def made(name: str) -> Built:
    return lively(FAMILIES[name])


def stirred(model: Built) -> Built:
    for _, layer in adapters(model):
        nn.init.normal_(layer.lora_b, std=0.2)
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_adapters_beside_every_matrix(name: str) -> None:
    model = made(name)
    if not matrices(model):
        with pytest.raises(InvalidConfig, match="this model has no matrix that an adapter could stand beside"):
            lora(model, 1, targets="*")
        return
    before, kept = answer(model).detach(), copy.deepcopy(model.state_dict())
    adapted = lora(model, 1, 2.0, "*").eval()
    assert len(list(adapters(adapted))) == matrices(model)
    assert torch.equal(drop_lora(adapted).state_dict()[next(iter(kept))], kept[next(iter(kept))])
    assert torch.equal(answer(adapted), before)
    stirred(adapted)
    found = answer(adapted)
    assert (found - before).abs().max() > 1e-3
    torch.testing.assert_close(answer(merge_lora(adapted)), found, rtol=1e-4, atol=1e-4)
    dropped = drop_lora(adapted)
    assert torch.equal(answer(dropped), before)
    found.square().sum().backward()
    assert [n for n, layer in adapters(adapted) if layer.lora_a.grad is None] == unread(model)
    assert all(p.grad is None for n, p in adapted.named_parameters() if not n.endswith(("lora_a", "lora_b")))
    assert all(torch.equal(tensor, kept[n]) for n, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, kept[n]) for n, tensor in dropped.state_dict().items())


def unread(model: Built) -> list[str]:
    """The matrices on which the logits do not hang: those of a second head, say."""
    model.zero_grad()
    answer(model).square().sum().backward()
    return [n for n, layer in model.named_modules() if isinstance(layer, nn.Linear) and layer.weight.grad is None]


def wrong() -> Iterator[tuple[str, type[Adapted]]]:
    class Unscaled(Adapted):
        @property
        def scale(self) -> float:
            return 2 * self.alpha

        def merged(self) -> Tensor:
            return self.base + self.alpha / self.rank * self.lora_b @ self.lora_a

    class Turned(Adapted):
        def merged(self) -> Tensor:
            return self.base - self.scale * self.lora_b @ self.lora_a

    class Written(Adapted):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                self.base.add_(1e-3)
            return super().forward(x)

    yield from (("unscaled", Unscaled), ("turned", Turned), ("written", Written))


@pytest.mark.parametrize(("name", "kind"), list(wrong()))
def test_mutants(name: str, kind: type[Adapted], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transept.parts.lora.Adapted", kind)
    monkeypatch.setattr("laws.test_adapting.adapters", lambda model: (
        (n, layer) for n, layer in model.named_modules() if isinstance(layer, kind)
    ))  # fmt: skip
    with pytest.raises(AssertionError):
        test_adapters_beside_every_matrix("gpt2")
