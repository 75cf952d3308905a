"""The memory of a Neural Turing Machine: every equation by loops, what they must do, and a program set by hand."""

import math
from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from laws.subjects import lively
from transept.errors import InvalidConfig, UsageError
from transept.families.registry import all_families
from transept.heads.bits import Bits
from transept.inputs.vectors import Vectors
from transept.inspect.record import record
from transept.models import Model
from transept.parts import addressing, turing
from transept.parts.addressing import TINY, access, address, shifted
from transept.parts.cell import Gru, Lstm
from transept.parts.controller import Controller, Direct, Stepping
from transept.parts.turing import EMPTY, Turing, TuringLayer
from transept.parts.view import View
from transept.topology import Built

Rows = list[list[float]]
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
MACHINES = {
    "direct": Turing(Direct(7), rows=6, columns=4),
    "direct, many heads": Turing(Direct(7), rows=7, columns=3, reads=2, writes=3, reach=2, first="top"),
    "lstm": Turing(Stepping(Lstm(5)), rows=5, columns=4, reads=1, writes=2),
    "gru, two layers": Turing(Stepping(Gru(5), depth=2), rows=6, columns=4, reads=3, reach=0),
}


def built(spec: Turing, width: int = 3) -> TuringLayer:
    torch.manual_seed(1)
    layer = spec.build(width).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.8)
    return layer


# ------------------------------------------------------------------ the equations, a number at a time


def softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    each = [math.exp(score - top) for score in scores]
    return [one / sum(each) for one in each]


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def cosine(a: list[float], b: list[float]) -> float:
    lengths = [math.sqrt(sum(x * x for x in v)) for v in (a, b)]
    return sum(x * y for x, y in zip(a, b, strict=True)) / ((lengths[0] + TINY) * (lengths[1] + TINY))


def looked(spec: Turing, emitted: list[float], head: int, memory: Rows, before: list[float]) -> list[float]:
    """Equations 5 to 9 for one head."""
    heads, n, moves = spec.reads + spec.writes, spec.rows, 2 * spec.reach + 1
    wide = heads * spec.columns
    key = emitted[head * spec.columns : (head + 1) * spec.columns]
    strength = softplus(emitted[wide + head])
    sharpness = 1 + softplus(emitted[wide + heads + head])
    gate = sigmoid(emitted[wide + 2 * heads + head])
    at = wide + 3 * heads + head * moves
    shifts = softmax(emitted[at : at + moves])  # of moving on by reach, reach - 1, ... -reach
    content = softmax([strength * cosine(key, row) for row in memory])
    mixed = [gate * c + (1 - gate) * b for c, b in zip(content, before, strict=True)]
    moved = [sum(mixed[(i - spec.reach + m) % n] * shifts[m] for m in range(moves)) for i in range(n)]
    powers = [(w + TINY) ** sharpness for w in moved]
    return [power / sum(powers) for power in powers]


def by_loops(layer: TuringLayer, x: Tensor) -> tuple[Tensor, list[list[list[float]]]]:
    """What leaves for one row (S, D), and where each head looked at each step."""
    spec = layer.spec
    heads, c = spec.reads + spec.writes, spec.columns
    memory = [[EMPTY] * c for _ in range(spec.rows)]
    weights = [[1.0] + [0.0] * (spec.rows - 1)] * heads
    if layer.looked is not None:
        weights = [softmax(row) for row in layer.looked.tolist()]
    found = torch.tanh(layer.recalled)
    states = layer.controller.taken(layer.controller.start(1))
    first = layer.controller.first()
    out, seen = [], []
    for now in x:
        given = first.weight @ torch.cat([now, found]) + first.bias
        h, states = layer.controller.step(given[None], states)
        emitted = layer.emit(h)[0].tolist()
        weights = [looked(spec, emitted, head, memory, weights[head]) for head in range(heads)]
        seen.append(weights)
        reads = [[sum(w[i] * memory[i][j] for i in range(spec.rows)) for j in range(c)] for w in weights[: spec.reads]]
        found = torch.tensor(reads, dtype=x.dtype).flatten()
        at = layer.asking
        for w, start in zip(weights[spec.reads :], range(at, at + spec.writes * c, c), strict=True):
            erase = [sigmoid(e) for e in emitted[start : start + c]]
            memory = [[row[j] * (1 - w[i] * erase[j]) for j in range(c)] for i, row in enumerate(memory)]
        at += spec.writes * c
        for w, start in zip(weights[spec.reads :], range(at, at + spec.writes * c, c), strict=True):
            add = [math.tanh(a) for a in emitted[start : start + c]]
            memory = [[row[j] + w[i] * add[j] for j in range(c)] for i, row in enumerate(memory)]
        out.append(torch.cat([h[0], found]))
    return torch.stack(out), seen


