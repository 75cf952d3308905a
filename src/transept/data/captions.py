"""Pictures with texts that describe them, from a table, and the batches that they become.

Shapes: B rows, C channels, H and W height and width, T tokens of a text.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from transept.data.batches import IGNORED
from transept.data.config import CaptionsData, Split
from transept.data.digits import Grids
from transept.data.files import is_json
from transept.data.lines import read_lines
from transept.data.pictures import Floats, Preparation, read_picture
from transept.errors import InvalidConfig, InvalidData, Where


class Table:
    """The lines of a table. A picture that stands in several has several texts.

    `texts` and `names` have an entry for each line, `numbers` the line itself, from 1.
    """

    def __init__(self, file: Path, names: Sequence[str], texts: Sequence[str], numbers: Sequence[int]) -> None:
        self.files, self.names, self.texts, self.numbers = (file,), list(names), list(texts), list(numbers)

    def __len__(self) -> int:
        return len(self.texts)

    def path(self, row: int) -> Path:
        return self.files[0].parent / Path(self.names[row]).expanduser()

    def picture(self, row: int, preparation: Preparation, channels: int) -> Floats:
        """The numbers of a picture, (C, H, W). InvalidData with the line where there is none."""
        try:
            return preparation.apply(read_picture(self.path(row), channels))
        except InvalidData as error:
            raise InvalidData(**error.fields(where=f"{self.where(row)}, {self.path(row)}")) from None

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return Where.of_line(self.files[0], self.numbers[row])

    def identity(self, row: int) -> str:
        """What tells one picture from another."""
        return self.names[row]

    def cells(self, row: int) -> list[tuple[int, tuple[float, float, float, float]]] | None:
        """Nobody says where a word of a table's text is in the picture."""
        return None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the texts, the names and what lies under them."""
        hashed = hashlib.sha256()
        for row, (name, text) in enumerate(zip(self.names, self.texts, strict=True)):
            stat = self.path(row).stat()
            hashed.update(json.dumps([name, text, stat.st_size, stat.st_mtime_ns]).encode())
        return hashed.hexdigest()


Captions = Table | Grids


def read_captions(data: CaptionsData, split: Split) -> Captions:
    """The pictures and texts of a split. Raises InvalidConfig where it is not named, InvalidData with file and line."""
    if data.grid is not None:
        if data.dir is None:
            raise InvalidConfig(
                "data.dir is not set: data.grid makes pictures of the handwritten digits that lie there",
                remedy="Set it to the folder of MNIST's training files: data.dir=FOLDER.",
            )
        return Grids.read(data.dir.expanduser(), data.grid, split)
    name = getattr(data, split)
    if name is None:
        raise InvalidConfig(f"data.{split} is not set", remedy=f"Name a table of pictures: data.{split}=FILE.")
    return read_table((data.dir or Path()).expanduser() / Path(name).expanduser())


def read_table(path: Path) -> Table:
    """A table of pictures and texts, whose files are all there."""
    if not path.is_file():
        raise InvalidData("no such file", where=path, remedy="Name a table: a picture's file, a TAB and a text a line.")
    rows = [
        (number, *(_json_row if is_json(path) else _tab_row)(line, Where.of_line(path, number)))
        for number, line in enumerate(read_lines(path), 1)
        if line.strip()
    ]
    if not rows:
        raise InvalidData("the table is empty", where=path)
    numbers, names, texts = zip(*rows, strict=True)
    table = Table(path, names, texts, numbers)
    for row in range(len(table)):
        if not table.path(row).is_file():
            raise InvalidData(f"there is no picture {table.path(row)}", where=table.where(row))
        if not table.texts[row].strip():
            raise InvalidData("the text is empty", where=table.where(row), remedy="Write one, or take the line out.")
    return table


def _tab_row(line: str, where: str) -> tuple[str, str]:
    cells = line.split("\t")
    if len(cells) != 2:
        raise InvalidData(f"{len(cells)} columns, where a picture and a text are two", where=where)
    return cells[0], cells[1]


def _json_row(line: str, where: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidData(f"not JSON: {error}", where=where) from None
    name, text = (row.get("file"), row.get("text")) if isinstance(row, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(text, str):
        raise InvalidData('not an object with the texts "file" and "text"', where=where)
    return name, text


# ------------------------------------------------------------------ batches


@dataclass(frozen=True, eq=False)
class CaptionBatch:
    """Pictures and their texts, padded on the right. Position t reads `target[:, t]` and is asked for `labels[:, t]`.

    pictures (B, C, H, W) float32; target (B, T) int64 = bos y1 .. yn; valid (B, T) bool; labels (B, T) int64 = y1 .. yn
    eos, -100 where there is no token. `rows` are the numbers in their split.
    """

    pictures: Tensor
    target: Tensor
    valid: Tensor
    labels: Tensor
    rows: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tokens(self) -> int:
        """How many tokens are asked for."""
        return int((self.labels != IGNORED).sum())

    def to(self, device: torch.device | str) -> "CaptionBatch":
        """The same batch on a device."""
        target, valid, labels = (part.to(device) for part in (self.target, self.valid, self.labels))
        return CaptionBatch(self.pictures.to(device), target, valid, labels, self.rows)


def collate(
    captions: Captions,
    ids: Sequence[Sequence[int]],
    rows: Sequence[int],
    preparation: Preparation,
    channels: int,
    *,
    bos: int,
    pad: int,
) -> CaptionBatch:
    """The batch of some rows, in the order given; `ids[row]` are the tokens of a text, eos at the end."""
    picked = [int(row) for row in rows]
    length = max(len(ids[row]) for row in picked)
    labels, target = np.full((len(picked), length), IGNORED, np.int64), np.full((len(picked), length), pad, np.int64)
    for i, row in enumerate(picked):
        labels[i, : len(ids[row])] = ids[row]
        target[i, : len(ids[row])] = [bos, *ids[row][:-1]]
    pictures = np.stack([captions.picture(row, preparation, channels) for row in picked])
    asked = torch.from_numpy(labels)
    return CaptionBatch(torch.from_numpy(pictures), torch.from_numpy(target), asked != IGNORED, asked, picked)
