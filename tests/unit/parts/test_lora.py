"""Adapters of low rank: nothing at first, the base when they are dropped, and themselves when they are merged."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig, UsageError
from transept.families.registry import family
from transept.parts.lora import Adapted, adapters, beside, drop_lora, lora, merge_lora
from transept.topology import Built


def made(name: str, **words: object) -> Built:
    torch.manual_seed(5)
    model = family(name).declare(**family(name).TOY | words).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def given(model: Built) -> tuple[Tensor, ...]:
    ids = torch.randint(3, 20, (2, 9), generator=torch.Generator().manual_seed(1))
    return (ids,) if hasattr(model, "stack") else (ids, ids[:, :6])


def stirred(model: Built) -> Built:
    """B is nothing at first: a model that does something with its adapters."""
    for _, layer in adapters(model):
        nn.init.normal_(layer.lora_b, std=0.3)
    return model


MODELS = ["bert", "gpt2", "llama", "transformer", "t5", "bart"]


@pytest.mark.parametrize("name", MODELS)
def test_at_first_nothing_changes_and_nothing_else_is_trained(name: str) -> None:
    model = made(name)
    before = copy.deepcopy(model.state_dict())
    adapted = lora(model, 2, 4.0, dropout=0.5)
    assert torch.equal(adapted(*given(model)).logits, model(*given(model)).logits)
    learning = [n for n, p in adapted.named_parameters() if p.requires_grad]
    assert learning and all(n.endswith(("lora_a", "lora_b")) for n in learning)
    assert all(p.requires_grad for p in model.parameters())  # the given one is left as it is
    assert len(list(adapters(adapted))) == len(learning) // 2
    assert all(torch.equal(tensor, model.state_dict()[n]) for n, tensor in before.items())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("targets", ["*.attention|cross.q|v", "*"])
def test_merged_equals_adapted_and_dropped_is_the_base(name: str, targets: str) -> None:
    model = made(name)
    adapted = stirred(lora(model, 2, 4.0, targets))
    found, base = adapted(*given(model)).logits, model(*given(model)).logits
    merged, dropped = merge_lora(adapted), drop_lora(adapted)
    assert (found - base).abs().max() > 1e-3
    torch.testing.assert_close(merged(*given(model)).logits, found, rtol=1e-5, atol=2e-5 if targets == "*" else 2e-6)
    assert merged.state_dict().keys() == dropped.state_dict().keys() == model.state_dict().keys()
    for n, tensor in model.state_dict().items():
        assert torch.equal(dropped.state_dict()[n], tensor), n
    assert torch.equal(dropped(*given(model)).logits, base)
    assert not any(adapters(merged)) and any(adapters(adapted))
    assert all(p.requires_grad for p in merged.parameters())


def test_every_matrix_that_is_read_and_not_called_is_adapted_too() -> None:
    """Some layers read `weight`: a vocabulary its scores, an LSTM its gates. Their adapters learn as all others."""
    for name in ("lstm", "luong", "gpt2", "t5", "ntm"):
        model = made(name, **({"embeddings": "separate"} if name == "t5" else {}))
        adapted = stirred(lora(model, 1, 2.0, "*"))
        inputs = given(model)
        if name == "ntm":
            inputs = (torch.rand(2, 5, model.embed.features),) if hasattr(model.embed, "features") else inputs
        adapted(*inputs).logits.square().sum().backward()
        still = [n for n, layer in adapters(adapted) if layer.lora_a.grad is None or not layer.lora_a.grad.any()]
        assert still == [], name


def test_the_layer_is_the_equation() -> None:
    torch.manual_seed(0)
    layer = Adapted(nn.Linear(6, 5), 2, 3.0, 0.0)
    nn.init.normal_(layer.lora_b)
    x = torch.randn(4, 6)
    expected = x @ layer.base.T + layer.bias + 1.5 * (x @ layer.lora_a.T) @ layer.lora_b.T
    torch.testing.assert_close(layer(x), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(F.linear(x, layer.weight, layer.bias), expected, rtol=1e-5, atol=1e-6)


def test_dropout_is_of_what_the_adapter_reads_in_training_alone() -> None:
    layer = Adapted(nn.Linear(64, 5), 2, 2.0, 0.5)
    nn.init.normal_(layer.lora_b)
    x = torch.ones(3, 64)
    assert torch.equal(layer.eval()(x), layer(x))
    assert not torch.equal(layer.train()(x), layer(x))
    with torch.no_grad():
        layer.lora_b.zero_()
    assert torch.equal(layer(x), layer(x))  # W reads all of it


def test_a_matrix_that_stands_in_two_places_has_one_adapter() -> None:
    model = made("bert", depth=2)
    model.stack.blocks[1].attention = model.stack.blocks[0].attention
    adapted = lora(model, 2, 4.0)
    assert len(list(adapters(adapted))) == 2
    assert adapted.stack.blocks[1].attention.q is adapted.stack.blocks[0].attention.q


def test_what_cannot_be_is_refused() -> None:
    model = made("bert")
    adapted = lora(model, 2)
    with pytest.raises(UsageError, match="has adapters already"):
        lora(adapted, 2)
    with pytest.raises(InvalidConfig, match=r"targets: nothing here is called '\*.atention.q'"):
        lora(model, 2, targets="*.atention.q")
    with pytest.raises(InvalidConfig, match="rank: 33 is no low rank of stack.blocks.0.attention.q, which is 32 x 32"):
        lora(model, 33)
    for words in ({"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}):
        with pytest.raises(InvalidConfig, match="cannot be"):
            lora(model, **{"rank": 2} | words)
    layer = nn.Linear(4, 4)
    pair = nn.ModuleDict({"a": layer, "b": nn.Embedding(4, 4, _weight=layer.weight)})
    pair["b"].weight = layer.weight
    with pytest.raises(InvalidConfig, match="targets: a shares its weights with b"):
        beside(pair, {"a": (2, 2.0)})
