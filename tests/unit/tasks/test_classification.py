"""The classification task: its loss, its weights, its randomness, what it takes over, what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from transept.errors import InvalidConfig, InvalidData, TranseptError
from transept.heads.classes import AveragedLayer
from transept.hub.directory import save
from transept.parts.loss import Smoothing
from transept.recipes.recipe import load_recipe
from transept.tasks.classification import Classification
from transept.tasks.classifying import class_loss, number_loss, one_stack, scores_of, task_loss
from transept.tasks.examples import ClassBatch
from transept.train.adapting import adapted
from unit.data.made_digits import write_digits
from unit.data.made_senses import write_colours, write_tones

SMALL = ("model.width=16", "model.hidden=32", "model.heads=2", "model.depth=1", "train.batch_tokens=16")
COLOURS = ("model.image=12", "data.train=train", "data.mean=null", "data.std=null", "data.hold={share: 0.2}")


def task(name: str, folder: Path, *changes: str, told: list[str] | None = None) -> Classification:
    recipe = load_recipe(name, [f"data.dir={folder}", *SMALL, *changes])
    return Classification(recipe, say=(told if told is not None else []).append)  # type: ignore[arg-type]


def colours(folder: Path, *changes: str) -> Classification:
    return task("vit-cifar10", folder, *COLOURS, *changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_colours(tmp_path, 10)
    return tmp_path


@pytest.mark.parametrize("form", ["uniform", "others"])
@pytest.mark.parametrize("amount", [0.0, 0.2])
def test_the_loss_is_torchs(form: str, amount: float) -> None:
    torch.manual_seed(0)
    scores, targets = torch.randn(7, 5, requires_grad=True), torch.tensor([0, 1, 4, 2, 2, 3, 0])
    weights = torch.rand(5) + 0.1
    made = class_loss(scores, targets, Smoothing(amount, form), weights)  # type: ignore[arg-type]
    if form == "uniform":
        right = F.cross_entropy(scores, targets, weights, label_smoothing=amount, reduction="none").sum()
    else:
        spread = torch.full((7, 5), amount / 4).scatter(1, targets[:, None], 1 - amount)
        right = -(spread * weights * scores.log_softmax(1)).sum()
    torch.testing.assert_close(made.total, right, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(made.nll, F.cross_entropy(scores, targets, reduction="sum"), rtol=1e-6, atol=1e-6)
    assert made.count == 7 and not made.nll.requires_grad
    shares = torch.rand(7, 5).softmax(1)
    mixed = class_loss(scores, shares, Smoothing(amount))
    soft = F.cross_entropy(scores, shares, label_smoothing=amount, reduction="sum")
    torch.testing.assert_close(mixed.total, soft, rtol=1e-6, atol=1e-6)
    numbers = number_loss(scores[:, :1], targets.float())
    squared = F.mse_loss(scores[:, 0], targets.float(), reduction="sum")
    torch.testing.assert_close(numbers.total, squared, rtol=1e-6, atol=1e-6)


def test_each_head_of_deit_learns_the_classes(folder: Path) -> None:
    made = colours(folder, "model.family=deit", "train.smoothing=0.0")
    torch.manual_seed(0)
    model = one_stack(made.build()).eval()
    assert isinstance(model.head, AveragedLayer)
    batch = made.batches("valid", 0)[0]
    each = [F.cross_entropy(s, batch.targets, reduction="sum") for s in scores_of(model, batch)]
    loss = made.loss(model, batch)
    torch.testing.assert_close(loss.total, torch.stack(each).mean(), rtol=1e-6, atol=1e-6)
    loss.total.backward()
    for head in model.head.heads:
        assert float(head.score.weight.grad.abs().sum()) > 0


def test_the_fingerprint_tells_what_changes_the_examples(folder: Path) -> None:
    plain, spelt, other = (
        colours(folder, f"data.augment={{crop: {crop}{more}}}").fingerprint
        for crop, more in ((2, ""), (2, ", erase: 0.0"), (1, ""))
    )
    assert plain == spelt != other


def test_batches_are_a_function_of_seed_epoch_and_place(folder: Path) -> None:
    changes = ("data.augment={operations: 1, crop: 2, flip: horizontal, erase: 0.5, mixup: 0.4}",)
    first, again, other = (colours(folder, *changes, f"train.seed={seed}") for seed in (1, 1, 2))
    one = first.batches("train", 3)
    for i in (1, 0):  # whatever was asked for before
        a, b = one[i], again.batches("train", 3)[i]
        assert a.rows == b.rows
        assert torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)
    assert not torch.equal(one[0].inputs, first.batches("train", 4)[0].inputs)
    assert other.batches("train", 3)[0].rows != one[0].rows
    assert other.fingerprint != first.fingerprint == again.fingerprint
    torch.testing.assert_close(one[0].targets.sum(1), torch.ones(len(one[0].rows)), rtol=1e-6, atol=1e-6)
    seen = sorted(row for i in range(len(one)) for row in one[i].rows)
    assert seen == list(range(24))  # every example once
    valid = first.batches("valid", 0)[0]
    assert valid.targets.dtype == torch.int64 and torch.equal(valid.inputs, first.batches("valid", 5)[0].inputs)


def test_what_is_not_changed_is_what_a_picture_file_gives(folder: Path) -> None:
    """Training's way to numbers and that of everything else are the same."""
    norm = ("data.mean=[0.5, 0.4, 0.3]", "data.std=[0.2, 0.3, 0.4]", "data.augment={crop: 0}")
    made = colours(folder, *norm)
    rows = np.arange(5)
    plain, trained = made.train.batch(rows), made.train.batch(rows, np.random.default_rng(0))
    torch.testing.assert_close(plain.inputs, trained.inputs, rtol=1e-5, atol=1e-5)