@torch.no_grad()
def check_equations(name: str) -> None:
    layer = built(MACHINES[name])
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    made = layer(x, View.of(x))
    for row in range(2):
        assert_close(made[row], by_loops(layer, x[row])[0], **CLOSE)


@pytest.mark.parametrize("name", MACHINES)
def test_every_equation_by_loops(name: str) -> None:
    check_equations(name)


def backwards(weights: Tensor, shifts: Tensor) -> Tensor:
    return shifted(weights, shifts.flip(-1))


def swapped(emitted: Tensor, heads: int, columns: int) -> addressing.Asked:
    asked = addressing_asked(emitted, heads, columns)
    return asked._replace(strength=asked.sharpness, sharpness=asked.strength)


def reads_what_is_written(where: Tensor, emitted: Tensor, memory: Tensor, writes: int) -> tuple[Tensor, Tensor]:
    after = access(where, emitted, memory, writes)[1]
    return where[:, :-writes] @ after, after


def erases_what_is_added(where: Tensor, emitted: Tensor, memory: Tensor, writes: int) -> tuple[Tensor, Tensor]:
    found, after = access(where, emitted, memory, writes)
    return found, access(where, emitted, after, writes)[1]


addressing_asked = addressing.asked_of


@pytest.mark.parametrize(
    ("owner", "attribute", "wrong"),
    [
        (addressing, "shifted", backwards),
        (addressing, "shifted", lambda weights, shifts: weights.clone()),
        (addressing, "asked_of", swapped),
        (addressing, "TINY", 1e-2),
        (turing, "access", reads_what_is_written),
        (turing, "access", erases_what_is_added),
        (turing, "EMPTY", 1e-3),
    ],
    ids=[
        "shifts backwards",
        "no shift",
        "strength for sharpness",
        "a large epsilon",
        "read after writing",
        "written twice",
        "another beginning",
    ],
)
def test_mutants_are_caught(owner: object, attribute: str, wrong: object) -> None:
    # Of a machine whose heads do not begin at one row: backwards from there would be the same memory, mirrored.
    with patch.object(owner, attribute, wrong), pytest.raises(AssertionError):
        check_equations("lstm")


# ------------------------------------------------------------------ gradients


