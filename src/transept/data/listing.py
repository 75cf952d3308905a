"""Files with what is said of them: by the lines of a table, by the folder that each is in, or by their names."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from transept.data.archive import Archive, is_archive
from transept.data.cells import Cells
from transept.data.columnar import HUB, hub_path, is_columnar
from transept.data.config import Split
from transept.data.config_senses import SPOKEN, FilesData, Splits
from transept.data.files import ending, existing
from transept.data.lines import read_bytes, split_lines
from transept.data.tables import NO_ROWS, Table, column_of, open_table, place, read_table, shown, text_of
from transept.errors import InvalidConfig, InvalidData, nearest

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
TABLES = (".csv", ".tsv", ".jsonl")
WITHIN = tuple(f"metadata{end}" for end in TABLES)  # a table that describes the folder that it lies in
USUAL: dict[str, tuple[str, ...]] = {  # what columns are often called, the likeliest first
    "file": ("file", "file_name", "filename", "path", "image", "img", "picture", "audio", "sound"),
    "label": ("label", "class", "category", "target", "digit", "score"),
    "text": ("text", "sentence", "transcription", "transcript", "caption"),
    "speaker": ("speaker", "speaker_id", "client_id"),
}


@dataclass(frozen=True, eq=False)
class Listing:
    """Rows, each a file of a store with its "label", "text" and "speaker" as far as anybody says them.

    `lines` are the rows' lines in the table, `source`; None where files say it themselves. `classes` are the names that
    the table has for its labels, in order.
    """

    source: Path
    store: Archive
    names: Sequence[str]
    said: Mapping[str, Sequence[str]]
    lines: Sequence[int] | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it was read from, for messages and cards."""
        return (self.source,)

    def open(self, row: int) -> BinaryIO:
        return self.store.open(self.names[row])

    def where(self, row: int) -> str:
        """File and line of a row, or the file itself."""
        return place(self.source, self.lines[row]) if self.lines else self.store.where(self.names[row])

    def name(self, row: int) -> str:
        """The file of a row, as it is called."""
        return self.names[row]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is said, of the names and of what lies under them."""
        hashed = hashlib.sha256()
        for row, name in enumerate(self.names):
            told = [said[row] for said in self.said.values()]
            hashed.update(json.dumps([name, *self.store.stamp(name), *told]).encode())
        return hashed.hexdigest()


Say = Callable[[str], None]


def place_of(data: Splits, split: Split) -> Path:
    """What a recipe names for a split. InvalidConfig where it names nothing, InvalidData where nothing is there."""
    name = getattr(data, split)
    if name is None:
        held = "" if split != "valid" else ", or hold some of training's out: data.hold={share: 0.1}"
        raise InvalidConfig(
            f"data.{split} is not set", remedy=f"Name a table, a folder or an archive: data.{split}=PATH{held}."
        )
    if name.startswith(HUB):
        return hub_path(name, f"data.{split}")
    path = (data.dir or Path()).expanduser() / Path(name).expanduser()
    if found := path if path.exists() else existing(path):
        return found
    if data.dir is None and not path.is_absolute():
        raise InvalidConfig(
            f"data.{split} names {name!r}, which is not here, and data.dir is not set",
            remedy="Set it to the folder that holds it: data.dir=FOLDER.",
        )
    near = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else ""
    raise InvalidData(f"data.{split}: no such file or folder.{near}", where=path)


def read_listing(path: Path, data: FilesData, wanted: Sequence[str], endings: Sequence[str], say: Say) -> Listing:
    """The rows under a path, whose files are all there; `wanted` is what must be said of each.

    `endings` are those of the files that count; `say` hears how it was read. Raises InvalidData with file and line.
    """
    if is_columnar(path):
        found = _table(open_table(path, data.head), Archive(path.parent), "", data, wanted, say)
    elif ending(path) in TABLES:
        found = _table(_lines(path, read_bytes(path), data, wanted), Archive(path.parent), "", data, wanted, say)
    elif path.is_dir() or is_archive(path):
        store = Archive(path)
        table = next((name for name in store.names if PurePosixPath(name).name in WITHIN), None)
        if data.names is not None:
            found = _named(store, data.names, endings, say)
        elif table is not None:
            with store.open(table) as file:
                raw = file.read()
            there = path / table if path.is_dir() else Path(f"{path}: {table}")
            found = _table(_lines(there, raw, data, wanted), store, table.rpartition("/")[0], data, wanted, say)
        else:
            found = _folders(store, wanted, endings, say)
    else:
        raise InvalidData(
            "neither a table (.csv, .tsv, .jsonl, .parquet), a folder nor an archive (.zip, .tar, .tar.gz)", where=path
        )
    for word in wanted:
        if word not in found.said:
            raise InvalidData(
                f"nobody says the {word} of these files",
                where=path,
                remedy=f'Name it by a column of a table, or say where file names have it: data.names="{{{word}}}_...".',
            )
    return found


# ------------------------------------------------------------------ tables


def _lines(path: Path, raw: bytes, data: FilesData, wanted: Sequence[str]) -> Table:
    """A table that was read; its first line names its columns itself where it has one for the file and all `wanted`."""
    own = {word: getattr(data.columns, word) for word in ("file", *wanted)}
    needed = [{name} if name else {*USUAL[word]} for word, name in own.items()]
    return read_table(split_lines(raw, path), path, data.head, needed=needed)


def _table(table: Table, store: Archive, base: str, data: FilesData, wanted: Sequence[str], say: Say) -> Listing:
    """The rows of a table, whose file names start from the folder `base` of the store, or whose cells hold files."""
    columns, path = data.columns, table.path
    found = [(line, row) for line, row in table.rows if row is not None]
    if not found:
        raise InvalidData("the table has no rows", where=path, remedy=NO_ROWS)
    known = [name for name in table.head or found[0][1] if name]
    chosen = {
        word: column_of(word, getattr(columns, word), usual, known, table.top, word in ("file", *wanted), table.doubt)
        for word, usual in USUAL.items()
    }
    told = {word: name for word, name in chosen.items() if name is not None}
    called = ", ".join(f"the {word} is '{name}'" for word, name in told.items())
    own = f" of {table.found()}" if table.overruled or not table.lines else ""
    say(f"{path}: {len(found):,} rows{own}; {called}")
    names, said, held = list[str](), {word: list[str]() for word in SPOKEN if word in told}, dict[str, bytes | Path]()
    for line, row in found:
        where = table.where(line)
        for word, column in told.items():
            if word == "file" and isinstance(row.get(column), dict):
                names.append(str(line))
                held[names[-1]] = _held(row[column], column, path.parent, where)
                continue
            value = "" if row.get(column) is None else text_of(row, column, where)
            if not value.strip():
                if word == "speaker" or word not in ("file", *wanted):
                    value = ""
                else:
                    raise InvalidData(f"the {word} ('{column}') is empty", where=where)
            if word == "file":
                names.append(str(PurePosixPath(base, value.strip())))
                if not store.has(names[-1]):
                    raise InvalidData(f"there is no file {store.where(names[-1])}", where=where)
            else:
                said[word].append(value.strip())
    classes = table.classes.get(told["label"], ()) if "label" in told else ()
    return Listing(path, Cells(path, held) if held else store, names, said, [line for line, _ in found], classes)


def _held(cell: object, column: str, folder: Path, where: str) -> bytes | Path:
    """What a cell of pictures or sounds holds: the file itself, or where it is, from the table's `folder` on."""
    assert isinstance(cell, dict)
    if isinstance(raw := cell.get("bytes"), bytes):
        return raw
    if isinstance(name := cell.get("path"), str) and name:
        if not (found := folder / name).is_file():
            raise InvalidData(f"there is no file {found}", where=where)
        return found
    raise InvalidData(f"'{column}' is {shown(cell)}, which holds no file", where=where)


