"""Pictures with texts: of handwritten digits on a grid, and of tables; what is refused, with file and line."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from transept.data.captions import collate, read_captions, read_table
from transept.data.config import CaptionsData, Grid
from transept.data.digits import Grids, own_digits, read_digits
from transept.data.pictures import Preparation
from transept.errors import InvalidConfig, InvalidData
from unit.data.made_digits import write_digits

GRID = Grid(most=5, train=30, valid=5, test=5)
PLAIN = Preparation(size=(64, 64))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_digits(tmp_path)


def test_no_digit_is_of_two_splits(folder: Path) -> None:
    digits = read_digits(folder)
    parts = [set(own_digits(digits, 7, split).tolist()) for split in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [200, 20, 20]
    assert len(set.union(*parts)) == 240
    for split, own in zip(("train", "valid", "test"), parts, strict=True):
        made = Grids(digits, Grid(train=50, valid=50, test=50, seed=7), split)  # type: ignore[arg-type]
        assert {digit for layout in made.layouts for digit in layout.digits} <= own


def test_the_text_reads_the_picture_row_by_row(folder: Path) -> None:
    made = Grids.read(folder, GRID, "train")
    assert len({len(layout.digits) for layout in made.layouts}) == 4  # 2 to 5
    for row, layout in enumerate(made.layouts):
        words, said = made.texts[row].split(), []
        assert layout.cells == sorted(set(layout.cells))
        for (word, (top, left, bottom, right)), digit in zip(made.cells(row) or [], layout.digits, strict=True):
            assert words[word] == str(made.digits.labels[digit])
            said.append((top, left))
            pixels = made.pixels_of(row)
            inside = pixels[round(top * 64) : round(bottom * 64), round(left * 64) : round(right * 64)]
            small = made.digits.images[digit].reshape(14, 2, 14, 2).mean((1, 3)).round()
            assert np.count_nonzero(inside) == np.count_nonzero(small)  # the whole of it, and nothing else
        relations = " ".join("of" if a[0] == b[0] else "above" for a, b in itertools.pairwise(said))
        assert " ".join(word for word in words if word in ("of", "above")) == relations
        assert np.count_nonzero(pixels) == sum(
            np.count_nonzero(made.digits.images[d].reshape(14, 2, 14, 2).mean((1, 3)).round()) for d in layout.digits
        )


def test_a_picture_hangs_on_the_seed_and_its_number_alone(folder: Path) -> None:
    first, again = (Grids.read(folder, GRID, "train") for _ in range(2))
    more = Grids.read(folder, GRID.model_copy(update={"train": 60}), "train")
    other = Grids.read(folder, GRID.model_copy(update={"seed": 1}), "train")
    assert first.texts == again.texts == more.texts[:30] != other.texts
    assert all(np.array_equal(first.pixels_of(i), more.pixels_of(i)) for i in range(30))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.texts[:5] != Grids.read(folder, GRID, "valid").texts


def test_large_cells_hold_whole_digits(folder: Path) -> None:
    made = Grids.read(folder, Grid(side=2, cell=30, most=3, train=3), "train")
    assert made.pixels_of(0).shape == (60, 60)
    digit, (top, left) = made.layouts[0].digits[0], made.layouts[0].corners[0]
    assert np.array_equal(made.pixels_of(0)[top : top + 28, left : left + 28], made.digits.images[digit])


def test_plain_files_are_read_as_packed_ones(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = read_digits(write_digits(tmp_path / "plain", packed=False))
    assert plain.fingerprint == read_digits(folder).fingerprint


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train-images-idx3-ubyte", b"\x00\x00\x08\x03\x00\x00", "its head tells of"),
        ("train-images-idx3-ubyte", b"GIF89a", "no IDX file"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\0\0\0\x01" * 3 + b"x", "not 28 x 28"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x01\x03", "240 images and 1 labels"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\xf0" + b"\x0b" * 240, "a label is 11"),
    ],
)
def test_torn_files_are_refused(folder: Path, name: str, content: bytes, words: str) -> None:
    (folder / name).write_bytes(content)  # a plain file is taken before a packed one
    with pytest.raises(InvalidData, match=words) as caught:
        read_digits(folder)
    assert name in str(caught.value)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="train-images-idx3-ubyte nor"):
        read_digits(tmp_path)
    with pytest.raises(InvalidConfig, match="data.dir is not set"):
        read_captions(CaptionsData(grid=GRID), "train")
    with pytest.raises(InvalidConfig, match="data.valid is not set"):
        read_captions(CaptionsData(), "valid")
    with pytest.raises(InvalidData, match="too few for three splits"):
        own_digits(read_digits(write_digits(tmp_path, 11)), 1, "valid")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"grid": {"least": 3, "most": 2}}, "must rise"),
        ({"grid": {"side": 1, "most": 2}}, "fit into 1 cells"),
        ({"grid": {}, "test": "a.tsv"}, "one of them is enough"),
        ({"mean": [0.5]}, "come together"),
        ({"mean": [0.5], "std": [0.0]}, "must not be 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CaptionsData.model_validate(fields)


# ------------------------------------------------------------------ tables


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for i in range(2):
        Image.fromarray(np.full((6, 8, 3), 100 * i, np.uint8)).save(tmp_path / f"{i}.png")
    file = tmp_path / "t.tsv"
    file.write_text("0.png\ta dark one\n1.png\ta light one\n0.png\tnothing there\n")
    return file


def test_a_table_is_read(table: Path) -> None:
    found = read_table(table)
    assert found.texts == ["a dark one", "a light one", "nothing there"]
    assert found.picture(1, Preparation(size=(4, 5)), 3).shape == (3, 4, 5)
    assert found.picture(1, Preparation(size=(4, 5)), 1).shape == (1, 4, 5)
    assert (found.identity(0), found.where(2)) == (found.identity(2), f"{table}:3")
    lines = table.with_suffix(".jsonl")
    lines.write_text('{"file": "0.png", "text": "a dark one"}\n')
    assert read_table(lines).texts == ["a dark one"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("0.png a\n", ":1: 1 columns"),
        ("0.png\ta\n\n9.png\tb\n", ":3: there is no picture"),
        ("0.png\t \n", ":1: the text is empty"),
        ("\n", "the table is empty"),
    ],
)
def test_wrong_tables_are_refused_with_their_line(table: Path, content: str, words: str) -> None:
    table.write_text(content)
    with pytest.raises(InvalidData, match=words):
        read_table(table)


def test_a_file_that_is_no_picture_is_told_with_its_line(table: Path) -> None:
    (table.parent / "1.png").write_text("no")
    with pytest.raises(InvalidData, match=r":2, .*1.png: this is no picture"):
        read_table(table).picture(1, PLAIN, 3)


def test_a_batch_moves_the_texts_by_one(table: Path) -> None:
    made = collate(read_table(table), [[5, 6, 2], [7, 2], [8, 2]], [1, 0], PLAIN, 1, bos=1, pad=0)
    assert made.pictures.shape == (2, 1, 64, 64)
    assert made.target.tolist() == [[1, 7, 0], [1, 5, 6]]
    assert made.labels.tolist() == [[7, 2, -100], [5, 6, 2]]
    assert torch.equal(made.valid, made.labels >= 0)
    assert (made.tokens, made.rows) == (5, [1, 0])