def test_weights_balance_classes(tmp_path: Path) -> None:
    write_colours(tmp_path, 10)
    for i in range(3, 10):
        (tmp_path / "train" / "red" / f"{i:03}.png").unlink()
    made = colours(tmp_path, "classify.weights=balanced", "data.hold={last: 1}")
    assert made.weights is not None
    counts = np.bincount(made.train.own.astype(int))
    torch.testing.assert_close(made.weights * torch.tensor(counts), torch.full((3,), 22 / 3), rtol=1e-5, atol=1e-5)
    own = colours(tmp_path, "classify.weights=[1, 2, 0]", "data.hold={last: 1}").weights
    assert own is not None and own[2] == 0 and own[1] == 2 * own[0]
    with pytest.raises(InvalidConfig, match="classify.weights has 2 numbers, and there are 3 classes"):
        colours(tmp_path, "classify.weights=[1, 2]", "data.hold={last: 1}")


def test_numbers_are_learned_by_squared_error(tmp_path: Path) -> None:
    write_colours(tmp_path, 5)
    rows = [f"{c}/{i:03}.png\t{v + i / 10}" for c, v in (("red", 1), ("blue", -1)) for i in range(5)]
    (tmp_path / "train" / "t.tsv").write_text("file\tscore\n" + "\n".join(rows) + "\n")
    changes = ("data.train=train/t.tsv", "classify.target=number", "data.hold={last: 3}", "train.smoothing=0.0")
    made = colours(tmp_path, *changes)
    assert (made.labels, made.score, made.higher) == ((), "pearson", True)
    torch.manual_seed(0)
    model = made.build()
    found = made.evaluate(model)
    assert set(found) == {"loss", "pearson", "spearman", "rmse"}
    assert found["rmse"] ** 2 == pytest.approx(found["loss"])
    assert made.samples(model)[0]["reference"] == "-0.8"
    with pytest.raises(InvalidConfig, match="mixup mixes classes"):
        colours(tmp_path, *changes, "data.augment={mixup: 0.2}")


