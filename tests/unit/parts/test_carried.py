"""States carried over segments: the whole model by the paper's equations, what is bounded, what is refused."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from transept.errors import InvalidConfig, UsageError
from transept.families.registry import family
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, ModelLayer, Seq2Seq
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.lowrank import LowRank
from transept.parts.pattern import Causal, Full, Window
from transept.parts.position import Learned, Sinusoid
from transept.parts.relative import Distances
from transept.parts.rotary import Rotary
from transept.parts.shorten import Shorten
from transept.parts.stack import Stack
from transept.spec import edit, replace

XL = family("transformer_xl")


def model_of(**words: object) -> ModelLayer:
    torch.manual_seed(0)
    model = XL.declare(**XL.TOY | words).build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def attend(layer: nn.Module, h: Tensor, memory: Tensor) -> Tensor:
    """Section 3.3 with tensors of pairs: q of h, k and v of [SG(m) ; h]."""
    known, heads = torch.cat([memory.detach(), h], 1), layer.spec.heads
    q, k, v = (
        projection(x).unflatten(-1, (heads, -1)).transpose(1, 2)
        for projection, x in ((layer.q, h), (layer.k, known), (layer.v, known))
    )
    count, width = known.size(1), h.size(-1)
    at = torch.arange(count)
    away = (at[-h.size(1) :, None] - at).clamp(min=0)
    angle = away[..., None] / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    r = torch.cat([angle.sin(), angle.cos()], -1).float().to(h.dtype)  # (S, T, D)
    r = (r @ layer.position.distance.weight.T).unflatten(-1, (heads, -1))
    u, w = layer.position.vectors()
    scores = torch.einsum("bhse,bhte->bhst", q + u[:, None], k)
    scores = (scores + torch.einsum("bhse,sthe->bhst", q + w[:, None], r)) * q.size(-1) ** -0.5
    hidden = at[-h.size(1) :, None] < at
    mix = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
    return layer.o(mix.transpose(1, 2).flatten(2))


def by_hand(model: ModelLayer, segments: list[Tensor], kept: int) -> Tensor:
    """Logits of segment after segment, whose memories are the last `kept` inputs of each layer."""
    memories = [torch.zeros(len(segments[0]), 0, model.spec.width, dtype=torch.float64) for _ in model.stack.order]
    out = []
    for ids in segments:
        h = model.embed.table.weight[ids] * model.spec.width**0.5
        for i, block in enumerate(model.stack.blocks):
            mixed = attend(block.attention, h, memories[i])
            memories[i] = torch.cat([memories[i], h], 1)[:, -kept:].detach()
            h = block.attention_norm(h + mixed)
            fed = block.feedforward
            h = block.feedforward_norm(h + fed.down(F.relu(fed.up(h))))
        out.append(h @ model.embed.table.weight.T + model.head.bias)
    return torch.cat(out, 1)


@pytest.mark.parametrize("kept", [2, 4, 100])
def test_a_model_is_the_papers_recurrence(kept: int) -> None:
    """Segments longer and shorter than what is kept: values, and the gradients of every weight."""
    model = model_of(carries=kept).double()
    ids = torch.randint(23, (2, 13))
    segments = list(ids.split([4, 3, 5, 1], 1))
    carried = model.carry(2)
    got = torch.cat([model.decode(segment, cache=carried) for segment in segments], 1)
    wanted = by_hand(model, segments, kept)
    assert_close(got, wanted, rtol=1e-6, atol=1e-6)
    weight = torch.randn_like(wanted)
    ours = torch.autograd.grad((got * weight).sum(), list(model.parameters()))
    theirs = torch.autograd.grad((wanted * weight).sum(), list(model.parameters()))
    for (name, _), a, b in zip(model.named_parameters(), ours, theirs, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-5, msg=lambda told, name=name: f"{name}: {told}")


def test_what_is_carried_is_bounded() -> None:
    model = model_of(carries=5)
    carried = model.carry(2)
    for _ in range(6):
        model.decode(torch.randint(23, (2, 4)), cache=carried)
        assert {slot.tensors["x"].shape for slot in carried.used()} == {(2, 5, 32)}
        assert not any(slot.tensors["x"].requires_grad for slot in carried.used())
    assert carried.positions.tolist()[0] == [19, 20, 21, 22, 23]


@torch.no_grad()
def test_a_window_is_the_same_however_the_text_is_cut() -> None:
    """`same_length`: each token sees as many before it, so that what is carried need not be more."""
    spec = edit(XL.declare(**XL.TOY | {"carries": 4}), lambda part: _near(part))
    torch.manual_seed(0)
    model = spec.build().eval()
    ids = torch.randint(23, (2, 12))
    whole = model(ids).logits
    for cut in ([3, 3, 3, 3], [1] * 12, [7, 5]):
        carried = model.carry(2)
        got = torch.cat([model.decode(piece, cache=carried) for piece in ids.split(cut, 1)], 1)
        assert_close(got, whole, rtol=1e-5, atol=1e-5)


def _near(part: object) -> object:
    return replace(part, pattern=Causal() & Window(4)) if isinstance(part, Attention) else part


@torch.no_grad()
def test_more_may_be_carried_than_in_training() -> None:
    model, ids = model_of(carries=3), torch.randint(23, (1, 12))
    carried = model.carry(1, 12)
    got = torch.cat([model.decode(piece, cache=carried) for piece in ids.split(4, 1)], 1)
    assert_close(got, model(ids).logits, rtol=1e-5, atol=1e-5)
    carried = model.carry(1, 0)
    for piece in ids.split(4, 1):
        assert_close(model.decode(piece, cache=carried), model(piece).logits, rtol=1e-5, atol=1e-5)


def test_segments_can_be_trained_in_half_precision() -> None:
    model = model_of(carries=4).train()
    carried = model.carry(2)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.decode(torch.randint(23, (2, 4)), cache=carried).float().square().mean()
        loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def stack(**words: object) -> Stack:
    attention = Attention(4, **{"pattern": Causal()} | words)  # type: ignore[arg-type]
    return Stack(Block((attention, FeedForward(64))), 2, carries=8)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"pattern": Full()}, r"pattern full looks ahead.*causal"),
        ({"pattern": Window(3)}, "looks ahead"),
        ({"shorten": Shorten(2)}, "span would be cut"),
        ({"source": "memory"}, "without a memory"),
        ({"pattern": Full(), "core": LowRank(64, 4)}, "LowRank tells 64 positions apart"),
    ],
)
def test_what_cannot_be_read_in_segments_is_refused(words: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidConfig, match=f"(?s){reason}"):
        stack(**words)


def test_blocks_that_are_left_out_carry_nothing() -> None:
    with pytest.raises(InvalidConfig, match=r"skip=0\.1"):
        replace(stack(), skip=0.1)


def test_positions_that_end_are_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"(?s)Learned.*ends at 64.*goes on counting.*positions=alibi"):
        Model(32, Tokens(23, Learned(64)), stack(), Vocabulary(23))
    Model(32, Tokens(23, Sinusoid()), stack(), Vocabulary(23))  # these have no end
    Model(32, Tokens(23), stack(position=Rotary()), Vocabulary(23))
    Model(32, Tokens(23), stack(position=Distances()), Vocabulary(23))


def test_a_decoder_of_two_stacks_carries_nothing() -> None:
    block = Block((Attention(4, Causal()), Attention(4, source="memory")))
    with pytest.raises(InvalidConfig, match="without a memory"):
        Seq2Seq(32, Tokens(23), Stack(Block((Attention(4),)), 1), Stack(block, 1, carries=4), Vocabulary(23))


def test_calls_that_do_not_fit() -> None:
    model = model_of()
    with pytest.raises(UsageError, match="-1 states"):
        model.carry(2, -1)
    with pytest.raises(UsageError, match=r"(?s)carries no states.*replace\(stack, carries=150\)"):
        family("gpt2").declare(**family("gpt2").TOY).build().carry(2)
    with pytest.raises(UsageError, match="several documents"):
        model.hidden(torch.zeros(2, 4, dtype=torch.long), cache=model.carry(2), documents=torch.zeros(2, 4))
