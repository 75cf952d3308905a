"""Following a pass through the layers: rollout and flow, contributions, streams, lens, by hand and by what they must
add up to, for every family of blocks in a row."""

import networkx
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import families, lively, reads_text, some_ids
from transept.errors import UsageError
from transept.inspect.contributions import contributed, contributions, taken, value_weighted
from transept.inspect.cut import TokenAt, cut
from transept.inspect.example import Choice, Example, Row
from transept.inspect.lens import direct, lens
from transept.inspect.record import record
from transept.inspect.rollout import FINE, Step, flow, flowed, layers, rolled, rollout
from transept.inspect.streams import Linear, after, heads_of, parts, stream
from transept.models import Seq2Seq
from transept.parts.attention import AttentionLayer
from transept.parts.stack import Stack


def stacks(spec: object) -> bool:
    return all(isinstance(getattr(spec, trunk, None), Stack | None) for trunk in ("stack", "encoder", "decoder"))


FAMILIES = {name: spec for name, spec in families().items() if stacks(spec) and reads_text(spec)}


def example(name: str, seed: int = 0) -> Example:
    model = lively(FAMILIES[name], seed)
    torch.manual_seed(seed)
    source, target = some_ids(7).tolist(), some_ids(5).tolist()
    return Example(model, Row.of(source), Row.of(target) if isinstance(FAMILIES[name], Seq2Seq) else None)


def test_rollout_of_the_identity_is_the_identity() -> None:
    steps = {"stack": [Step(torch.eye(4))] * 3}
    assert_close(rolled(steps)["stack"][-1], torch.eye(4))
    assert_close(flowed(steps["stack"]), torch.eye(4))


def test_rollout_is_the_product_of_halves() -> None:
    torch.manual_seed(0)
    one, two, cross = (torch.rand(*shape).softmax(-1) for shape in ((4, 4), (4, 4), (3, 4)))
    own = torch.rand(3, 3).softmax(-1)
    found = rolled({"encoder": [Step(one), Step(two)], "decoder": [Step(own), Step(cross, "memory")]})
    half = torch.eye(4) / 2
    encoder = (two / 2 + half) @ (one / 2 + half)
    assert_close(found["encoder"][-1], encoder)
    decoder = own / 2 + torch.eye(3) / 2
    assert_close(found["decoder"][-1], torch.cat([decoder / 2, cross @ encoder / 2], 1))
    empty = rolled({"stack": [Step(torch.zeros(2, 2))]})["stack"][-1]
    assert_close(empty, torch.eye(2))  # a row that sees nothing keeps itself


# Attentions that give more than shares of the row's own tokens.
OTHERS = {"linformer": "LowRank", "memorizing": "segments before", "wikipedia": "several tokens"}
APART = [name for name in FAMILIES if name not in OTHERS]


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_taken_apart_is_refused(name: str) -> None:
    for follow in (rollout, contributions):
        with pytest.raises(UsageError, match=OTHERS[name]):
            follow(example(name))


@pytest.mark.parametrize("name", APART)
def test_rollout_of_a_model_has_rows_that_sum_to_one(name: str) -> None:
    one = example(name)
    steps, found = layers(one), rollout(one)
    with record(one.model) as kept:
        one.output()
    assert sum(map(len, steps.values())) == sum(len(kept.begins(at)) for at in kept)
    for trunk, maps in found.items():
        assert len(maps) == len(steps[trunk])
        for weights in maps:
            assert_close(weights.sum(-1), torch.ones(len(weights)), rtol=1e-5, atol=1e-5)
            assert (weights >= 0).all()


def test_flow_is_the_maximum_flow() -> None:
    """Against another library's maximum flow, on the same graph."""
    torch.manual_seed(3)
    steps = [Step((torch.randn(4, 4) * 2).softmax(-1)) for _ in range(3)]
    graph = networkx.DiGraph()
    for at, step in enumerate(steps):
        mixed = ((step.weights / 2 + torch.eye(4) / 2) * FINE).round().long()
        for i in range(4):
            for j in range(4):
                graph.add_edge((at + 1, i), (at, j), capacity=int(mixed[i, j]))
    wanted = torch.tensor(
        [[float(networkx.maximum_flow_value(graph, (3, i), (0, j))) for j in range(4)] for i in range(4)]
    )
    assert_close(flowed(steps), wanted / wanted.sum(-1, keepdim=True), rtol=1e-5, atol=1e-6)
    assert_close(flowed(steps, [2]), (wanted / wanted.sum(-1, keepdim=True))[2:3], rtol=1e-5, atol=1e-6)


def test_flow_of_a_model_and_of_what_is_no_stack() -> None:
    assert flow(example("bert"), [0, 3]).shape == (2, 7)
    recurrent = Example(lively(families()["bahdanau"]), Row.of([3, 4]), Row.of([5]))
    with pytest.raises(UsageError, match="blocks in a row"):
        rollout(recurrent)
    with pytest.raises(UsageError, match="blocks in a row"):
        lens(recurrent)