@pytest.mark.parametrize("family", ["deit", "jetley"])
def test_any_family_that_classifies_pictures(tmp_path: Path, family: str) -> None:
    write_digits(tmp_path, 60)
    words = ["model.family=deit"]
    if family == "jetley":
        words = [
            "model={family: jetley, image: 28, channels: 1, stages: [[6], [8]], pools: [2, 2], taken: [0, 1], width: 8}"
        ]
    recipe = load_recipe("vit-mnist", [f"data.dir={tmp_path}", "data.hold={last: 20}", "train.batch_tokens=16", *words])
    made = Classification(recipe, say=lambda text: None)  # type: ignore[arg-type]
    torch.manual_seed(0)
    loss = made.loss(made.build(), made.batches("train", 0)[0])
    assert loss.count == 16 and bool(loss.total.isfinite())


# ------------------------------------------------------------------ what a run begins with


def test_a_model_goes_on_with_its_head_or_gets_a_new_one(folder: Path, tmp_path: Path) -> None:
    made = colours(folder)
    torch.manual_seed(0)
    model = one_stack(made.build())
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    save(tmp_path / "model", model, labels=made.labels, processor=made.preparation)
    told: list[str] = []
    again = task("vit-cifar10", folder, *COLOURS, f"start={tmp_path / 'model'}", told=told)
    assert any("its head goes on" in line for line in told)
    for name, tensor in again.build().state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    (folder / "train" / "red").rename(folder / "train" / "orange")
    told.clear()
    other = task(
        "vit-cifar10", folder, *COLOURS, f"start={tmp_path / 'model'}", "train.freeze=[embed, stack]", told=told
    )
    assert any("a new head, Classes of 3, begins in place of Classes of 3" in line for line in told)
    torch.manual_seed(1)
    built = one_stack(adapted(other.build(), other.recipe.train))
    assert not torch.equal(built.head.score.weight, model.head.score.weight)
    for name, parameter in built.named_parameters():
        assert parameter.requires_grad == name.startswith("head."), name
        if not name.startswith("head."):
            assert torch.equal(parameter, model.state_dict()[name]), name


def test_pictures_in_the_cells_of_a_table_are_those_of_a_folder(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the library datasets is not installed")
    from datasets import ClassLabel, Dataset, Features, Image

    made = colours(folder)
    listing = made.train.source.sights.pictures  # type: ignore[union-attr]
    cells = [{"bytes": listing.open(row).read(), "path": None} for row in range(len(listing))]
    labels = [made.labels.index(label) for label in listing.said["label"]]
    kinds = Features({"img": Image(), "label": ClassLabel(names=list(made.labels))})
    Dataset.from_dict({"img": cells, "label": labels}, features=kinds).to_parquet(tmp_path / "toy.parquet")
    other = colours(folder, "data.train=toy.parquet")
    assert other.labels == made.labels and other.train.rows.tolist() == made.train.rows.tolist()
    ours, theirs = made.batches("train", 0), other.batches("train", 0)
    for i in range(len(ours)):
        assert torch.equal(ours[i].inputs, theirs[i].inputs) and torch.equal(ours[i].targets, theirs[i].targets)


def test_only_the_head_learns_while_the_rest_waits(folder: Path) -> None:
    made = colours(folder)
    torch.manual_seed(0)
    model = one_stack(made.build())
    batch = made.batches("train", 0)[0]
    task_loss(model, batch, 3, Smoothing(), learning=False).total.backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"head.score.weight", "head.score.bias"}
    with pytest.raises(InvalidConfig, match=r"tune.wait keeps what was learned before"):
        colours(folder, "tune.wait=5")
    for old, names in (("all", r"\[embed, stack\]"), ("features", r"\[embed.features\]")):
        with pytest.raises(InvalidConfig, match=f"tune: freeze is train.freeze now, .*: train.freeze={names}"):
            colours(folder, f"tune.freeze={old}")
    assert colours(folder, "tune.freeze=nothing").recipe == made.recipe  # as older runs wrote it out
    with pytest.raises(InvalidConfig, match="tune.times hides parts of sound"):
        colours(folder, "tune.times=0.1")


