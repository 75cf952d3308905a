"""Probes of states that hold what is asked, and that do not; governors of heads that know them, and of chance."""

import pytest
import torch
from torch.testing import assert_close

from laws.subjects import families, lively, some_ids
from transept.errors import UsageError
from transept.inspect.example import Example, Row
from transept.inspect.figure import curves, heat
from transept.inspect.probe import control_labels, layers_of, probe
from transept.inspect.syntax import Tally, word_maps
from transept.models import Seq2Seq

TAGS = ["NOUN", "VERB", "DET"]


def sample(words: int = 600, kinds: int = 40) -> tuple[list[str], list[str], list[bool]]:
    torch.manual_seed(0)
    drawn = torch.randint(kinds, (words,)).tolist()
    return [f"w{k}" for k in drawn], [TAGS[k % 3] for k in drawn], [at >= words // 2 for at in range(words)]


def test_a_probe_reads_what_is_there_and_control_tells_memory_from_knowledge() -> None:
    words, labels, out = sample()
    tag = torch.tensor([[float(label == t) for t in TAGS] for label in labels])
    noise = torch.randn(len(words), 5, generator=torch.Generator().manual_seed(1))
    knows = probe(torch.cat([tag + 0.1 * noise[:, :3], noise], 1), labels, words, out)
    assert knows.accuracy > 0.98
    assert knows.selectivity > 0.4  # of the control task it knows no more than how often labels come
    kind = torch.nn.functional.one_hot(torch.tensor([int(word[1:]) for word in words])).float()
    memory = probe(kind, labels, words, out)  # the words themselves: both tasks are learned by heart
    assert memory.accuracy > 0.98 and memory.selectivity < 0.05
    nothing = probe(noise, labels, words, out)
    assert abs(nothing.accuracy - nothing.most) < 0.12
    assert probe(noise, labels, words, out) == nothing  # repeats exactly
    assert knows.count == 300


def test_a_hidden_layer_reads_what_no_line_parts() -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(800, 2, generator=draws)
    labels = ["a" if a * b > 0 else "b" for a, b in x.tolist()]
    words, out = [str(at) for at in range(800)], [at % 2 == 1 for at in range(800)]
    assert probe(x, labels, words, out).accuracy < 0.65
    assert probe(x, labels, words, out, hidden=16).accuracy > 0.9


def test_control_labels_are_of_words() -> None:
    words, labels, out = sample()
    control = control_labels(words, labels)
    assert len({(word, label) for word, label in zip(words, control, strict=True)}) == len(set(words))
    assert control == control_labels(words, labels) != control_labels(words, labels, seed=1)
    with pytest.raises(UsageError, match="one side is empty"):
        probe(torch.zeros(600, 2), labels, words, [False] * 600)
    with pytest.raises(UsageError, match="5 states"):
        probe(torch.zeros(5, 2), labels, words, out)


@pytest.mark.parametrize("name", ["bert", "transformer", "lstm", "t5", "gpt2"])
def test_layers_are_the_states_of_words(name: str) -> None:
    spec = families()[name]
    target = Row.of([3]) if isinstance(spec, Seq2Seq) else None
    one = Example(lively(spec), Row.of(some_ids(6).tolist()), target)
    layers = layers_of(one)
    output = one.output()
    if target is None:
        assert_close(layers[-1], output.hidden[0], rtol=1e-4, atol=1e-4) if name == "bert" else None
        assert len(layers) == 3
    elif name == "lstm":
        assert output.memory is not None
        assert_close(layers[0], output.memory.states[0])
    assert all(len(layer) == 6 for layer in layers)


def test_governors_are_found_by_the_head_that_knows_them() -> None:
    torch.manual_seed(0)
    tally = Tally()
    for _ in range(60):
        count = 7
        heads = torch.randint(count, (count,)).tolist()
        heads[0] = 0
        relations = ["root", *(["det", "obj"][at % 2] for at in range(1, count))]
        up = torch.eye(count)[heads]
        noise = torch.rand(count, count).softmax(-1)
        before = torch.eye(count)[[max(at - 1, 0) for at in range(count)]]
        tally.add({"one": torch.stack([noise, before]), "two": torch.stack([noise, up + noise])}, heads, relations)
    found = {one.relation: one for one in tally.governors()}
    assert set(found) == {"all", "det", "obj"}
    assert (found["obj"].attention, found["obj"].head, found["obj"].looks) == ("two", 1, "up")
    assert found["obj"].accuracy == 1.0 > found["obj"].baseline
    with pytest.raises(UsageError, match="other sizes"):
        tally.add({}, [0, 1], ["a"])


def test_an_offset_is_found_and_no_head_beats_it() -> None:
    tally = Tally()
    for _ in range(30):
        heads = [1, 2, 3, 4, 4]
        before = torch.eye(5)[[max(at - 1, 0) for at in range(5)]]
        tally.add({"one": before[None]}, heads, ["det"] * 5)
    (whole, det) = tally.governors()
    assert det.offset == 1 and det.baseline == 1.0 == whole.baseline
    assert det.looks == "down" and det.accuracy == 1.0  # who looks at the word before is looked at by it


def test_maps_of_words_leave_out_what_stands_around() -> None:
    one = Example(lively(families()["bert"]), Row.of([2, 5, 6, 7, 3]))
    maps = word_maps(one)
    assert {m.shape for m in maps.values()} == {(4, 5, 5)}
    with pytest.raises(UsageError, match="no attention of this model"):
        word_maps(Example(lively(families()["lstm"]), Row.of([4]), Row.of([3])))


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_figures_are_what_their_names_say(tmp_path, kind: str) -> None:
    file = tmp_path / f"map.{kind}"
    heat(file, torch.tensor([[0.5, 0.5], [1.0, 0.0]]), ["$a", "b"], ["c", "d"], title="t")
    first = file.read_bytes()
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[kind])
    curves(file, {"accuracy": [0.1, 0.5]})
    assert file.read_bytes() != first
    heat(file, torch.tensor([[0.5, 0.5], [1.0, 0.0]]), ["$a", "b"], ["c", "d"], title="t")
    if kind == "png":
        assert file.read_bytes() == first
    with pytest.raises(UsageError, match="one of png, svg"):
        heat(tmp_path / "map.gif", torch.eye(2), ["a", "b"], ["a", "b"])
