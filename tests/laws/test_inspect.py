"""Law 8: looking changes no value; putting back what was there changes nothing, and putting in noise something.

And of cuts: a model is as it was afterwards, whatever happened; a cut link is a link that the pattern forbids; no
padding and no core changes what is cut.
"""

from unittest.mock import patch as mocked

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.entering import some_rows, together, wordless
from laws.subjects import attends, families, lively, logits_of, padded, reads_text, some_ids, variants
from transept.errors import UsageError
from transept.families import memorizing
from transept.inspect.cut import HeadAt, Hidden, Link, TokenAt, Unit, Whole, cut
from transept.inspect.record import attentions, record
from transept.inspect.states import Instead, patch, watch
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.parts.core import Allowed, CoreLayer
from transept.parts.feedforward import FeedForwardLayer
from transept.parts.hard import HardLayer
from transept.parts.lowrank import LowRankLayer
from transept.topology import Built

READERS = {name: spec for name, spec in variants().items() if reads_text(spec) and attends(spec)[0]}
OTHERS = {name: spec for name, spec in wordless().items() if attends(spec)[0]}
SUBJECTS = READERS | OTHERS
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


class Question:
    """A padded batch for a subject, and what the model says of it."""

    def __init__(self, name: str) -> None:
        self.spec = SUBJECTS[name]
        self.model = lively(self.spec)
        self.text = reads_text(self.spec)
        torch.manual_seed(1)
        if self.text:
            self.source, self.source_valid = padded([some_ids(n) for n in (7, 4, 6)], "right")
            self.target, self.valid = padded([some_ids(n) for n in (5, 8, 3)], "left")
        else:
            self.inputs, self.real = together(some_rows(self.spec.embed, (330, 250, 140)), "right")

    def __call__(self) -> Tensor:
        if self.text:
            return logits_of(self.model, self.source, self.target, self.source_valid, self.valid)
        given = self.model(self.inputs, self.real).logits
        assert isinstance(given, Tensor)
        return given