def test_sounds_have_classes_too(tmp_path: Path) -> None:
    write_tones(tmp_path / "tones", 16)
    words = ("task=classification", "data.train=tones", "data.names={label}_{speaker}_{number}", "data.rate=4000")
    model = "model={family: wav2vec2, width: 16, hidden: 16, heads: 2, depth: 1, channels: [8, 8], kernels: [8, 4],"
    model += " strides: [8, 4], taps: 4, groups: 2}"
    text = Path(tmp_path / "r.yaml")
    text.write_text(
        "task: classification\nrun: r\nmodel: {}\n"
        "train: {stop: 1u, batch_tokens: 400, schedule: {name: constant, rate: 0.1}}\n"
    )
    changes = [f"data.dir={tmp_path}", *words[1:], model, "data.hold={speakers: [s3]}"]
    made = Classification(load_recipe(text, changes), say=lambda text: None)  # type: ignore[arg-type]
    assert (made.verb, made.labels, len(made.train), len(made.valid)) == ("hear", ("a", "b"), 24, 8)
    torch.manual_seed(0)
    batch = made.batches("train", 0)[0]
    assert batch.valid is not None and made.loss(made.build(), batch).count == len(batch.rows)


# ------------------------------------------------------------------ what is refused


def check(error: type[TranseptError], match: str, folder: Path, *changes: str) -> None:
    with pytest.raises(error, match=match) as told:
        colours(folder, *changes)
    assert told.value.exit_code == 3


def test_classes_that_do_not_fit_are_named_with_their_place(folder: Path) -> None:
    write_colours(folder, 2, "other")
    (folder / "other" / "red").rename(folder / "other" / "reed")
    valid = ("data.hold=null", "data.valid=other")
    check(InvalidData, r"other/reed/000.png: the label 'reed' is none of the training's classes. Did you mean 'red'",
          folder, *valid)  # fmt: skip
    check(InvalidData, r"red/000.png: the label 'red' is out of range: the model scores 2 classes", folder,
          "model.labels=2")  # fmt: skip
    check(InvalidConfig, "model.labels is 4, and there are 3 classes: blue, green, red", folder, "model.labels=4")
    check(InvalidData, r"green/000.png: the label 'green' is none of data.classes", folder, "data.classes=[blue, red]")
    (folder / "train" / "lone").mkdir()
    (folder / "train" / "red" / "000.png").rename(folder / "train" / "lone" / "1.png")
    check(InvalidData, r"lone/1.png: the class 'lone' has a single example", folder)


def test_a_picture_that_is_none_is_told_before_anything_is_trained(folder: Path) -> None:
    (folder / "train" / "red" / "001.png").write_text("no picture")
    check(InvalidData, r"train/red/001.png: this is no picture that Pillow reads", folder)
    (folder / "train" / "red" / "001.png").write_bytes(b"")
    check(InvalidData, r"train/red/001.png: this is no picture that Pillow reads", folder)


def test_a_recipe_that_does_not_fit_is_refused(folder: Path) -> None:
    check(InvalidConfig, "data.mean has 1 values, and pictures 3 channels", folder, "data.mean=[0.5]", "data.std=[0.5]")
    check(InvalidConfig, "evaluate.best is pearson", folder, "evaluate.best=pearson")
    check(InvalidConfig, "model.head: states has another head", folder, "model.head=states")
    check(InvalidConfig, "data.valid is not set", folder, "data.hold=null")
    check(InvalidConfig, "one of them is enough", folder, "data.valid=train")
    check(InvalidData, "data.train: no such file or folder. Did you mean 'train'", folder, "data.train=trian")


def test_a_batch_moves_as_a_whole() -> None:
    batch = ClassBatch(torch.ones(2, 1, 2, 2), torch.tensor([0, 1]), [4, 5], torch.ones(2, 3, dtype=torch.bool))
    moved = batch.to("meta")
    assert {part.device.type for part in (moved.inputs, moved.targets, moved.valid)} == {"meta"}  # type: ignore[union-attr]
    assert moved.rows == [4, 5] and moved.tokens == 2
