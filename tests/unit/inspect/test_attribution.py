"""Attributions add up to what they explain, gradients are slopes, and what is left out is what is cut."""

import pytest
import torch
from torch.testing import assert_close

from laws.entering import some_rows
from laws.subjects import families, lively, reads_text, some_ids
from transept.errors import UsageError
from transept.inspect.attribution import (
    agreement,
    entering,
    input_x_gradient,
    integrated_gradients,
    leave_one_out,
    neutral,
    repeated,
)
from transept.inspect.cut import TokenAt, effect
from transept.inspect.example import Choice, Example, Row
from transept.inspect.words import Word
from transept.models import Seq2Seq

NAMES = [name for name, spec in families().items() if reads_text(spec)]


def example(name: str) -> tuple[Example, Choice]:
    spec = families()[name]
    model = lively(spec)
    torch.manual_seed(2)
    source, target = Row.of(some_ids(6).tolist()), Row.of(some_ids(4).tolist())
    one = Example(model, source, target if isinstance(spec, Seq2Seq) else None)
    return one, Choice(1, 2 if one.logits().dim() == 2 else None)


# Attentions that look at no single tokens, of which none could be hidden.
MIXED = {"linformer": "LowRank", "wikipedia": "made of several tokens"}


@pytest.mark.parametrize("name", MIXED)
def test_no_token_is_left_out_where_none_is_looked_at_alone(name: str) -> None:
    one, choice = example(name)
    before = one.logits()
    with pytest.raises(UsageError, match=f"{MIXED[name]}.*: no single token can be hidden from it") as refused:
        leave_one_out(one, choice)
    assert "integrated_gradients" in str(refused.value.remedy)
    assert torch.equal(one.logits(), before)


@pytest.mark.parametrize("name", NAMES)
def test_integrated_gradients_add_up(name: str) -> None:
    one, choice = example(name)
    needs = [p.requires_grad for p in one.model.parameters()]
    base = neutral(one, 7) if name in ("t5", "llama") else None
    rough, fine = (integrated_gradients(one, choice, "logprob", steps=steps, baseline=base) for steps in (4, 400))
    total = sum(float(tokens.sum()) for tokens in fine.tokens.values())
    assert fine.error is not None and rough.error is not None and fine.baseline is not None
    assert_close(fine.value, one.score(choice, "logprob").item(), rtol=1e-4, atol=1e-5)
    assert_close(fine.error, abs(total - (fine.value - fine.baseline)), rtol=1e-3, atol=1e-5)
    assert name == "wikipedia" or fine.error <= rough.error + 1e-3
    if name != "wikipedia":  # a choice of experts is no smooth function: its error is told, and stays
        assert fine.error < max(0.02 * abs(fine.value - fine.baseline), 5e-3)
    assert {side: len(t) for side, t in fine.tokens.items()} == {s: len(r.tokens) for s, r in one.sides.items()}
    assert [p.requires_grad for p in one.model.parameters()] == needs
    assert all(p.grad is None for p in one.model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_input_times_gradient_is_the_slope(name: str) -> None:
    one, choice = example(name)
    one.model.double()
    found = input_x_gradient(one, choice)
    with torch.no_grad(), entering(one) as seen:
        repeated(one, 1)
        whole = {side: seen[side].clone() for side in one.sides}
    for side, x in whole.items():
        for at in range(x.size(1)):
            ends = []
            for by in (1e-5, -1e-5):
                moved = x.clone()
                moved[:, at] *= 1 + by
                with torch.no_grad(), entering(one, {side: moved}):
                    logits = repeated(one, 1)[0]
                ends.append(float(logits[choice.index] if choice.at is None else logits[choice.at, choice.index]))
            assert_close(float(found.tokens[side][at]), (ends[0] - ends[1]) / 2e-5, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MIXED])
def test_leaving_out_is_cutting(name: str) -> None:
    one, choice = example(name)
    words = [Word("a", 0, 1, (0,)), Word("b", 1, 2, (2, 3)), Word("c", 2, 3, (1, 2, 3))]
    found = leave_one_out(one, choice, words=dict.fromkeys(one.sides, words))
    for side in one.sides:
        told = found.words(side, words)
        for at in (0, 2, 3, *words):
            tokens = at.tokens if isinstance(at, Word) else (at,)
            cuts = [TokenAt(token, None if one.target is None else side) for token in tokens]  # type: ignore[arg-type]
            measured = effect(one.model, lambda: one.probability(choice), *cuts)
            own = told[words.index(at)] if isinstance(at, Word) else found.tokens[side][at]
            assert_close(float(own), -float(measured.change), rtol=1e-3, atol=1e-6)


def test_what_was_left_out_one_by_one_is_not_added_up() -> None:
    one, choice = example("transformer")
    found, whole = leave_one_out(one, choice), Word("a", 0, 1, (0, 1))
    assert float(found.words("source", [Word("a", 0, 1, (1,))])[0]) == float(found.tokens["source"][1])
    with pytest.raises(UsageError, match="does not add up"):
        found.words("source", [whole])


def test_pictures_have_attributions_too() -> None:
    model = lively(families()["vit"])
    picture = some_rows(model.spec.embed, (1,))[0]  # type: ignore[attr-defined]
    one = Example(model, Row(picture[None], []))
    choice = one.best()
    found = integrated_gradients(one, choice, steps=100)
    assert found.error is not None and found.error < 0.05
    assert len(found.tokens["source"]) == len(leave_one_out(one, choice).tokens["source"]) > 1


def test_one_side_alone_and_against_another() -> None:
    one, _ = example("transformer")
    choice = Choice(4, 2, against=7)
    found = integrated_gradients(one, choice, steps=200, sides=["source"])
    assert set(found.tokens) == {"source"}
    logits = one.logits()
    assert_close(found.value, float(logits[2, 4] - logits[2, 7]), rtol=1e-4, atol=1e-5)
    assert found.error is not None and found.error < 0.02
    with pytest.raises(UsageError, match="none was to change"):
        integrated_gradients(one, choice, sides=[])
    words = [Word("a", 0, 1, (0, 1)), Word("b", 1, 2, (2, 3, 4, 5))]
    tokens = found.tokens["source"]
    assert_close(found.words("source", words), torch.stack([tokens[:2].sum(), tokens[2:].sum()]))


def test_agreement_is_of_ranks() -> None:
    one, choice = example("gpt2")
    found = input_x_gradient(one, choice)
    assert_close(agreement(found, found), 1.0, rtol=0, atol=1e-9)
    turned = type(found)({side: -(t**3) for side, t in found.tokens.items()}, 0.0)
    assert_close(agreement(found, turned), -1.0, rtol=0, atol=1e-9)
    flat = type(found)({side: torch.zeros_like(t) for side, t in found.tokens.items()}, 0.0)
    assert agreement(found, flat) == 0.0


def test_choices_that_are_not_there_are_refused() -> None:
    one, _ = example("gpt2")
    for choice, words in (
        (Choice(99, 1), "output 99 is not among the 23"),
        (Choice(1, 9), "column 9 is not among the 6"),
        (Choice(1), "say which by at"),
        (Choice(1, 1, against=-1), "output -1"),
    ):
        with pytest.raises(UsageError, match=words):
            one.score(choice)
    with pytest.raises(UsageError, match="two stacks"):
        Example(one.model, one.source, one.source)
    with pytest.raises(UsageError, match="tokens 1 to 5"):
        one.predicted(0)
    assert one.predicted(3) == Choice(int(one.source.inputs[0, 3]), 2)
    assert one.best(1) == Choice(int(one.logits()[1].argmax()), 1)
