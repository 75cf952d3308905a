"""Language models: windows, packed documents and segments; what is measured, what is refused, what is handed on."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from transept.data.batches import IGNORED
from transept.errors import InvalidConfig, InvalidData, TranseptError
from transept.hub.directory import read
from transept.models import kept_apart
from transept.parts.attention import Attention
from transept.parts.loss import Smoothing
from transept.parts.shorten import Shorten
from transept.spec import edit, replace
from transept.tasks.language import Language, next_token_loss
from transept.tasks.registry import task_of
from transept.train.checkpoint import Checkpoints, Saved
from transept.train.loop import train
from transept.train.run import RunDirectory
from unit.tasks.made_pretraining import (
    BERT,
    CONVS2S,
    GPT2,
    GRU,
    LSTM,
    MEMORIZING,
    TEXTS,
    XL,
    assert_equal,
    made,
    moved,
    whole,
)


@pytest.mark.parametrize("rows", ["windows", "packed", "padded"])
def test_an_epoch_asks_for_every_token_once(tmp_path: Path, rows: str) -> None:
    task = made(tmp_path, "language", GPT2, f"data.rows={rows}")
    ids = task.train.ids
    for epoch in (0, 1):
        batches = task.batches("train", epoch)
        asked = torch.cat([batch.labels[batch.labels != IGNORED] for batch in batches])
        if rows == "windows":  # but for the ends of what was cut
            assert len(ids) - 2 * 32 <= len(asked) < len(ids)
        else:
            assert sorted(asked.tolist()) == sorted(ids[1:].tolist())
        for batch in batches:
            same = batch.labels[:, :-1] != IGNORED
            if batch.documents is not None:
                same &= batch.documents[:, 1:] == batch.documents[:, :-1]
            same &= batch.labels[:, 1:] != IGNORED
            assert (batch.inputs[:, 1:][same] == batch.labels[:, :-1][same]).all(), "each token follows the one read"
            assert batch.inputs.numel() <= 128
    again = task.batches("train", 1)
    assert all(torch.equal(batches[i].inputs, again[i].inputs) for i in range(len(again)))


def test_packed_padded_and_parted_rows_have_one_loss_and_one_gradient(tmp_path: Path) -> None:
    packed = made(tmp_path, "language", GPT2, "data.rows=packed")
    padded = made(tmp_path, "language", GPT2, "data.rows=padded")
    alone = made(tmp_path, "language", GPT2, "data.rows=padded", "train.batch_tokens=32")
    model = moved(packed)
    plain = padded.build().eval()
    plain.load_state_dict(model.state_dict())
    first = whole(packed, model, packed.batches("train", 0))
    assert_equal(first, whole(padded, plain, padded.batches("train", 0)))
    assert_equal(first, whole(alone, plain, alone.batches("train", 3)))
    assert "Documents" in str(packed.trained()) and "Documents" not in str(packed.spec)


def test_a_mutant_that_looks_beyond_its_document_is_noticed(tmp_path: Path) -> None:
    packed = made(tmp_path, "language", GPT2, "data.rows=packed")
    model = moved(packed)
    right = whole(packed, model, packed.batches("train", 0))
    plain = packed.spec.build().eval()
    plain.load_state_dict(model.state_dict())
    batches = list(packed.batches("train", 0))
    for batch in batches:
        object.__setattr__(batch, "documents", None)
    assert abs(whole(packed, plain, batches)[0] - right[0]) > 1e-4 * right[0], "a hundred times what is let pass"


@pytest.mark.parametrize("model", [GPT2, LSTM, CONVS2S], ids=lambda model: model["family"])
def test_what_is_measured_is_the_loss_of_the_whole_text(tmp_path: Path, model: dict[str, Any]) -> None:
    task = made(tmp_path, "language", model, "data.rows=padded", "data.length=64")
    built = moved(task)
    found, total, count = task.measure(built, task.valid), 0.0, 0
    for row in range(len(task.valid)):
        ids = torch.tensor([[task.valid.end, *task.valid.document(row).tolist()]])
        scores = built(ids[:, :-1]).logits[0].log_softmax(-1)
        total -= scores.gather(1, ids[0, 1:, None]).sum().item()
        count += ids.size(1) - 1
    assert (found.tokens, found.loss) == (count, pytest.approx(total / count, rel=1e-5))
    assert found.more["bits_per_character"] == pytest.approx(total / math.log(2) / sum(map(len, TEXTS)), rel=1e-5)


SEGMENTS = ("data.rows=segments", "data.documents=whole", "data.length=8", "train.batch_tokens=24")


@pytest.mark.parametrize("model", [XL, MEMORIZING, LSTM], ids=lambda model: model["family"])
def test_segments_run_on_from_batch_to_batch(tmp_path: Path, model: dict[str, Any]) -> None:
    task = made(tmp_path, "language", model, *SEGMENTS)
    ids, firsts = task.train.ids, set()
    for epoch in range(8):
        batches = task.batches("train", epoch)
        assert [batch.begins for batch in batches] == [True] + [False] * (len(batches) - 1)
        assert {len(batch) for batch in batches} == {3}
        inputs, labels = (torch.cat([getattr(batch, name) for batch in batches], 1) for name in ("inputs", "labels"))
        real = labels != IGNORED
        assert torch.equal(inputs[:, 1:][real[:, 1:]], labels[:, :-1][real[:, 1:]]), "each goes on where it ended"
        asked = labels[real].tolist()
        assert asked == ids[len(ids) - len(asked) :].tolist(), "the streams, one after the other, are the text"
        assert len(ids) - 8 <= len(asked) < len(ids)
        firsts.add(len(asked))
    assert len(firsts) > 2, "an epoch begins at another place"


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_short_text_runs_in_fewer_streams_so_that_something_is_carried(tmp_path: Path, split: str) -> None:
    """A batch has room for forty segments; the text has as many in all, and each of them would begin a stream."""
    task = made(tmp_path, "language", XL, *SEGMENTS, "train.batch_tokens=320")
    count = len(task.train.ids)
    assert 3 * 64 <= count < 4 * 64 and task.in_batch == 40
    for epoch in range(4):
        batches = task.batches(split, epoch)
        assert {len(batch) for batch in batches} == {3}
        assert [batch.begins for batch in batches] == [True] + [False] * (len(batches) - 1) and len(batches) >= 9
    wide = made(tmp_path, "language", XL, *SEGMENTS)
    assert task.in_streams(task.train) == wide.in_batch == 3 and {len(b) for b in wide.batches(split, 0)} == {3}
    told = "from segment to segment: 3 streams of 10 segments each, of 8 tokens"
    assert wide.facts()["carried"] == told
    assert task.facts()["carried"] == f"{told}; a batch has room for 40 streams, and they would be shorter"
    lone = made(tmp_path, "language", XL, *SEGMENTS, "data.length=64", "train.batch_tokens=320")
    assert lone.facts()["carried"].startswith("from segment to segment: one stream of 4 segments, of 64 tokens; a")


def test_a_run_whose_streams_were_as_many_as_before_is_the_same(tmp_path: Path) -> None:
    """The fingerprint says in how many the text runs only where the batch does not say it."""
    few = made(tmp_path, "language", XL, *SEGMENTS, "train.batch_tokens=320")
    usual = made(tmp_path, "language", XL, *SEGMENTS, "train.batch_tokens=24")
    assert few.laid_out() == {"streams": 3} and usual.laid_out() == {}
    assert made(tmp_path, "language", XL, *SEGMENTS, "data.rows=windows", "train.batch_tokens=320").laid_out() == {}
    kept = few.fingerprint
    few.__dict__.pop("fingerprint")
    few.laid_out = dict
    assert few.fingerprint != kept


def test_a_text_of_one_segment_is_not_trained_by_segments(tmp_path: Path) -> None:
    count = len(made(tmp_path, "language", XL, *SEGMENTS).train.ids)
    length = -(-count // 2)
    task = made(tmp_path, "language", XL, *SEGMENTS, f"data.length={length}", "train.batch_tokens=400")
    with pytest.raises(InvalidData, match=f"has {count} tokens, too few for 2 segments of {length}") as caught:
        task.batches("train", 0)
    assert "data.rows=windows" in str(caught.value.remedy)
    least = made(tmp_path, "language", XL, *SEGMENTS, f"data.length={(count - 1) // 2}", "train.batch_tokens=400")
    for epoch in range(6):
        assert [batch.begins for batch in least.batches("train", epoch)][:2] == [True, False]


def test_what_segments_measure_is_one_long_pass(tmp_path: Path) -> None:
    task = made(tmp_path, "language", XL | {"carries": 400}, *SEGMENTS, "train.batch_tokens=8")
    built = moved(task)
    for parameter in built.parameters():
        parameter.data.mul_(3)  # so that what is looked at matters
    found, ids = task.measure(built, task.valid), torch.from_numpy(task.valid.ids.astype(np.int64))[None]
    scores = built.decode(ids[:, :-1])[0].log_softmax(-1)
    total = -scores.gather(1, ids[0, 1:, None]).sum().item()
    assert (found.tokens, found.loss) == (ids.size(1) - 1, pytest.approx(total / (ids.size(1) - 1), rel=1e-5))
    alone = made(tmp_path, "language", XL, *SEGMENTS, "data.rows=windows").measure(built, task.valid)
    assert alone.loss != pytest.approx(found.loss, rel=1e-3), "where nothing is carried the loss is another"


@pytest.mark.parametrize("model", [XL | {"dropout": 0.1}, MEMORIZING, LSTM], ids=lambda model: model["family"])
def test_a_run_by_segments_that_was_broken_off_goes_on_bit_for_bit(tmp_path: Path, model: dict[str, Any]) -> None:
    """It stops in the middle of an epoch: what is taken up then is what that segment had handed on."""
    weights = []
    for stops in ((7,), (3, 7)):
        for stop in stops:
            run = RunDirectory.prepare(
                tmp_path / str(len(stops)), "run: own\n", "resume" if stop != stops[0] else "new"
            )
            task = made(tmp_path, "language", model, *SEGMENTS, f"train.stop={stop}u", "train.samples=0")
            train(task, task.recipe.train, run, resume=stop != stops[0], console=Console(quiet=True))
        saved = Checkpoints(run.checkpoints).load(7)
        weights.append((saved.model, saved.carried))
        assert len(task.batches("train", 0)) > 7
    for one, other in zip(*weights, strict=True):
        assert one.keys() == other.keys() and one
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("model", [XL, MEMORIZING, LSTM, GRU], ids=lambda model: model["family"])
@pytest.mark.parametrize("after", ["bfloat16", "float32"])
def test_a_run_by_segments_goes_on_in_any_precision(tmp_path: Path, model: dict[str, Any], after: str) -> None:
    """What bfloat16 had handed on: bit for bit where it stays, and with a line where it does not."""

    def go(name: str, stop: int, precision: str) -> Saved:
        run = RunDirectory.prepare(tmp_path / name, "run: own\n", "resume" if (tmp_path / name).exists() else "new")
        words = (f"train.stop={stop}u", "train.samples=0", f"train.precision={precision}")
        task = made(tmp_path, "language", model, *SEGMENTS, *words)
        train(task, task.recipe.train, run, resume=run.log.exists(), console=Console(quiet=True))
        return Checkpoints(run.checkpoints).load(stop)

    go("parted", 3, "bfloat16")
    parted, whole = go("parted", 5, after), go("whole", 5, "bfloat16")
    same = all(torch.equal(whole.model[name], tensor) for name, tensor in parted.model.items())
    assert same == (after == "bfloat16")
    told = "precision was bfloat16, is float32 now" in (tmp_path / "parted" / "train.log").read_text()
    assert told == (after == "float32")


def test_what_is_carried_fits_its_model_alone(tmp_path: Path) -> None:
    task = made(tmp_path, "language", XL, *SEGMENTS)
    model = moved(task)
    task.loss(model, task.batches("train", 0)[0])
    other = made(tmp_path, "language", XL | {"carries": 9}, *SEGMENTS)
    with pytest.raises(InvalidData, match="handed on is of another model"):
        other.take_up(moved(other), task.carried())


def test_shortened_keys_are_not_packed(tmp_path: Path) -> None:
    short = edit(
        made(tmp_path, "language", GPT2).spec,
        lambda part: replace(part, shorten=Shorten(3)) if isinstance(part, Attention) else part,
    )
    with pytest.raises(InvalidConfig, match="those may be of two documents"):
        kept_apart(short)


def test_a_stride_lets_every_token_look_back_and_asks_for_each_once(tmp_path: Path) -> None:
    task = made(tmp_path, "language", GPT2, "evaluate.stride=5")
    batches = task.batches("valid", 0)
    asked = torch.cat([batch.labels[batch.labels != IGNORED] for batch in batches])
    assert asked.tolist() == task.valid.ids[1:].tolist()
    for i, batch in enumerate(batches):
        places = (batch.labels != IGNORED).float().argmax(1)
        assert (places[1 if i == 0 else 0 :] > 0).all()
    model, ids = moved(task), torch.tensor(task.valid.ids.astype(np.int64))
    batch = batches[len(batches) - 1]
    loss = next_token_loss(model, batch, Smoothing())
    scores = model(ids[None, -33:-1]).logits[0].log_softmax(-1)
    last = -scores[-1, ids[-1]].item()
    row = last_asked(batch)
    alone = next_token_loss(model, row, Smoothing())
    assert loss.count >= alone.count == 1
    assert float(alone.nll) == pytest.approx(last, rel=1e-4)


def last_asked(batch: Any) -> Any:
    """The last row of a batch, asked for its last token alone."""
    labels = torch.full_like(batch.labels[-1:], IGNORED)
    at = int((batch.labels[-1] != IGNORED).nonzero()[-1])
    labels[0, at] = batch.labels[-1, at]
    return type(batch)(batch.inputs[-1:], labels, batch.rows[-1:])


def test_an_alphabet_is_that_of_the_whole_file_whatever_is_held_out(tmp_path: Path) -> None:
    """A sign that stands in the last tenth alone is a token as any other; in a file of its own it is told."""
    (tmp_path / "own.txt").write_text("abcde fghij " * 40 + "3 × 4\n")
    held = ("data.train=own.txt", "data.valid=null", "data.hold_out=0.1", "data.documents=whole")
    task = made(tmp_path, "language", GPT2, *held, "data.tokenizer={kind: character}")
    assert "×" in task.valid.text.texts[0] and "×" not in task.train.text.texts[0]
    assert task.tokenizer.decode(np.asarray(task.valid.ids).tolist()) == task.valid.text.texts[0]
    (tmp_path / "other.txt").write_text("a ÷ b\n")
    apart = ("data.train=own.txt", "data.documents=whole", "data.tokenizer={kind: character}", "data.valid=other.txt")
    with pytest.raises(InvalidData, match=r"other.txt:1: the character '÷' is not in the vocabulary"):
        _ = made(tmp_path, "language", GPT2, *apart).valid
    with pytest.raises(InvalidConfig, match="data.valid=null leaves the files out"):
        made(tmp_path, "language", GPT2, "data.hold_out=0.1")


def test_samples_go_on_from_the_validation_text(tmp_path: Path) -> None:
    task = made(tmp_path, "language", GPT2, "evaluate.prompt=4", "evaluate.written=5")
    samples = task.samples(moved(task))
    assert len(samples) == 2
    assert all(sample["source"] in "\n\n".join(TEXTS) for sample in samples)


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (BERT, (), "a language model is one stack that looks back"),
        (GPT2, ("data.length=65",), "a row has 65 tokens, and the model has 64 positions"),
        (GPT2, ("train.batch_tokens=31",), "31 tokens hold no row of 32"),
        (LSTM, ("data.rows=packed",), "packed documents are kept apart by attention"),
        (GPT2, ("data.documents=whole", "data.rows=packed"), "data.documents=whole has none"),
        (GPT2, SEGMENTS, "and this model carries no states from one"),
        (XL, (*SEGMENTS, "model.carries=null"), "and this model carries no states from one"),
        (XL | {"positions": "learned(64)"}, SEGMENTS, "ends at 64, and what is carried from segment"),
        (MEMORIZING, (*SEGMENTS, "data.length=9"), "9 tokens, and the model remembers by 8"),
        (XL, (*SEGMENTS, "evaluate.stride=4"), "segments are read one after the other"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_first_step(
    tmp_path: Path, model: dict[str, Any], changes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(TranseptError, match=words) as caught:
        made(tmp_path, "language", model, *changes).batches("train", 0)
    assert caught.value.exit_code == 3


def test_a_packed_model_is_handed_on_as_everybody_reads_it(tmp_path: Path) -> None:
    task = made(tmp_path, "language", GPT2, "data.rows=packed", "evaluate.written=3")
    model = moved(task)
    record = {
        "stopped": "stopped: 1 update is done", "tokens": 3, "seconds": 1.0, "data": task.facts(), "curve": [],
        "score": "loss", "command": "train", "recipe": "", "versions": {}, "checkpoints": [1],
    }  # fmt: skip
    task.save_model(model, tmp_path / "out", record)
    stored = read(tmp_path / "out")
    assert stored.model.spec == task.spec
    assert stored.beside["model_type"] == "gpt2"
    ids = torch.from_numpy(task.valid.ids[:9].astype(np.int64))[None]
    torch.testing.assert_close(stored.model(ids).logits, model(ids).logits, rtol=1e-5, atol=1e-5)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "bits per character" in card and "It goes on with a text." in card
    begun = made(tmp_path, "language", GPT2, f"start={tmp_path / 'out'}")
    torch.testing.assert_close(begun.build()(ids).logits, model(ids).logits, rtol=1e-5, atol=1e-5)


def test_a_model_that_lies_alone_and_writes_is_judged_as_a_language_model() -> None:
    assert task_of("generate", "") is Language