# ------------------------------------------------------------------ folders and names


def _media(store: Archive, endings: Sequence[str]) -> list[str]:
    found = [name for name in store.names if name.lower().endswith(tuple(endings))]
    if not found:
        raise InvalidData(f"no file in it ends with {', '.join(endings)}", where=store.path)
    return found


def _folders(store: Archive, wanted: Sequence[str], endings: Sequence[str], say: Say) -> Listing:
    """A folder for each class; what lies around all of these folders is no class."""
    names = _media(store, endings)
    if "label" not in wanted:
        return Listing(store.path, store, names, {})
    parts = [name.split("/") for name in names]
    while all(len(each) > 2 for each in parts) and len({each[0] for each in parts}) == 1:
        parts = [each[1:] for each in parts]
    for name, each in zip(names, parts, strict=True):
        if len(each) < 2:
            raise InvalidData(
                "this file is in no folder that names its class",
                where=store.where(name),
                remedy='Move it into one, or say what names tell: data.names="{label}_{number}".',
            )
    labels = [each[0] for each in parts]
    say(f"{store.path}: {len(names):,} files in {len(set(labels)):,} folders, each a class")
    return Listing(store.path, store, names, {"label": labels})


def _named(store: Archive, pattern: str, endings: Sequence[str], say: Say) -> Listing:
    """What the names of files tell, but for their endings."""
    pieces = re.split(r"\{(\w+)\}", pattern)
    words = [word for word in pieces[1::2] if word in SPOKEN]
    form = "".join(
        (f"(?P<{piece}>.+?)" if piece in SPOKEN else ".+?") if i % 2 else re.escape(piece)
        for i, piece in enumerate(pieces)
    )
    names, said = _media(store, endings), {word: list[str]() for word in words}
    for name in names:
        found = re.fullmatch(form, PurePosixPath(name).stem)
        if found is None:
            raise InvalidData(f"its name is not as data.names says: {pattern!r}", where=store.where(name))
        for word in words:
            said[word].append(found[word])
    counts = ", ".join(f"{len(set(values)):,} {word}s" for word, values in said.items())
    say(f"{store.path}: {len(names):,} files, whose names tell of {counts}")
    return Listing(store.path, store, names, said)
