"""The captioning task: what its loss asks of attention, what it remembers, what it measures, what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transept.errors import InvalidConfig
from transept.parts.looks import Look, Looks
from transept.parts.loss import Smoothing
from transept.recipes.recipe import load_recipe
from transept.tasks.attending import Baseline, attentive_loss, plain_loss, unspread
from transept.tasks.captioning import Captioning
from transept.tasks.describing import Aim
from transept.tasks.settings.captioning import Attend, CaptioningRecipe
from transept.train.flat import Flat
from transept.train.update import gather
from transept.train.workers import Workers
from unit.data.made_digits import write_digits

SMALL = (
    "model.image=32", "model.stages=[[6], [8]]", "model.pools=[2, 4]", "model.hidden=12", "model.align=6",
    "data.grid={side: 2, cell: 16, least: 1, most: 3, train: 40, valid: 9, test: 6}", "train.batch_tokens=64",
)  # fmt: skip


def recipe(folder: Path, *changes: str) -> CaptioningRecipe:
    found = load_recipe("show-attend-tell", [f"data.dir={folder}", *SMALL, *changes])
    assert isinstance(found, CaptioningRecipe)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_digits(tmp_path)


def task(folder: Path, *changes: str) -> Captioning:
    return Captioning(recipe(folder, *changes), say=lambda text: None)


def built(made: Captioning) -> torch.nn.Module:
    torch.manual_seed(0)
    return made.build()


def test_the_penalty_is_the_papers() -> None:
    weights = torch.tensor([[[0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [9.0, 9.0, 9.0]]])[:, None, None]  # (1, 1, 1, T, L)
    valid = torch.tensor([[True, True, False]])
    assert float(unspread(weights, valid)) == pytest.approx(0.3**2 + 0.2**2 + 0.5**2)
    looks = Looks([Look(weights[:, 0, :, t : t + 1]) for t in range(3)])  # as a loop along time leaves them
    assert torch.equal(looks.weights(3), weights)


def test_the_loss_is_that_of_the_words_and_of_what_was_drawn(folder: Path) -> None:
    made = task(folder, "model.attention=hard", "model.estimator=reinforce", "model.expected=0.0")
    model, batch = built(made), made.batches("train", 0)[0]
    drawn: list[Looks] = []

    def loss(attend: Attend, baseline: float) -> object:
        torch.manual_seed(3)
        return attentive_loss(model, batch, attend, Smoothing(), baseline)  # type: ignore[arg-type]

    nothing = loss(Attend(spread=0, reward=0, entropy=0), 0.0)
    torch.manual_seed(3)
    drawn.append(Looks())
    plain = plain_loss(model, batch, drawn[0])  # type: ignore[arg-type]
    assert float(nothing.total.detach()) == pytest.approx(float(plain.total.detach()))
    length, valid = batch.target.size(1), batch.valid[:, None, None]
    logp, entropy = (found(length).masked_fill(~valid, 0.0) for found in (drawn[0].logp, drawn[0].entropy))
    assert nothing.noted[1] == len(batch)
    assert float(nothing.noted[0]) == pytest.approx(-float(plain.nll), rel=1e-5)
    # A baseline b adds b log p(s), summed over texts; the entropy is taken away.
    at = [float(loss(Attend(spread=0, reward=0.5, entropy=0), b).total.detach()) for b in (0.0, -2.0)]
    assert at[1] - at[0] == pytest.approx(0.5 * -2.0 * float(logp.sum().detach()), rel=1e-4)
    less = float(loss(Attend(spread=0, reward=0, entropy=0.1), 0.0).total.detach())
    assert float(nothing.total) - less == pytest.approx(0.1 * float(entropy.sum().detach()), rel=1e-4)
    weights = drawn[0].weights(length)
    more = float(loss(Attend(spread=2.0, reward=0, entropy=0), 0.0).total.detach())
    assert more - float(nothing.total) == pytest.approx(2 * float(unspread(weights, batch.valid)), rel=1e-4)


def test_padding_adds_nothing_to_what_was_drawn(folder: Path) -> None:
    made = task(folder, "model.attention=hard", "model.estimator=reinforce", "model.expected=0.0")
    model, batch = built(made), made.batches("train", 0)[0]
    from dataclasses import replace

    from torch.nn import functional as F

    wide = replace(
        batch,
        target=F.pad(batch.target, (0, 3)),
        labels=F.pad(batch.labels, (0, 3), value=-100),
        valid=F.pad(batch.valid, (0, 3)),
    )
    totals = []
    for each in (batch, wide):
        torch.manual_seed(3)
        totals.append(float(attentive_loss(model, each, Attend(), Smoothing(), 0.3).total))  # type: ignore[arg-type]
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)


def test_the_baseline_moves_as_published() -> None:
    baseline = Baseline()
    for logp in (-10.0, -20.0):
        baseline.move(4 * logp, 4)
    assert baseline.value == pytest.approx(0.9 * -1.0 + 0.1 * -20.0)
    baseline.move(0.0, 0)
    assert baseline.value == pytest.approx(-2.9)


def test_the_baseline_moves_once_an_update_however_it_is_parted(folder: Path) -> None:
    """Sums over two batches of an update equal the sums of both; what was kept is taken up again."""
    made = task(folder, "model.attention=hard", "model.estimator=reinforce")
    model = built(made)
    batches, flat = made.batches("train", 0), Flat(model)
    assert made.notes == 2
    together = gather(made, model, flat, batches, range(2), (1, 0), Workers())
    apart = [gather(made, model, flat, batches, range(i, i + 1), (1, 0), Workers()).noted for i in range(2)]
    assert together.noted == pytest.approx([sum(each) for each in zip(*apart, strict=True)])
    made.heed(together.noted)
    assert made.baseline.value == pytest.approx(0.1 * together.noted[0] / together.noted[1])
    other = task(folder, "model.attention=hard", "model.estimator=reinforce")
    other.recall(made.remembered())
    assert other.baseline.value == made.baseline.value
    soft = task(folder)
    assert soft.notes == 0
    assert gather(soft, built(soft), Flat(built(soft)), batches, range(1), (1, 0), Workers()).noted == ()


def test_attention_on_the_cell_is_counted(folder: Path) -> None:
    made = task(folder)
    data, batch = made.valid, made.valid.batch(np.arange(len(made.valid)))
    length, aims = batch.target.size(1), []
    for right in (True, False):
        weights = torch.zeros(len(batch), 1, length, 16)
        for i in range(len(batch)):
            words = data.tokenizer.encodings([data.text(i)])[0].words
            for word, (top, left, *_) in data.captions.cells(i) or []:
                place = round(top * 4) * 4 + round(left * 4) + 5 * (i % 2)  # one of the cell's four places
                weights[i, 0, words.index(word), place if right else 15 - place] = 1.0
        aim = Aim()
        aim.add(data, batch, Looks([Look(weights)]), (4, 4))
        aims.append(aim.total / aim.count)
    assert aims[0] == 1.0
    assert aims[1] < 0.5


def test_a_picture_with_several_texts_is_described_once(tmp_path: Path) -> None:
    for i in range(2):
        Image.fromarray(np.full((6, 8), 100 * i, np.uint8)).save(tmp_path / f"{i}.png")
    table = tmp_path / "t.tsv"
    table.write_text("0.png\ta dark one\n1.png\ta light one\n0.png\tnothing there\n")
    made = task(tmp_path, "data.grid=null", "data.train=t.tsv", "data.valid=t.tsv", "data.mean=[0.5]", "data.std=[0.5]")
    assert made.valid.groups() == [[0, 2], [1]]
    assert float(made.valid.picture(0).max()) == -1.0
    found = made.measure(built(made), "valid", made.validation_search())
    assert len(found.outputs) == 2
    assert found.more == {}
    assert "nrefs:var" in found.scores["bleu"].signature


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("model.image=64",), "pictures of 32 x 32 pixels, and the model takes 64 x 64"),
        (("model={family: bahdanau, size: reduced}",), "sees no pictures"),
        (("model={family: gpt2, size: small}",), "no encoder and decoder, as captioning needs"),
        (("data.mean=[0.5, 0.5]", "data.std=[1.0, 1.0]"), "data.mean has 2 values, and pictures 1 channels"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, changes: tuple[str, ...], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        task(folder, *changes)


def test_an_unknown_task_is_told_with_the_nearest(folder: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"task=captoning: there is no 'captoning'. Did you mean 'captioning'"):
        load_recipe("show-attend-tell", ["task=captoning"])
    with pytest.raises(InvalidConfig, match="unknown key 'attend'"):
        load_recipe("pairs", ["attend={spread: 1}"])
