"""Law 7: each family overfits eight examples. Law 10: how a batch is split changes neither loss nor gradients."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import families, reads_text, some_ids
from transept.heads.vocabulary import Vocabulary
from transept.models import Seq2Seq
from transept.parts.loss import IGNORED, Loss, Smoothing
from transept.topology import Built

FAMILIES = {
    name: spec
    for name, spec in families().items()
    if reads_text(spec) and isinstance(spec.head, Vocabulary)  # type: ignore[attr-defined]
}


def loss_of(model: Built, source: Tensor, target: Tensor, labels: Tensor, smoothing: Smoothing) -> Loss:
    if isinstance(model.spec, Seq2Seq):
        states, entered = model.hidden(source, target)
    else:
        states, entered = model.hidden(target)
    made = model.head.loss(states, entered, labels, smoothing)
    assert isinstance(made, Loss)
    return made


def examples() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    source, labels = some_ids(8, 6), some_ids(8, 7)
    target = torch.cat([torch.arange(3, 11)[:, None], labels[:, :-1]], 1)  # the first token tells the rows apart
    return source, target, labels


def learn(model: Built, updates: int, enough: float = 0.05) -> float:
    """The loss after so many updates, or as soon as it is small enough: what is recurrent takes three times as many."""
    source, target, labels = examples()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for update in range(updates):
        made = loss_of(model.train(), source, target, labels, Smoothing())
        optimizer.zero_grad()
        (made.total / made.count).backward()
        optimizer.step()
        if update % 50 == 49:
            made = loss_of(model.eval(), source, target, labels, Smoothing())
            if float(made.nll) / made.count < enough:
                break
    return float(made.nll) / made.count


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_overfits_eight_examples(name: str) -> None:
    torch.manual_seed(0)
    model = FAMILIES[name].build()
    assert isinstance(model, Built)
    assert learn(model, 600) < 0.05


def test_mutant_that_cannot_learn() -> None:
    """With labels that no input tells apart the loss stays up: the bound above is not met by anything."""
    torch.manual_seed(0)
    model = FAMILIES["transformer"].build()
    assert isinstance(model, Built)
    for parameter in model.decoder.parameters():
        parameter.requires_grad_(False).zero_()
    assert learn(model, 150) > 0.5


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("form", ["uniform", "others"])
def test_a_batch_may_be_split(name: str, form: str) -> None:
    source, target, labels = examples()
    labels = labels.masked_fill(torch.arange(7) >= torch.tensor([7, 7, 1, 5, 2, 6, 7, 3])[:, None], IGNORED)
    torch.manual_seed(1)
    model = FAMILIES[name].build().eval()
    assert isinstance(model, Built)

    def gradients(pieces: list[slice], by_tokens: bool = True) -> tuple[float, list[Tensor]]:
        model.zero_grad()
        count = sum(int((labels[piece] != IGNORED).sum()) for piece in pieces)
        total = 0.0
        for piece in pieces:
            made = loss_of(model, source[piece], target[piece], labels[piece], Smoothing(0.1, form))  # type: ignore[arg-type]
            (made.total / (count if by_tokens else made.count * len(pieces))).backward()
            total += float(made.total.detach())
        return total / count, [p.grad.clone() for p in model.parameters() if p.grad is not None]

    whole = gradients([slice(0, 8)])
    uneven = gradients([slice(0, 2), slice(2, 3), slice(3, 8)])
    assert_close(uneven[0], whole[0], rtol=1e-6, atol=1e-6)
    for a, b in zip(uneven[1], whole[1], strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)
    # The mutant: a mean of means, which weighs a short piece as much as a long one.
    wrong = gradients([slice(0, 2), slice(2, 3), slice(3, 8)], by_tokens=False)
    assert max(float((a - b).abs().max()) for a, b in zip(wrong[1], whole[1], strict=True)) > 1e-3