@pytest.mark.parametrize("name", APART)
@torch.no_grad()
def test_what_heads_write_is_what_the_layer_writes(name: str) -> None:
    one = example(name)
    for trunk in ("stack",) if one.target is None else ("encoder", "decoder"):
        for write in stream(one, trunk).writes:
            if not isinstance(write.layer, AttentionLayer):
                continue
            bias = 0 if write.layer.o.bias is None else write.layer.o.bias
            assert_close(heads_of(write).sum(0) + bias, write.made, rtol=1e-4, atol=1e-5)
            weights, vectors = taken(write)
            brought = torch.einsum("hts,hsd->tsd", weights, vectors)
            assert_close(brought.sum(1) + bias, write.made, rtol=1e-4, atol=1e-5)
            assert_close(value_weighted(write), brought.norm(dim=-1), rtol=1e-4, atol=1e-5)
            alone = (weights[..., None] * vectors[:, None]).norm(dim=-1)
            assert_close(value_weighted(write, heads=True), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", APART)
@torch.no_grad()
def test_contributions_are_shares_of_what_a_token_becomes(name: str) -> None:
    one = example(name)
    for trunk, found in contributions(one).items():
        writes = [w for w in stream(one, trunk).writes if isinstance(w.layer, AttentionLayer)]
        for write, share in zip(writes, found, strict=True):
            assert_close(share.keys.sum(-1) + share.own, torch.ones(len(share.own)), rtol=1e-5, atol=1e-5)
            # By the definition, a pair at a time; and what is brought adds up to what the token becomes.
            weights, vectors = taken(write)
            y, norm = after(write), Linear(write.norm if write.place == "after" else torch.nn.Identity(), write.normed)
            bias = torch.zeros_like(y) if write.layer.o.bias is None else write.layer.o.bias.expand_as(y)
            total = norm(bias) + (norm.bias if norm.bias is not None else 0)
            wanted = torch.zeros_like(share.keys)
            for j in range(weights.size(2)):
                brought = torch.einsum("ht,hd->td", weights[:, :, j], vectors[:, j])
                if share.source == "self":
                    brought = brought + write.given * (torch.arange(len(y)) == j)[:, None]
                term = norm(brought)
                total = total + term
                wanted[:, j] = (y.abs().sum(-1) - (y - term).abs().sum(-1)).clamp(min=0)
            own = torch.zeros(len(y))
            if share.source == "memory":
                total = total + norm(write.given)
                own = (y.abs().sum(-1) - (y - norm(write.given)).abs().sum(-1)).clamp(min=0)
            assert_close(total, y, rtol=1e-4, atol=2e-5)
            scale = (wanted.sum(-1) + own).clamp(min=1e-12)
            assert_close(share.keys, wanted / scale[:, None], rtol=1e-3, atol=1e-4)
    for maps in contributed(one).values():
        assert_close(maps[-1].sum(-1), torch.ones(len(maps[-1])), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_the_stream_is_the_sum_of_its_parts(name: str) -> None:
    one = example(name)
    output = one.output()
    for heads in (True, False):
        whole = sum(part for _, part in parts(stream(one), heads))
        assert_close(whole, output.hidden[0], rtol=1e-4, atol=5e-5)
    said = lens(one)
    assert_close(said[-1], output.logits[0], rtol=1e-4, atol=1e-5)
    assert len(said) == len(stream(one).states()) > 2
    entered = stream(one).entered
    assert_close(stream(one).states()[0], entered)


@pytest.mark.parametrize("name", ["gpt2", "gpt", "llama", "t5", "bart", "transformer"])
@torch.no_grad()
def test_parts_of_a_logit_add_up_to_it(name: str) -> None:
    one = example(name)
    at = 2
    for choice in (Choice(4, at), Choice(4, at, against=9)):
        found = direct(one, choice)
        assert_close(sum(found.values()), float(one.score(choice, "logit")), rtol=1e-3, atol=1e-4)
        assert sum(":" in part for part in found) >= 8
    assert max(map(abs, direct(one, Choice(4, at)).values())) > 0.01


def test_a_head_that_does_more_has_no_parts() -> None:
    with pytest.raises(UsageError, match="does more"):
        direct(example("bert"), Choice(4, 2))


@torch.no_grad()
def test_a_token_that_is_cut_contributes_nothing() -> None:
    one = example("bart")
    with cut(one.model, TokenAt(3, "source")):
        found: Tensor = contributed(one)["decoder"][-1]
    assert found[:, 5 + 3].abs().max() == 0
    assert contributed(one)["decoder"][-1][:, 5 + 3].max() > 0
