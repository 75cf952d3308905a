"""Cells and layers of them against torch's modules, with every direction and padding; the cell that torch has not."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from transept.errors import InvalidConfig
from transept.models import Model, Seq2Seq
from transept.parts.cache import Slot
from transept.parts.cell import Cell, CellLayer, Elman, Gru, Lstm
from transept.parts.memory import Memory
from transept.parts.recurrent import Reading, Recurrent, RecurrentLayer
from transept.parts.start import Start
from transept.parts.view import View
from transept.spec import replace

WIDTH, HIDDEN, ROWS, LENGTH = 5, 7, 4, 9
LENGTHS = torch.tensor([6, 9, 2, 5])
CELLS: dict[str, Cell] = {
    "elman": Elman(HIDDEN),
    "elman relu": Elman(HIDDEN, "relu"),
    "lstm": Lstm(HIDDEN),
    "gru": Gru(HIDDEN),
    "gru before": Gru(HIDDEN, "before"),
}
EXACT = {"rtol": 1e-10, "atol": 1e-10}


def lively(cell: Cell, **more: object) -> RecurrentLayer:
    torch.manual_seed(0)
    layer = Recurrent(cell, **more).build(WIDTH).double()  # type: ignore[arg-type]
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def theirs(layer: RecurrentLayer) -> nn.RNNBase:
    """torch's module with the same weights."""
    spec = layer.spec
    kind = {Elman: nn.RNN, Lstm: nn.LSTM, Gru: nn.GRU}[type(spec.cell)]
    more = {"nonlinearity": spec.cell.activation} if isinstance(spec.cell, Elman) else {}
    both = spec.reads == "both"
    module = kind(WIDTH, HIDDEN, spec.depth, batch_first=True, bidirectional=both, **more).double()
    for i, cell in enumerate(layer.cells):
        assert isinstance(cell, CellLayer)
        end = f"l{i // spec.directions}" + ("_reverse" if i % spec.directions else "")
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        for name, weight in zip(names, cell.weights(), strict=True):
            getattr(module, f"{name}_{end}").data.copy_(weight)
    return module


def on_side(valid: Tensor, side: str) -> Tensor:
    return valid if side == "right" else valid.flip(1)


def moved(x: Tensor, side: str) -> Tensor:
    """Rows that are padded on the right, padded on the left instead."""
    if side == "right":
        return x
    return torch.stack([row.roll(LENGTH - int(n), 0) for row, n in zip(x, LENGTHS, strict=True)])


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("reads", ["forward", "both"])
@pytest.mark.parametrize("name", [name for name in CELLS if name != "gru before"])
def test_layers_are_torchs(name: str, reads: Reading, depth: int) -> None:
    layer = lively(CELLS[name], depth=depth, reads=reads)
    other, x = theirs(layer), torch.randn(ROWS, LENGTH, WIDTH, dtype=torch.float64)
    slot = Slot(layer.first(ROWS, None), "state")
    assert_close(layer(x, View.of(x), [[slot]]), other(x)[0], **EXACT)
    last = other(x)[1]
    wanted = dict(zip(layer.spec.cell.states, last if isinstance(last, tuple) else (last,), strict=True))
    for state, value in wanted.items():
        assert_close(slot.tensors[state], value.transpose(0, 1), **EXACT)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("reads", ["forward", "both"])
@pytest.mark.parametrize("name", [name for name in CELLS if name != "gru before"])
def test_padded_rows_are_torchs_packed_ones(name: str, reads: Reading, side: str) -> None:
    layer = lively(CELLS[name], depth=2, reads=reads)
    other, x = theirs(layer), torch.randn(ROWS, LENGTH, WIDTH, dtype=torch.float64)
    packed, last = other(pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False))
    wanted = pad_packed_sequence(packed, batch_first=True, total_length=LENGTH)[0]
    valid = on_side(torch.arange(LENGTH) < LENGTHS[:, None], side)
    slot = Slot(layer.first(ROWS, None), "state")
    got = layer(moved(x, side), View.of(x, valid), [[slot]])
    assert_close(got, moved(wanted, side), **EXACT)
    h = last[0] if isinstance(last, tuple) else last
    assert_close(slot.tensors["h"], h.transpose(0, 1), **EXACT)


@pytest.mark.parametrize("name", CELLS)
def test_the_reversed_source_is_read_from_its_last_real_token(name: str) -> None:
    """ "backward" is "forward" over the row turned round, each state at its own token again."""
    backward = lively(CELLS[name], reads="backward")
    forward = lively(CELLS[name], reads="forward")
    x, valid = torch.randn(ROWS, LENGTH, WIDTH, dtype=torch.float64), torch.arange(LENGTH) < LENGTHS[:, None]
    got = backward(x, View.of(x, valid))
    for row, n in enumerate(LENGTHS.tolist()):
        alone = x[row : row + 1, :n].flip(1)
        assert_close(got[row, :n], forward(alone, View.of(alone))[0].flip(0), **EXACT)
        assert not got[row, n:].any()


def test_the_reset_before_the_product_is_chos() -> None:
    """n = tanh(W x + U (r h)); written out, and not what torch computes."""
    layer = lively(CELLS["gru before"])
    cell = layer.cells[0]
    assert isinstance(cell, CellLayer)
    x = torch.randn(2, LENGTH, WIDTH, dtype=torch.float64)
    w, u, b, d = cell.weights()
    h, wanted = torch.zeros(2, HIDDEN, dtype=torch.float64), []
    for t in range(LENGTH):
        one, own = (x[:, t] @ w.T + b).split(HIDDEN, 1), [h @ part.T for part in u.split(HIDDEN)]
        r, z = (torch.sigmoid(one[i] + own[i] + d[i * HIDDEN : (i + 1) * HIDDEN]) for i in (0, 1))
        n = torch.tanh(one[2] + (r * h) @ u[2 * HIDDEN :].T + d[2 * HIDDEN :])
        h = (1 - z) * n + z * h
        wanted.append(h)
    got = layer(x, View.of(x))
    assert_close(got, torch.stack(wanted, 1), **EXACT)
    after = Recurrent(Gru(HIDDEN)).build(WIDTH).double()
    after.load_state_dict(layer.state_dict())
    assert (after(x, View.of(x)) - got).abs().max() > 1e-2