def arguments(reach: int, writes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    batch, reads, rows, columns = 2, 2, 6, 3
    heads = reads + writes
    asking = torch.randn(batch, heads * (columns + 3 + 2 * reach + 1), dtype=torch.float64)
    memory = torch.randn(batch, rows, columns, dtype=torch.float64)
    memory[0, 1] = 1e-3  # a row of nearly nothing, as all are at first
    before = torch.randn(batch, heads, rows, dtype=torch.float64).softmax(-1)
    writing = torch.randn(batch, 2 * writes * columns, dtype=torch.float64)
    return tuple(tensor.requires_grad_() for tensor in (asking, memory, before, writing))  # type: ignore[return-value]


@pytest.mark.parametrize("reach", [0, 1, 2])
@pytest.mark.parametrize("writes", [1, 3])
def test_gradients_are_those_of_differences(reach: int, writes: int) -> None:
    asking, memory, before, writing = arguments(reach, writes)
    assert gradcheck(lambda *given: address(*given, columns=3), (asking, memory, before), eps=1e-7, atol=1e-4)
    assert gradcheck(lambda *given: access(*given, writes=writes), (before, writing, memory))


@pytest.mark.parametrize("name", MACHINES)
def test_gradients_reach_every_parameter(name: str) -> None:
    """Through a whole sequence, against differences."""
    layer = built(MACHINES[name])
    x = torch.randn(1, 4, 3, dtype=torch.float64)

    def loss() -> Tensor:
        return layer(x, View.of(x)).square().sum()

    loss().backward()
    for name_, parameter in layer.named_parameters():
        assert parameter.grad is not None, name_
        flat, grad = parameter.data.view(-1), parameter.grad.flatten()
        at = int(grad.abs().argmax())
        kept, step = float(flat[at]), 1e-6
        values = []
        for moved in (kept + step, kept - step):
            flat[at] = moved
            values.append(float(loss().detach()))
        flat[at] = kept
        assert float(grad[at]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-6), name_


def test_a_memory_of_nothing_is_finite() -> None:
    """Rows and keys without a length, and a weight of nothing."""
    asking = torch.zeros(1, 2 * (3 + 3 + 3), requires_grad=True)
    memory, before = torch.zeros(1, 5, 3, requires_grad=True), torch.eye(5)[None, :2].requires_grad_()
    where = address(asking, memory, before, columns=3)
    where.square().sum().backward()
    assert torch.isfinite(where).all()
    for given in (asking, memory, before):
        assert torch.isfinite(given.grad).all()  # type: ignore[arg-type]


# ------------------------------------------------------------------ what the equations must do


def asking(key: Tensor, strength: float, sharpness: float, gate: float, shifts: list[float], heads: int = 1) -> Tensor:
    """One head's wishes before they are squashed."""
    return torch.cat([key, torch.tensor([strength, sharpness, gate, *shifts])])[None].double()


def test_weights_sum_to_one_and_are_none_below_zero() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        given = torch.randn(3, 2 * (4 + 3 + 3), dtype=torch.float64) * 5
        where = address(given, torch.randn(3, 8, 4).double(), torch.rand(3, 2, 8).double().softmax(-1), columns=4)
        assert_close(where.sum(-1), torch.ones(3, 2).double(), rtol=0, atol=1e-12)
        assert bool((where >= 0).all())


@pytest.mark.parametrize(("shifts", "moved"), [([50, 0, 0], 1), ([0, 50, 0], 0), ([0, 0, 50], -1)])
def test_a_closed_gate_and_one_shift_rotate(shifts: list[float], moved: int) -> None:
    before = torch.rand(1, 1, 6).double().softmax(-1)
    where = address(asking(torch.ones(4), 3, -50, -50, shifts), torch.randn(1, 6, 4).double(), before, columns=4)
    assert_close(where, before.roll(moved, -1), rtol=1e-6, atol=1e-6)


def test_a_strong_key_finds_its_row() -> None:
    memory = torch.randn(1, 6, 4).double()
    where = address(asking(memory[0, 3], 1e4, 0, 50, [0, 50, 0]), memory, torch.ones(1, 1, 6).double() / 6, columns=4)
    assert int(where.argmax()) == 3
    assert float(where.max()) > 1 - 1e-5


def test_sharpness_undoes_a_blurred_shift() -> None:
    before = torch.eye(6)[None, 2:3].double()
    blurred, sharp = (
        address(asking(torch.ones(4), 0, y, -50, [2.0, 0.5, 0.0]), torch.randn(1, 6, 4).double(), before, columns=4)
        for y in (-50, 20)
    )
    assert float(blurred.max()) < 0.8
    assert float(sharp[0, 0, 3]) > 0.999


def test_erasing_all_and_adding_overwrites() -> None:
    memory, value = torch.randn(1, 5, 3).double(), torch.tensor([0.3, -0.9, 0.1]).double()
    where = torch.eye(5)[None, [1, 3]].double()  # the first reads row 1, the second writes row 3
    found, after = access(where, torch.cat([torch.full((3,), 50.0).double(), value.atanh()])[None], memory, writes=1)
    assert_close(found[0, 0], memory[0, 1], rtol=0, atol=1e-12)
    assert_close(after[0, 3], value, rtol=0, atol=1e-12)
    others = [0, 1, 2, 4]
    assert_close(after[0, others], memory[0, others], rtol=0, atol=1e-12)


def test_the_order_of_the_heads_that_write_does_not_matter() -> None:
    torch.manual_seed(0)
    where, memory = torch.rand(2, 4, 6).double().softmax(-1), torch.randn(2, 6, 3).double()
    written = torch.randn(2, 2, 3, 3).double()  # erase and add of three heads
    order = [2, 0, 1]
    after = access(where, written.flatten(1), memory, writes=3)[1]
    moved = access(torch.cat([where[:, :1], where[:, 1:][:, order]], 1), written[:, :, order].flatten(1), memory, 3)[1]
    assert_close(after, moved, rtol=0, atol=1e-12)


# ------------------------------------------------------------------ a program, set by hand


def copier(bits: int, rows: int) -> Built:
    """A machine whose weights make it copy: it writes what it sees row by row, the first with a mark beside it; at the
    delimiter it finds the mark again, goes back one row, and from there on reads row by row."""
    columns, mark = bits + 1, bits
    stack = Turing(Direct(bits + 2, "relu"), rows=rows, columns=columns, first="top")
    model = Model(bits + 1, Vectors(bits + 1, project="none"), stack, Bits(bits)).build().double()
    layer = model.stack
    assert isinstance(layer, TuringLayer)
    seen, delimiter, marked = slice(0, bits), bits, bits + 1  # the hidden units
    high, low = 40.0, 0.3
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        up = layer.controller.first().weight
        up[seen, seen], up[delimiter, bits] = torch.eye(bits).double(), 1.0
        # What was read has the mark, or nearly none: so has what is read before the first step.
        up[marked, bits + 1 + mark], layer.controller.first().bias[marked] = 1.0, -0.5
        layer.recalled[mark] = 20.0
        weight, bias = layer.emit.weight, layer.emit.bias
        reading, wide = 0, 2 * columns
        bias[reading * columns + mark] = 1.0  # the key of the head that reads is the mark
        bias[wide] = 200.0
        gates, shifts = wide + 4, wide + 6
        bias[gates : gates + 2] = -high
        weight[gates, delimiter] = 2 * high  # by content at the delimiter alone
        for head in range(2):
            bias[shifts + 3 * head], bias[shifts + 3 * head + 1 : shifts + 3 * head + 3] = high, -high
        weight[shifts, delimiter], weight[shifts + 2, delimiter] = -2 * high, 2 * high
        erase = layer.asking
        bias[erase : erase + columns] = high
        add = erase + columns
        weight[add : add + bits, seen] = math.atanh(low) * torch.eye(bits).double()
        weight[add + mark, marked] = 40.0
        model.head.score.weight[:, bits + 2 : bits + 2 + bits] = 40 * torch.eye(bits).double()
        model.head.score.bias.fill_(-40 * low / 2)
    return model.eval()


@torch.no_grad()
def test_weights_set_by_hand_copy_whatever_fits_the_memory() -> None:
    model, bits = copier(5, rows=40), 5
    for length in (1, 2, 7, 18):
        torch.manual_seed(length)
        shown = torch.randint(0, 2, (4, length, bits)).double()
        inputs = torch.zeros(4, 2 * length + 1, bits + 1).double()
        inputs[:, :length, :bits], inputs[:, length, bits] = shown, 1
        with record(model, "stack.*") as kept:
            answer = model(inputs).logits[:, length + 1 :]
        assert torch.equal((answer > 0).double(), shown)
        assert float(answer.abs().min()) > 5  # and is sure of it
        # The head that writes goes row by row; the head that reads comes back to where it began.
        rows = kept["stack.writing"][:, 0].argmax(-1)
        assert torch.equal(rows, (torch.arange(2 * length + 1) + 1).expand_as(rows))
        assert torch.equal(kept["stack.reading"][:, 0].argmax(-1)[:, length + 1 :], rows[:, :length])


# ------------------------------------------------------------------ what is recorded, refused, begun


@torch.no_grad()
def test_what_is_recorded_is_where_the_heads_looked() -> None:
    spec = MACHINES["direct, many heads"]
    model = lively(Model(3, Vectors(3, project="none"), spec, Bits(2))).double()
    x = torch.randn(2, 5, 3).double()
    plain = model(x).logits
    with record(model) as kept:
        assert torch.equal(model(x).logits, plain)
    assert set(kept) == {"stack.reading", "stack.writing"}
    assert isinstance(model.stack, TuringLayer)
    for row in range(2):
        seen = torch.tensor(by_loops(model.stack, x[row])[1]).double().transpose(0, 1)  # (H, S, N)
        assert_close(kept["stack.reading"][row], seen[:2], rtol=1e-7, atol=1e-9)
        assert_close(kept["stack.writing"][row], seen[2:], rtol=1e-7, atol=1e-9)
    with pytest.raises(UsageError, match="There are: stack.reading, stack.writing"), record(model, "decoder.*"):
        pass


@torch.no_grad()
def test_a_tap_takes_the_place_of_where_a_head_looks() -> None:
    """Patched by what was recorded nothing changes; looking elsewhere changes what is read."""
    model = lively(Model(3, Vectors(3, project="none"), MACHINES["direct"], Bits(2)))
    x = torch.randn(2, 5, 3)
    plain = model(x).logits
    assert isinstance(model.stack, TuringLayer)
    for change, same in ((lambda looked: looked.clone(), True), (lambda looked: looked.roll(2, -1), False)):
        handle = model.stack.reading.register_forward_hook(lambda _, given, looked, change=change: change(looked))
        assert torch.equal(model(x).logits, plain) is same
        handle.remove()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Turing(Direct(4), rows=2), ["rows", "at least 3"]),
        (lambda: Turing(Direct(4), reads=0), ["reads", "at least 1"]),
        (lambda: Turing(Direct(4), reach=-1), ["reach"]),
        (lambda: Direct(0), ["hidden"]),
        (lambda: Stepping(Lstm(3), depth=0), ["depth"]),
        (lambda: Vectors(3, project="none").build(4), ["3 numbers", "4 wide", "linear"]),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_heads_begin_apart() -> None:
    """All rows alike and all looked at alike would stay so for ever."""
    torch.manual_seed(0)
    layer = all_families()["ntm"].declare(hidden=8, first="learned").build().stack
    first = layer.start(1)["weights"][0].detach()
    assert float(first.std(-1).min()) > 1e-3
    assert float((first[0] - first[1]).abs().max()) > 1e-3


def test_a_controller_sees_what_enters_and_what_was_read() -> None:
    """The first matrix is parted into the shares of both; together they are the whole."""
    controllers: list[Controller] = [Direct(4), Stepping(Lstm(4), 2)]
    for controller in controllers:
        layer = controller.build(3, 5).double()
        x, found = torch.randn(2, 6, 3).double(), torch.randn(2, 5).double()
        whole = layer.first()(torch.cat([x, found[:, None].expand(-1, 6, -1)], -1))
        assert_close(layer.given(x) + (found @ layer.reading())[:, None], whole, **CLOSE)