def by_definition(layer: CoreLayer, q: Tensor, k: Tensor, allowed: Allowed, scale: float) -> Tensor:
    """softmax(score * scale + bias), a row at a time, in float64."""
    scores = layer.score(q, k.repeat_interleave(q.size(1) // k.size(1), 1), allowed).double() * scale
    mask = allowed.mask().expand_as(scores)
    added = allowed.scores()
    scores = scores if added is None else scores + added.double()
    rows = torch.zeros_like(scores)
    for at in torch.cartesian_prod(*(torch.arange(n) for n in scores.shape[:3])).tolist():
        seen = mask[*at]
        if seen.any():
            e = (scores[*at][seen] - scores[*at][seen].max()).exp()
            rows[*at][seen] = e / e.sum()
    return rows if allowed.factor is None else rows * allowed.factor


def check_record(ask: Question) -> None:
    plain = ask()
    asked: dict[str, list[tuple]] = {}
    hooks = [
        layer.asked.register_forward_hook(lambda _, given, made, name=name: asked.setdefault(name, []).append(made))
        for name, layer in attentions(ask.model).items()
    ]
    with record(ask.model) as kept:
        assert torch.equal(ask(), plain), "recording changed a value"
    for hook in hooks:
        hook.remove()
    assert torch.equal(ask(), plain)
    for name in kept:
        layer, whole = attentions(ask.model)[name], kept[name]
        assert kept.shape(name) == whole.shape
        for row in {0, whole.size(2) // 2, whole.size(2) - 1}:
            assert_close(kept.rows(name, row), whole[:, :, row : row + 1], rtol=1e-5, atol=1e-7)
            assert_close(kept.rows(name, [row, 0], head=-1)[:, :1], kept.rows(name, row)[:, -1], **TOLERANCE)
        if isinstance(layer.core, LowRankLayer | HardLayer):
            continue  # other functions than a softmax over keys, held by their own tests
        rows = [by_definition(layer.core, q, k, allowed, layer.scale) for q, k, _, allowed in asked[name]]
        assert_close(whole.double(), torch.cat(rows, 2), rtol=1e-5, atol=1e-6)
        masks = torch.cat([a.mask().expand(len(q), q.size(1), q.size(2), -1) for q, _, _, a in asked[name]], 2)
        assert whole.masked_select(~masks).abs().sum() == 0, "a hidden key was looked at"
        if asked[name][0][3].factor is None:
            assert_close(whole.sum(-1), masks.any(-1).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SUBJECTS)
@torch.no_grad()
def test_what_is_recorded_is_the_softmax_and_changes_nothing(name: str) -> None:
    check_record(Question(name))


@torch.no_grad()
def test_mutant_a_record_that_changes_the_pass() -> None:
    from transept.inspect import record as module

    def meddling(name: object, layer: object, asked: tuple) -> object:
        asked[0].mul_(1.0001)
        return real(name, layer, asked)  # type: ignore[arg-type]

    real = module.kept_of
    with mocked.object(module, "kept_of", meddling), pytest.raises(AssertionError, match="changed a value"):
        check_record(Question("transformer"))


@torch.no_grad()
def test_mutant_weights_without_the_mask() -> None:
    with mocked.object(
        CoreLayer, "shares", lambda self, q, k, allowed, scale: (self.score(q, k, allowed) * scale).softmax(-1)
    ):
        model = Question("bart")
        with pytest.raises(AssertionError):
            check_record(model)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if ", " not in name])
@torch.no_grad()
def test_what_is_put_back_changes_nothing_and_noise_something(name: str) -> None:
    ask = Question(name)
    plain, names = ask(), [f"{at}.mix" for at in attentions(ask.model)]
    with watch(ask.model, "*.mix") as kept:
        ask()
    with patch(ask.model, kept):
        assert torch.equal(ask(), plain)
    for at in names:
        noise = [torch.randn_like(mix) for mix in kept[at]]
        with patch(ask.model, {at: noise}):
            assert not torch.allclose(ask(), plain, rtol=1e-3, atol=1e-4), f"{at} reaches nothing"
        with patch(ask.model, {at: Instead(kept[at][0][:1] * 0, dim=1, at=(0,))}):
            zero = ask()
        with cut(ask.model, HeadAt(at.removesuffix(".mix"), 0)):
            assert torch.equal(ask(), zero)
    assert torch.equal(ask(), plain)


def hooks_of(model: Built) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("name", [name for name in SUBJECTS if ", " not in name])
@torch.no_grad()
def test_each_kind_of_cut_changes_the_pass_and_is_undone(name: str) -> None:
    ask = Question(name)
    plain, model = ask(), ask.model
    assert hooks_of(model) == 0
    with cut(model):
        assert hooks_of(model) == 0  # nothing is cut: nothing hangs on the model
    for at, layer in attentions(model).items():
        kinds = [HeadAt(at, 0), Whole(at)]
        links = [] if isinstance(layer.core, LowRankLayer) else [Link(at, 0, 0)]
        for one in kinds:
            with cut(model, one):
                changed = ask()
            assert not torch.equal(changed, plain), f"{one} changed nothing"
        with pytest.raises(ZeroDivisionError), cut(model, *kinds, *links):
            ask().new_zeros(1).item() / 0
        assert hooks_of(model) == 0
        assert torch.equal(ask(), plain)
        with pytest.raises(UsageError, match="heads of"), cut(model, HeadAt(at, layer.spec.heads)):
            pass
    for at, module in model.named_modules():
        if isinstance(module, FeedForwardLayer):
            with cut(model, Unit(at, 3), Unit(at, 5)), watch(model, f"{at}.down") as down:
                ask()
            with watch(model, at) as whole:
                ask()
            assert not torch.equal(down[f"{at}.down"][0], whole[at][0])
    assert torch.equal(ask(), plain)


@pytest.mark.parametrize("name", SUBJECTS)
@torch.no_grad()
def test_a_cut_link_is_a_link_that_is_not_there(name: str) -> None:
    ask = Question(name)
    ask()
    for at, layer in attentions(ask.model).items():
        if isinstance(layer.core, LowRankLayer):
            with pytest.raises(UsageError, match="no link can be cut"), cut(ask.model, Link(at, 0, 0)):
                pass
            continue
        head = layer.spec.heads - 1
        with record(ask.model, at) as before:
            ask()
        with cut(ask.model, Link(at, 1, 0, head)) if before.shape(at)[2] > 1 else cut(ask.model, Link(at, 0, 0, head)):
            values: list[tuple] = []
            hook = layer.asked.register_forward_hook(lambda _, given, made, values=values: values.append(made))
            with record(ask.model, at) as after, watch(ask.model, f"{at}.mix") as mixed:
                changed = ask()
            hook.remove()
        assert torch.isfinite(changed).all()
        if isinstance(layer.core, HardLayer):
            continue
        # What each call mixed is what the record says, without the link, and the other keys have its share.
        weights, mixes, begins = after[at], mixed[f"{at}.mix"], after.begins(at)
        assert len(begins) == len(values) == len(mixes)
        for (q, _, v, allowed), mix, begin in zip(values, mixes, begins, strict=True):
            if layer.recall is not None:  # what is found in segments before is mixed in too
                continue
            v = v.repeat_interleave(layer.spec.heads // v.size(1), 1)
            rows = weights[:, :, begin : begin + q.size(2), : v.size(2)]
            told = 0 if allowed.valued is None else allowed.valued(rows)
            assert_close(rows @ v + told, mix, rtol=1e-4, atol=1e-5)
        row = 1 if before.shape(at)[2] > 1 else 0
        hidden = ~Hidden(row, 0, head, layer.spec.heads).sees(values[0][3].q, values[0][3].k)
        if len(values) == 1:
            assert after[at].masked_select(hidden.expand_as(after[at])).abs().sum() == 0
            kept = before[at].masked_fill(hidden, 0.0)
            total = kept.sum(-1, keepdim=True)
            if values[0][3].factor is None:
                assert_close(after[at], kept / total.where(total > 0, 1.0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", [None, 1])
@torch.no_grad()
def test_a_cut_link_is_not_found_again_in_what_is_remembered(head: int | None) -> None:
    """A token long past brings nothing any more to the heads whose link to it is cut, and to the others all."""
    spec = memorizing.declare(**memorizing.TOY | {"segment": 3, "neighbours": 6, "remembers": 6})
    model, ids = lively(spec), some_ids(1, 9)  # token 8 finds all of the six before its segment
    at, layer = next((at, layer) for at, layer in attentions(model).items() if layer.recall is not None)

    def mixed(by: float) -> Tensor:
        def move(_: object, given: object, asked: tuple) -> tuple:
            q, k, v, allowed = asked
            v = v.clone()
            v[:, :, 1] += by
            return q, k, v, allowed

        hook = layer.asked.register_forward_hook(move)
        with watch(model, f"{at}.mix") as found:
            model(ids)
        hook.remove()
        (mix,) = found[f"{at}.mix"]
        return mix[0, :, 8]

    assert ((mixed(0.0) - mixed(5.0)).abs().amax(-1) > 1e-3).all()
    with cut(model, Link(at, 8, 1, head)):
        moved = (mixed(0.0) - mixed(5.0)).abs().amax(-1)
    cuts = torch.ones(layer.spec.heads, dtype=torch.bool) if head is None else torch.arange(layer.spec.heads) == head
    assert (moved[cuts] == 0).all()
    assert (moved[~cuts] > 1e-3).all()


@pytest.mark.parametrize("name", [name for name in READERS if ", " not in name])
@torch.no_grad()
def test_positions_of_cuts_do_not_hang_on_padding(name: str) -> None:
    ask, model = Question(name), Question(name).model
    at = next(iter(attentions(model)))
    if isinstance(attentions(model)[at].core, LowRankLayer):
        pytest.skip("its keys are mixtures, of which no link can be cut")
    if any(layer.shorten is not None for layer in attentions(model).values()):
        with pytest.raises(UsageError, match="made of several tokens: no single token can"), cut(model, TokenAt(1)):
            pass
        assert hooks_of(model) == 0
        return
    for cuts in ([TokenAt(1)], [Link(at, 2, 1)]):
        with cut(model, *cuts):
            together_ = logits_of(model, ask.source, ask.target, ask.source_valid, ask.valid)
            for i in range(3):
                alone = logits_of(model, ask.source[i][ask.source_valid[i]][None], ask.target[i][ask.valid[i]][None])
                assert_close(together_[i][ask.valid[i]], alone[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name, spec in families().items() if isinstance(spec, Seq2Seq) and name in READERS]
)
@torch.no_grad()
def test_a_hidden_token_is_not_felt_and_steps_are_the_whole(name: str) -> None:
    model, source, target = lively(families()[name]), some_ids(2, 6), some_ids(2, 5)
    other = source.clone()
    other[:, 3] = (other[:, 3] - 3 + 7) % 20 + 3
    assert isinstance(model, Seq2SeqLayer)
    assert not torch.equal(model(source, target).logits, model(other, target).logits)
    with cut(model, TokenAt(3, "source")):
        assert torch.equal(model(source, target).logits, model(other, target).logits)
    at = next(name for name, layer in attentions(model).items() if layer.spec.source == "memory")
    with cut(model, Link(at, 3, 2), TokenAt(1, "target")):
        whole = model(source, target).logits
        memory = model.encode(source)
        cache = model.cache(2, 8, memory)
        steps = [model.decode(target[:, t : t + 1], cache=cache) for t in range(5)]
    assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)


def test_what_is_not_there_is_refused() -> None:
    model, ids = lively(families()["gpt2"]), some_ids(1, 4)
    with pytest.raises(UsageError, match="cut nothing"), cut(model, TokenAt(9)):
        model(ids)
    with pytest.raises(UsageError, match="cut nothing"), cut(model, Link("stack.blocks.0.attention", 7, 0)):
        model(ids)
    assert hooks_of(model) == 0
    with (
        pytest.raises(UsageError, match="Did you mean 'stack.blocks.0.feedforward'"),
        cut(model, Unit("stack.blocks.0.feedforwar", 0)),
    ):
        pass
    with pytest.raises(UsageError, match="one stack"), cut(model, TokenAt(0, "target")):
        pass
    with pytest.raises(UsageError, match="gives no tensor"), cut(model, Whole("embed")):
        model(ids)
    with pytest.raises(UsageError, match="no module is called 'stack.block'"), patch(model, {"stack.block": ids}):
        pass
    words = r"gives \(1, 4, 32\), and the value for it is \(3, 5\)"
    with pytest.raises(UsageError, match=words), patch(model, {"stack.blocks.0": torch.zeros(3, 5)}):
        model(ids)


def test_rows_are_refused_after_the_weights_changed() -> None:
    model = lively(families()["t5"])
    with record(model) as kept:
        model(some_ids(1, 4), some_ids(1, 3))
    name = "decoder.blocks.0.attention"
    assert kept[name].shape[-1] == 3
    with torch.no_grad():
        model.decoder.position.weight.add_(1.0)  # type: ignore[union-attr,operator]
    with pytest.raises(UsageError, match="have changed since this pass"):
        kept[name]
    with pytest.raises(UsageError, match="rows 0 to 2"):
        kept.rows(name, 3)
