"""The adaptive softmax and the tables in clusters: by their definition, beside torch's, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from transept.errors import InvalidConfig, UsageError
from transept.heads.adaptive import Adaptive, AdaptiveLayer
from transept.heads.vocabulary import Vocabulary
from transept.inputs.clustered import Clustered
from transept.inputs.tokens import Tokens
from transept.models import Model, ModelLayer
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.clusters import Clusters
from transept.parts.loss import IGNORED, Smoothing
from transept.parts.pattern import Causal
from transept.parts.stack import Stack

VOCAB, WIDTH = 23, 16
STACK = Stack(Block((Attention(4, Causal()),)), 1)


def model_of(divisor: int) -> ModelLayer:
    clusters = Clusters((5, 11), divisor)
    embed = Clustered(VOCAB, clusters=clusters, scale=3.0) if divisor > 1 else Tokens(VOCAB, scale=3.0)
    torch.manual_seed(0)
    model = Model(WIDTH, embed, STACK, Adaptive(VOCAB, bias=True, clusters=clusters)).build().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def by_hand(model: ModelLayer, states: Tensor) -> Tensor:
    """log p(cluster) + log p(token | cluster), token by token."""
    head: Any = model.head
    spans, out = [(0, 5), (5, 11), (11, 23)], []
    for state in states.flatten(0, -2):
        pieces = []
        for i, (at, end) in enumerate(spans):
            if head.narrow is None:
                table, x = model.embed.table.weight[at:end], state
            else:
                table, widen = model.embed.clusters.tables[i].weight, model.embed.clusters.widen[i].weight
                x = widen.T @ state if i else head.narrow.weight @ state
            pieces.append((table @ x + head.bias[at:end], x))
        scores = torch.cat([pieces[0][0], head.rare.weight @ pieces[0][1] + head.rare.bias]).log_softmax(0)
        tails = [scores[5 + i] + pieces[1 + i][0].log_softmax(0) for i in range(2)]
        out.append(torch.cat([scores[:5], *tails]))
    return torch.stack(out).view(*states.shape[:-1], VOCAB)


@pytest.mark.parametrize("divisor", [1, 2, 4])
def test_it_is_its_definition(divisor: int) -> None:
    model, ids = model_of(divisor), torch.randint(VOCAB, (2, 6))
    states, entered = model.hidden(ids)
    got = model.head(states, entered)
    assert_close(got, by_hand(model, states), rtol=1e-9, atol=1e-9)
    assert_close(got.exp().sum(-1), torch.ones(2, 6, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("divisor", [1, 4])
@pytest.mark.parametrize("missing", [False, True])
def test_the_loss_is_that_of_the_scores(divisor: int, missing: bool) -> None:
    """Value and gradients; clusters without a label among them; places without a label."""
    model, ids = model_of(divisor).float(), torch.randint(VOCAB, (2, 9))
    labels = torch.randint(5 if missing else VOCAB, (2, 9)).masked_fill(torch.rand(2, 9) < 0.2, IGNORED)

    def gradients(loss: Tensor) -> list[Tensor]:
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
        return list(found)

    states, entered = model.hidden(ids)
    made = model.head.loss(states, entered, labels, Smoothing())
    ours = gradients(made.total)
    logits = model(ids).logits
    wanted = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=IGNORED)
    assert made.count == int((labels != IGNORED).sum())
    assert_close(made.total, wanted, rtol=1e-5, atol=1e-5)
    assert_close(made.nll, wanted.detach(), rtol=1e-5, atol=1e-5)
    for a, b in zip(ours, gradients(wanted), strict=True):
        assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_it_is_torchs() -> None:
    """torch's own adaptive softmax has untied tails of two matrices: filled with ours it gives our scores."""
    model = model_of(2)
    head: Any = model.head
    theirs = nn.AdaptiveLogSoftmaxWithLoss(WIDTH, VOCAB, [5, 11], div_value=2.0).double()
    assert isinstance(head, AdaptiveLayer)
    with torch.no_grad():
        head.bias.zero_()  # theirs has none
        head.rare.bias.zero_()
        tables, widen = model.embed.clusters.tables, model.embed.clusters.widen
        rows = torch.cat([tables[0].weight, head.rare.weight])
        theirs.head.weight.copy_(rows @ head.narrow.weight)
        for i in (1, 2):
            theirs.tail[i - 1][0].weight.copy_(widen[i].weight.T)
            theirs.tail[i - 1][1].weight.copy_(tables[i].weight)
        states, entered = model.hidden(torch.randint(VOCAB, (1, 7)))
        assert_close(head(states, entered)[0], theirs.log_prob(states[0]), rtol=1e-9, atol=1e-9)


def test_tables_in_clusters() -> None:
    model, ids = model_of(4), torch.arange(VOCAB)[None]
    x = model.embed(ids).x[0]
    for token in (0, 4, 5, 10, 11, 22):
        i, at = (0, 0) if token < 5 else (1, 5) if token < 11 else (2, 11)
        row = model.embed.clusters.tables[i].weight[token - at]
        assert_close(x[token], 3.0 * (model.embed.clusters.widen[i].weight @ row), rtol=1e-9, atol=1e-9)
    assert [table.weight.shape[1] for table in model.embed.clusters.tables] == [16, 4, 1]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Clusters((5, 5)), "must be above 0 and ascend"),
        (lambda: Clusters(()), "must be above 0 and ascend"),
        (lambda: Clusters((5,), 0), r"Clusters\.divisor"),
        (lambda: Adaptive(30, clusters=Clusters((10, 30))), "begin at 30 need more than 30 tokens"),
        (lambda: Clustered(30, clusters=Clusters((10, 31))), "begin at 31 need more than 30 tokens"),
        (lambda: Adaptive(30, tied=False, clusters=Clusters((10,))), "it is tied"),
        (
            lambda: Model(WIDTH, Tokens(23), STACK, Adaptive(23, clusters=Clusters((5,), 2))),
            "cannot score with one table",
        ),
        (lambda: Model(WIDTH, Clustered(23, clusters=Clusters((5,), 2)), STACK, Vocabulary(23)), "of one table cannot"),
        (lambda: Clustered(23, clusters=Clusters((5, 9, 12), 4)).build(16), "leave none for rare tokens"),
    ],
)
def test_refusals(make: Any, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason):
        make()


def test_smoothing_is_refused() -> None:
    model, ids = model_of(2), torch.randint(VOCAB, (1, 4))
    with pytest.raises(UsageError, match=r"(?s)label smoothing of 0\.1.*Train without"):
        model.head.loss(*model.hidden(ids), ids, Smoothing(0.1))
