"""Hierarchical attention: against its equations, what order and padding do, and a sentence that carries the label."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from laws.subjects import lively
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.families import han
from transept.models import ModelLayer
from transept.parts.queried import QueriedLayer
from transept.parts.straight import Straight
from transept.spec import replace


def toy() -> ModelLayer:
    model = lively(han.declare(**han.TOY))
    assert isinstance(model, ModelLayer)
    return model


def looked(model: ModelLayer, ids: Tensor, valid: Tensor | None = None) -> list[Tensor]:
    """The weights of words (B * L, W) and of sentences (B, L), read as those of any attention."""
    kept: list[Tensor] = []

    def keep(module: object, args: object, value: Any, own: Any) -> None:
        q, k, _, allowed = value
        kept.append(own.core.weights(q, k, allowed, own.scale)[:, 0, 0])

    layers: Any = [module.attend for module in model.modules() if isinstance(module, QueriedLayer)]
    hooks = [layer.asked.register_forward_hook(partial(keep, own=layer)) for layer in layers]
    model(ids, valid)
    for hook in hooks:
        hook.remove()
    return kept


@torch.no_grad()
def test_it_is_the_papers() -> None:
    """Equations 1 to 12 with torch's own GRU."""
    model, ids = toy(), torch.randint(23, (2, 3, 4))

    def read(name: str, x: Tensor) -> Tensor:
        theirs = torch.nn.GRU(x.size(-1), 8, batch_first=True, bidirectional=True)
        state = dict(model.named_parameters())
        for way, ending in ((0, ""), (1, "_reverse")):
            for part, word in (("input", "ih"), ("state", "hh")):
                for kind in ("weight", "bias"):
                    getattr(theirs, f"{kind}_{word}_l0{ending}").copy_(state[f"{name}.cells.{way}.{part}.{kind}"])
        return theirs(x)[0]  # type: ignore[no-any-return]

    def found(layer: QueriedLayer, h: Tensor) -> Tensor:
        u = F.linear(h, layer.attend.k.weight, layer.attend.k.bias).tanh()
        return (F.linear(u, layer.attend.core.v.weight).softmax(-2) * h).sum(-2)

    for row in range(2):
        sentences = [
            found(model.embed.pool, read("embed.trunk", model.embed.words.table.weight[words][None]))[0]
            for words in ids[row]
        ]
        document = found(model.head.pool, read("stack", torch.stack(sentences)[None]))[0]
        wanted = F.linear(document, model.head.score.weight, model.head.score.bias)
        assert_close(model(ids).logits[row], wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_rows_sum_to_one_and_padding_gets_nothing() -> None:
    model, ids = toy(), torch.randint(23, (2, 3, 4))
    valid = torch.ones(2, 3, 4, dtype=torch.bool)
    valid[0, 1, 2:] = False
    valid[1, 2] = False
    words, sentences = looked(model, ids, valid)
    assert_close(words.sum(-1), valid.any(-1).flatten().float(), rtol=1e-5, atol=1e-5)
    assert words[~valid.flatten(0, 1)].abs().sum() == 0
    assert_close(sentences.sum(-1), torch.ones(2), rtol=1e-5, atol=1e-5)
    assert sentences[1, 2] == 0


@torch.no_grad()
def test_the_order_of_sentences_matters_through_the_gru_alone() -> None:
    model, ids = toy(), torch.randint(23, (2, 3, 4))
    moved = ids[:, [2, 0, 1]]
    assert float((model(ids).logits - model(moved).logits).abs().max()) > 1e-3
    without = lively(replace(model.spec, stack=Straight()))
    assert_close(without(ids).logits, without(moved).logits, rtol=1e-5, atol=1e-5)


def test_it_finds_the_sentence_that_carries_the_label() -> None:
    """One of three words in one of five sentences is the label, and a document with none has a label of its own, or
    one of the three would be known by not being there: the weight on that sentence.
    """
    torch.manual_seed(0)
    model = han.declare(**han.TOY | {"labels": 4}).build()
    assert isinstance(model, ModelLayer)

    def some(count: int) -> tuple[Tensor, Tensor, Tensor]:
        ids, labels = torch.randint(3, 23, (count, 5, 6)), torch.randint(4, (count,))
        places, said = torch.randint(5, (count,)), labels < 3
        ids[torch.arange(count)[said], places[said], torch.randint(6, (count,))[said]] = labels[said]
        return ids, labels, places

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        ids, labels, _ = some(32)
        optimizer.zero_grad()
        F.cross_entropy(model.train()(ids).logits, labels).backward()
        optimizer.step()
    with torch.no_grad():
        ids, labels, places = some(200)
        assert float((model.eval()(ids).logits.argmax(-1) == labels).float().mean()) > 0.95
        weights = looked(model, ids)[1]
    assert float(weights[torch.arange(200), places][labels < 3].mean()) > 0.9


def test_what_does_not_fit_is_refused() -> None:
    model = toy()
    with pytest.raises(InvalidData, match="rows, sentences, words"):
        model(torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(UsageError, match="positions cannot be given"):
        model.embed(torch.zeros(2, 3, 4, dtype=torch.long), positions=torch.zeros(1, 3))
    with pytest.raises(InvalidConfig, match="sentences of 16 features cannot enter a model of width 20"):
        replace(model.spec, width=20).build()
