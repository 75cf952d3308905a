"""Finding the files that a recipe names, and saying what is near where one is missing."""

import difflib
from pathlib import Path

from transept.data.columnar import HUB, hub_path, is_columnar, parts
from transept.data.config import PairsData
from transept.errors import InvalidConfig, InvalidData

ROWS = (".tsv", ".jsonl", ".json", ".parquet")


def locate(data: PairsData, entry: str | list[str], key: str) -> tuple[Path, ...]:
    """The files behind an entry of a recipe: two aligned ones, or one of rows. `key` is what messages call it.

    Raises `InvalidConfig` where the recipe says too little, `InvalidData` where a file is missing.
    """
    if isinstance(entry, list):
        return tuple(find(data.dir, name, key) for name in entry)
    path = _base(data.dir, entry)
    if entry.startswith(HUB) or ending(path) in ROWS or is_columnar(path):
        return (find(data.dir, entry, key),)
    sides = [f"{entry}.{language}" for language in (data.source, data.target) if language]
    aligned = len(sides) == 2 and all(existing(_base(data.dir, side)) for side in sides)
    if not aligned and (rows := existing(path)):
        return (rows,)
    if len(sides) < 2:
        missing = [f"data.{side}" for side in ("source", "target") if not getattr(data, side)]
        raise InvalidConfig(
            f"{key} is the prefix '{entry}', and {' and '.join(missing)} is not set",
            remedy=f"Set data.source and data.target to what follows the prefix (en, de), or {key} to two files.",
        )
    return tuple(find(data.dir, side, key) for side in sides)


def is_json(path: Path) -> bool:
    """Whether a file's name says JSON lines."""
    return ending(path) in (".jsonl", ".json")


def is_tsv(path: Path) -> bool:
    """Whether a file's name says tab-separated rows."""
    return ending(path) == ".tsv"


def is_csv(path: Path) -> bool:
    """Whether a file's name says comma-separated rows."""
    return ending(path) == ".csv"


def ending(path: Path) -> str:
    """What a file's name ends with, in small letters; of a gzipped one, what comes before."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def _base(folder: Path | None, name: str) -> Path:
    return (folder or Path()).expanduser() / Path(name).expanduser()


def existing(path: Path) -> Path | None:
    """What a path names: a file, gzipped or not, a data set on disk, or Parquet in several files; None: nothing."""
    if file := next((file for file in (path, path.with_name(f"{path.name}.gz")) if file.is_file()), None):
        return file
    return path if (path.is_dir() and is_columnar(path)) or parts(path) else None


def find(folder: Path | None, name: str, key: str) -> Path:
    """A file by its name, gzipped or not, or a name at the hub; names of files start from the folder. `key` is what
    messages call it.

    Raises `InvalidConfig` where no folder is set and it is not here, `InvalidData` with what is near.
    """
    if name.startswith(HUB):
        return hub_path(name, key)
    path = _base(folder, name)
    if file := existing(path):
        return file
    if folder is None and not path.is_absolute():
        raise InvalidConfig(
            f"{key} names '{name}', which is not here, and data.dir is not set",
            remedy="Set data.dir to the folder that holds it: data.dir=FOLDER.",
        )
    if path.is_dir():
        raise InvalidData(f"{key} is a folder, not a file", where=path, remedy="Name a file in it.")
    raise InvalidData(f"{key}: no such file, nor '{path.name}.gz'", where=path, remedy=_near(path))


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        return f"The folder '{path.parent}' does not exist; '{folder}' does."
    names = sorted(item.name for item in folder.iterdir() if item.is_file())
    if not names:
        return f"The folder '{folder}' holds no file."
    near = difflib.get_close_matches(path.name, names, 4, cutoff=0.5) or names[:4]
    rest = f" and {len(names) - len(near)} more files." if len(names) > len(near) else "."
    return f"The folder '{folder}' holds " + ", ".join(f"'{name}'" for name in near) + rest