@pytest.mark.parametrize("name", CELLS)
def test_steps_are_the_sequence(name: str) -> None:
    """One token at a time, some rows padded at some of them: a state stays as it was there."""
    layer = lively(CELLS[name], depth=2)
    x = torch.randn(ROWS, LENGTH, WIDTH, dtype=torch.float64)
    valid = torch.rand(ROWS, LENGTH) < 0.7
    slots = [[Slot(layer.first(ROWS, None), "state")]]
    whole = layer(x, View.of(x, valid))
    stepped = torch.cat(
        [layer(x[:, t : t + 1], View.of(x[:, t : t + 1], valid[:, t : t + 1]), slots) for t in range(LENGTH)], 1
    )
    assert_close(stepped, whole, **EXACT)


def memory_of(reads: Reading, depth: int = 2) -> tuple[Memory, Recurrent]:
    encoder = lively(Lstm(HIDDEN), depth=depth, reads=reads)
    x, slots = torch.randn(3, LENGTH, WIDTH, dtype=torch.float64), [[Slot(encoder.first(3, None), "state")]]
    states = encoder(x, View.of(x), slots)
    return Memory(states, None, slots[0][0].tensors), encoder.spec


def test_a_decoder_begins_with_the_last_states() -> None:
    memory, _ = memory_of("forward")
    begun = Start("final").build(Lstm(HIDDEN), 2, HIDDEN)(memory, 6)
    assert_close(begun["h"][:, 1], memory.states[:, -1].repeat_interleave(2, 0), **EXACT)
    assert begun.keys() == {"h", "c"}


def test_a_bridge_joins_the_directions_of_each_layer() -> None:
    memory, _ = memory_of("both")
    layer = Start("bridge").build(Lstm(HIDDEN), 2, 2 * HIDDEN).double()
    final = memory.final
    assert final is not None
    for i in range(2):
        given = torch.cat([final["c"][:, 2 * i], final["c"][:, 2 * i + 1]], 1)
        matrix = layer.bridge["c"][i]  # type: ignore[index]
        assert_close(layer(memory, 3)["c"][:, i], matrix(given).tanh(), **EXACT)


def test_bahdanaus_start_is_what_was_read_backward_at_the_first_word() -> None:
    memory, _ = memory_of("both", depth=1)
    layer = Start("backward").build(Gru(4), 1, 2 * HIDDEN).double()
    matrix = layer.bridge["h"][0]  # type: ignore[index]
    assert_close(layer(memory, 3)["h"][:, 0], matrix(memory.states[:, 0, HIDDEN:]).tanh(), **EXACT)


def test_the_mean_is_of_real_states_alone() -> None:
    states, valid = torch.randn(2, 5, 6), torch.tensor([[True, True, False, False, False], [False] * 5])
    layer = Start("mean").build(Gru(4), 1, 6)
    matrix = layer.bridge["h"][0]  # type: ignore[index]
    got = layer(Memory(states, valid), 2)["h"][:, 0]
    assert_close(got[0], matrix(states[0, :2].mean(0)).tanh())
    assert_close(got[1], matrix(torch.zeros(6)).tanh())


@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        (Recurrent(Lstm(HIDDEN), 2), "reads nothing of its source"),
        (Recurrent(Lstm(HIDDEN), 3, start=Start()), "3 layers of 7 cannot begin with the last states of 2 of 7"),
        (Recurrent(Lstm(HIDDEN), 2, start=Start("backward")), "reads both ways"),
        (Recurrent(Lstm(HIDDEN), 3, start=Start("bridge")), "3 layers cannot begin with the last states of 2"),
    ],
)
def test_what_cannot_begin_is_refused(decoder: Recurrent, words: str) -> None:
    from transept.families import lstm

    whole = lstm.declare(**lstm.TOY | {"hidden": HIDDEN})
    assert isinstance(whole, Seq2Seq)
    with pytest.raises(InvalidConfig, match=words):
        replace(whole, decoder=decoder)


def test_what_reads_a_memory_needs_one() -> None:
    from transept.families import bahdanau, lstm

    whole = lstm.declare(**lstm.TOY)
    assert isinstance(whole, Seq2Seq)
    searching = bahdanau.declare(**bahdanau.TOY).decoder
    with pytest.raises(InvalidConfig, match="Searching reads a memory, and a model of one stack has none"):
        Model(16, whole.embed, searching, whole.head)
    with pytest.raises(InvalidConfig, match="the encoder, Recurrent, reads a memory"):
        replace(whole, encoder=whole.decoder)
    with pytest.raises(InvalidConfig, match="writes from left to right"):
        Recurrent(Lstm(HIDDEN), 2, "backward", Start())


def test_a_transformer_hands_no_state_over() -> None:
    from transept.families import lstm, transformer

    whole = lstm.declare(**lstm.TOY)
    assert isinstance(whole, Seq2Seq)
    with pytest.raises(InvalidConfig, match="Stack hands no last state h over"):
        replace(whole, encoder=transformer.declare(**transformer.TOY).encoder)
