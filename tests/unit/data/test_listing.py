"""Files with what is said of them: every way to say it, what is held out, and what is wrong with its place."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from transept.data.classes import amounts, class_names, numbered
from transept.data.config_senses import Columns, Hold, LabelledData
from transept.data.held import parted
from transept.data.listing import PICTURES, SOUNDS, Listing, read_listing
from transept.data.pictures import Preparation
from transept.data.sights import Arrays, Sights, read_pictures
from transept.data.waves import Waves
from transept.errors import InvalidConfig, InvalidData
from unit.data.made_digits import write_digits
from unit.data.made_senses import RATE, packed, tone, write_cifar, write_colours, write_tones, write_wav


def listed(path: Path, *, wanted: tuple[str, ...] = ("label",), told: list[str] | None = None, **data) -> Listing:
    heard: list[str] = [] if told is None else told
    endings = SOUNDS if "names" in data else PICTURES
    return read_listing(path, LabelledData(**data), wanted, endings, heard.append)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    return write_colours(tmp_path, 3)


def test_a_folder_and_its_archives_say_the_same(colours: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    plain = listed(colours, told=heard)
    assert heard == [f"{colours}: 9 files in 3 folders, each a class"]
    assert plain.said["label"] == ["blue"] * 3 + ["green"] * 3 + ["red"] * 3
    for name in ("train.zip", "train.tar.gz"):
        found = listed(packed(colours, tmp_path / name))
        assert found.said == plain.said
        for row in range(len(found)):
            with found.open(row) as a, plain.open(row) as b:
                assert a.read() == b.read()
        assert found.where(0).startswith(f"{tmp_path / name}: train/blue/")
        assert found.fingerprint != plain.fingerprint


def write_table(folder: Path, kind: str) -> Path:
    rows = [("blue/000.png", "sky", "1"), ("red/001.png", "a,b", "2")]
    path = folder / f"table.{kind}"
    if kind == "csv":
        text = "file_name,mine,other\n" + "".join(f'{a},"{b}",{c}\n' for a, b, c in rows)
    elif kind == "tsv":
        text = "file_name\tmine\tother\n" + "".join(f"{a}\t{b}\t{c}\n" for a, b, c in rows)
    else:
        text = "".join(f'{{"file_name": "{a}", "mine": "{b}", "other": {c}}}\n' for a, b, c in rows)
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_table_names_files_and_labels_by_its_columns(colours: Path, kind: str) -> None:
    heard: list[str] = []
    found = listed(write_table(colours, kind), told=heard, columns=Columns(label="mine"))
    assert list(found.names) == ["blue/000.png", "red/001.png"]
    assert found.said["label"] == ["sky", "a,b"]
    assert heard == [f"{colours}/table.{kind}: 2 rows; the file is 'file_name', the label is 'mine'"]
    first = 1 if kind == "jsonl" else 2
    assert found.where(1) == f"{colours}/table.{kind}:{first + 1}"


def test_a_row_that_says_picture_is_no_head(colours: Path) -> None:
    """`data.head` names the columns, and a class is called as columns of files often are."""
    file = colours / "list.csv"
    names = sorted(p.relative_to(colours).as_posix() for p in colours.rglob("*.png"))[:2]
    file.write_text(f"{names[0]},picture\n{names[1]},sound\n")
    found = listed(file, head=["file", "label"])
    assert (list(found.names), found.said["label"]) == (names, ["picture", "sound"]) and found.where(0).endswith(":1")
    file.write_text(f"image,class\n{names[0]},picture\n")  # names for all that is needed: these go before
    assert listed(file, head=["label", "file"]).said["label"] == ["picture"]
    file.write_text(f"image\n{names[0]}\n")
    assert list(listed(file, wanted=(), head=["file"]).names) == names[:1]


def test_empty_lines_are_no_rows_and_null_is_nothing(colours: Path) -> None:
    rows = '{"file": "red/000.png", "label": 3}\n\n{"file": "red/001.png", "label": true}\n'
    (colours / "T.JSONL").write_text(rows)
    found = listed(colours / "T.JSONL")
    assert found.said["label"] == ["3", "true"] and found.where(1) == f"{colours / 'T.JSONL'}:3"
    (colours / "u.jsonl").write_text('{"file": "red/000.png", "label": null}\n')
    with pytest.raises(InvalidData, match=r"u.jsonl:1: the label \('label'\) is empty"):
        listed(colours / "u.jsonl")
    (colours / "v.csv").write_text(",file,label\n0,red/000.png,a\n\n1,red/001.png,b\n")
    assert listed(colours / "v.csv").said["label"] == ["a", "b"]


def test_a_table_in_a_folder_describes_it(colours: Path, tmp_path: Path) -> None:
    (colours / "metadata.csv").write_text("file_name,label\nred/000.png,warm\n")
    assert listed(colours).said["label"] == ["warm"]
    inside = listed(packed(colours, tmp_path / "all.zip"))
    assert list(inside.names) == ["train/red/000.png"] and inside.said["label"] == ["warm"]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("file,label\nred/000.png,\n", 2, "the label ('label') is empty"),
        ("file,label\nred/000.png,a\nred/nine.png,b\n", 3, "there is no file"),
        ("file,label\nred/000.png\n", 2, "1 columns, and the first line names 2"),
        ("file,lable\nred/000.png,a\n", 1, "no column is called label"),
        ("file,file\na,b\n", 1, "the first line must name each column"),
        ('file,label\nred/000.png,"a\nb",c\n', 2, "3 columns"),
    ],
)
def test_a_table_is_refused_with_its_line(colours: Path, text: str, line: int, reason: str) -> None:
    path = colours / "t.csv"
    path.write_text(text)
    with pytest.raises(InvalidData) as told:
        listed(path)
    assert str(told.value).startswith(f"{path}:{line}: ") and reason in str(told.value)
    assert told.value.exit_code == 3


def test_other_faults_of_files_are_named(colours: Path, tmp_path: Path) -> None:
    (colours / "t.csv").write_text("file,label\nred/000.png,a\n")
    with pytest.raises(InvalidData, match="there is no column 'lable'. Did you mean 'label'"):
        listed(colours / "t.csv", columns=Columns(label="lable"))
    (colours / "t.csv").unlink()
    (colours / "alone.png").write_bytes(b"")
    with pytest.raises(InvalidData, match="alone.png: this file is in no folder that names its class"):
        listed(colours)
    (tmp_path / "torn.zip").write_bytes(b"PK\3\4 and no more")
    (tmp_path / "torn.tar.gz").write_bytes(gzip.compress(b"x" * 2000)[:40])
    with pytest.raises(InvalidData, match="no whole .zip file"):
        listed(tmp_path / "torn.zip")
    with pytest.raises(InvalidData, match="no whole .tar file"):
        listed(tmp_path / "torn.tar.gz")
    write_wav(tmp_path / "nine.wav", np.zeros(100))
    with pytest.raises(InvalidData, match=r"its name is not as data.names says"):
        listed(tmp_path, names="{label}_{speaker}")


def test_names_tell_what_the_pattern_says(tmp_path: Path) -> None:
    found = listed(write_tones(tmp_path / "tones", 8), names="{label}_{speaker}_{number}")
    assert found.said["label"] == ["a"] * 8 + ["b"] * 8
    assert set(found.said["speaker"]) == {"s0", "s1", "s2", "s3"}
    with pytest.raises(ValueError, match="says none of"):
        LabelledData(names="{lable}_{number}")


# ------------------------------------------------------------------ what is held out


def place(row: int) -> str:
    return f"t.csv:{row + 2}"


def test_a_share_is_of_every_class_and_repeats() -> None:
    classes = ["a"] * 50 + ["b"] * 10 + ["c"] * 2
    train, valid = parted(62, Hold(share=0.2, seed=3), place, classes)
    assert sorted([*train, *valid]) == list(range(62))
    assert [sum(classes[row] == name for row in valid) for name in "abc"] == [10, 2, 1]
    again = parted(62, Hold(share=0.2, seed=3), place, classes)[1]
    assert np.array_equal(valid, again)
    assert not np.array_equal(valid, parted(62, Hold(share=0.2, seed=4), place, classes)[1])


def test_a_class_with_one_example_is_named() -> None:
    with pytest.raises(InvalidData, match=r"t.csv:4: the class 'b' has a single example"):
        parted(4, Hold(share=0.5), place, ["a", "a", "b", "a"])


def test_the_last_and_the_speakers() -> None:
    train, valid = parted(10, Hold(last=3), place)
    assert train.tolist() == list(range(7)) and valid.tolist() == [7, 8, 9]
    train, valid = parted(4, Hold(speakers=["y"]), place, None, ["x", "y", "x", "y"])
    assert train.tolist() == [0, 2] and valid.tolist() == [1, 3]
    for hold, speakers, reason in (
        (Hold(last=10), None, "there are 10 examples"),
        (Hold(speakers=["y"]), None, "nobody says who speaks"),
        (Hold(speakers=["ann"]), ["anna"] * 10, "Did you mean 'anna'"),
        (Hold(speakers=["anna"]), ["anna"] * 10, "none is left"),
    ):
        with pytest.raises(InvalidConfig, match=reason):
            parted(10, hold, place, None, speakers)
    with pytest.raises(ValueError, match="one of last, share and speakers"):
        Hold(last=1, share=0.5)


# ------------------------------------------------------------------ classes


def test_classes_are_in_order_and_numbers_count_names() -> None:
    assert class_names(["10", "9", "2"]) == ("2", "9", "10")
    assert class_names(["b", "10", "a"]) == ("10", "a", "b")
    assert numbered(["2", "0"], ("cat", "dog", "ape"), place, "data.classes").tolist() == [2, 0]
    with pytest.raises(InvalidData, match=r"t.csv:3: the label 3 is out of range: there are 3 classes"):
        numbered(["2", "3"], ("cat", "dog", "ape"), place, "data.classes")
    with pytest.raises(InvalidData, match=r"t.csv:2: the label 'dgo' is none of data.classes. Did you mean 'dog'"):
        numbered(["dgo"], ("cat", "dog"), place, "data.classes")
    with pytest.raises(InvalidData, match=r"t.csv:2: the label '7'"):  # the names are numbers themselves
        numbered(["7"], ("1", "2"), place, "the training's classes")
    with pytest.raises(InvalidData, match=r"t.csv:3: the label 'x' is no finite number"):
        amounts(["1.5", "x"], place)
    with pytest.raises(InvalidData, match="'inf'"):
        amounts(["inf"], place)


# ------------------------------------------------------------------ pictures and sounds


def test_idx_files_and_cifars_batches_are_read_as_they_are(tmp_path: Path) -> None:
    write_digits(tmp_path, 30)
    found = read_pictures(LabelledData(dir=tmp_path, train="train-images-idx3-ubyte"), "train", lambda text: None)
    assert isinstance(found, Arrays) and found.images.shape == (30, 28, 28, 1)
    assert found.said["label"][:12] == [str(i % 10) for i in range(12)]
    sights = Sights(found, Preparation(size=(28, 28)), 1)
    assert np.array_equal(sights.pixels([3, 1])[0], found.images[3])
    small = Sights(found, Preparation(size=(14, 14)), 3).pixels([3])
    assert small.shape == (1, 14, 14, 3)
    told = write_cifar(tmp_path)
    cifar = read_pictures(LabelledData(dir=tmp_path.parent, train=tmp_path.name), "train", lambda text: None)
    assert [str(label) for label, _ in told] == list(cifar.said["label"])
    assert isinstance(cifar, Arrays)
    assert all(np.array_equal(image, pixels) for image, (_, pixels) in zip(cifar.images, told, strict=True))
    (tmp_path / "data_batch_2.bin").write_bytes(b"12345")
    with pytest.raises(InvalidData, match="data_batch_2.bin: 5 bytes are no whole pictures"):
        read_pictures(LabelledData(train=str(tmp_path)), "train", lambda text: None)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InvalidData, match="its labels are not beside it"):
        read_pictures(LabelledData(dir=tmp_path, train="train-images-idx3-ubyte"), "train", lambda text: None)


def test_a_picture_that_is_none_is_named_with_its_line(colours: Path) -> None:
    (colours / "red" / "000.png").write_text("no picture")
    (colours / "t.csv").write_text("file,label\nblue/000.png,a\nred/000.png,b\n")
    sights = Sights(listed(colours / "t.csv"), Preparation(size=(8, 8)), 3)
    assert sights.pixels([0]).shape == (1, 8, 8, 3)
    with pytest.raises(InvalidData, match=r"t.csv:3, .*red/000.png: this is no picture"):
        sights.pixels([1])


def test_sounds_of_another_rate_are_resampled_and_said(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    write_wav(tmp_path / "a_1.wav", tone(300, 0.5, draws, 2 * RATE), 2 * RATE)
    write_wav(tmp_path / "b_1.wav", tone(300, 0.5, draws), RATE, channels=2)
    heard: list[str] = []
    waves = Waves(listed(tmp_path, names="{label}_{number}"), RATE, True, 10, heard.append)
    assert heard == [
        f"{tmp_path}: 1 sounds of 8,000 samples a second are resampled to 4,000 (data.rate)",
        f"{tmp_path}: 1 sounds of several channels are mixed to one",
    ]
    batch, valid = waves.batch([0, 1])
    assert waves.lengths.tolist() == valid.sum(1).tolist() == [RATE // 2, RATE // 2]
    assert np.abs(np.fft.rfft(batch[0].numpy())).argmax() == np.abs(np.fft.rfft(batch[1].numpy())).argmax() == 150
    assert float(batch[0].mean()) == pytest.approx(0, abs=1e-5)
    assert float(batch[0].var(unbiased=False)) == pytest.approx(1, abs=1e-3)
    write_wav(tmp_path / "c_1.wav", np.zeros(5))
    with pytest.raises(InvalidData, match=r"[^:]*c_1.wav: 5 samples at 4,000 a second; a frame of this model takes 10"):
        Waves(listed(tmp_path, names="{label}_{number}"), RATE, True, 10, heard.append)
