"""Tables whose columns have types: Parquet, what the library datasets saved, and data sets of the hub by their names.

A name at the hub is `hub:OWNER/NAME/CONFIG:SPLIT@REVISION`, of which OWNER/NAME is needed. It travels as a path, so
that whatever names a file can name it.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from transept.errors import InvalidConfig, InvalidData, TranseptError, nearest

HUB = "hub:"
WRITTEN = "A name at the hub is hub:OWNER/NAME, with /CONFIG, :SPLIT and @REVISION behind it where they are needed."
AT_THE_HUB = {"train": "train", "valid": "validation", "test": "test"}  # what a split of ours is called there
CHUNK = 1000  # rows that are made Python's at once
SAVED = "dataset_info.json"  # what marks a folder that datasets saved, beside state.json; one of several splits:
SPLITS = "dataset_dict.json"
# One file of a table in several; older ones have a hash at their end.
PART = re.compile(r"(?P<table>.+)-(?P<number>\d+)-of-(?P<count>\d+)(-[0-9a-f]{8,})?\.parquet")


@dataclass(frozen=True)
class HubName:
    """A data set of the hub: its name there, its configuration, its split, and the commit, tag or branch of it."""

    name: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None

    @classmethod
    def read(cls, text: str, where: str | None = None) -> "HubName":
        """The name that a text is. InvalidConfig where it is none."""
        found = re.fullmatch(
            r"hub:(?P<name>[\w.-]+/[\w.-]+)(?:/(?P<config>[\w.-]+))?(?::(?P<split>[^@/]+))?(?:@(?P<revision>\S+))?",
            text,
        )
        if found is None:
            raise InvalidConfig(f"{text!r} is no name at the hub", where=where, remedy=WRITTEN)
        return cls(**found.groupdict())

    def __str__(self) -> str:
        ends = (("/", self.config), (":", self.split), ("@", self.revision))
        return f"{HUB}{self.name}" + "".join(f"{sign}{part}" for sign, part in ends if part)


@dataclass(frozen=True)
class Columnar:
    """Rows by the names of their columns, and the names of classes of those columns that have them.

    `told` says what it was found to be.
    """

    names: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    rows: Iterator[dict[str, Any]]
    told: str


def hub_path(text: str, key: str) -> Path:
    """A name at the hub as a path, with the split that `key` ("data.valid") is for where the name says none."""
    found = HubName.read(text, key)
    return Path(str(replace(found, split=found.split or AT_THE_HUB.get(key.rpartition(".")[2], "test"))))


def is_hub(path: Path) -> bool:
    """Whether a path is a name at the hub."""
    return str(path).startswith(HUB)


def is_columnar(path: Path) -> bool:
    """Whether a path is a table whose columns have types."""
    return is_hub(path) or path.suffix.lower() == ".parquet" or any((path / name).is_file() for name in (SAVED, SPLITS))


def parts(path: Path) -> list[Path]:
    """The files of a table `NAME.parquet` that lies in several, as the hub writes them: NAME-00000-of-00002.parquet.

    They are in the order of their numbers, and whether all are there is looked at when they are read.
    """
    if path.suffix.lower() != ".parquet" or path.exists() or not path.parent.is_dir():
        return []
    found = ((PART.fullmatch(file.name), file) for file in path.parent.iterdir())
    own = [(int(match["number"]), file) for match, file in found if match and match["table"] == path.stem]
    return [file for _, file in sorted(own)]


def spoken(path: Path) -> str:
    """What a card, which is read on other machines, calls a table: a file without its folders, a name at the hub."""
    return str(path) if is_hub(path) else path.name


def offline(*more: str) -> str | None:
    """The switch that forbids the network, where one is set; `more` are other names of it."""
    words = ("1", "ON", "YES", "TRUE")
    switches = ("TRANSEPT_OFFLINE", "HF_HUB_OFFLINE", *more)
    return next((key for key in switches if os.environ.get(key, "").strip().upper() in words), None)


def read_columnar(path: Path) -> Columnar:
    """The rows of a table. Raises InvalidData with the reason, TranseptError where the library is not installed."""
    try:
        import datasets
    except ImportError:
        raise TranseptError(
            "Parquet and data sets of the hub are read by the library datasets",
            where=path,
            remedy="Install it: pip install 'transept[datasets]'",
        ) from None
    if is_hub(path):
        found, told = _of_hub(path)
    elif path.is_dir():
        found, told = _of_folder(path), "a data set on disk"
    else:
        found, told = _of_files(path)
    found = found.with_format(None)
    for name, kind in found.features.items():
        if isinstance(kind, datasets.Image | datasets.Audio):  # what is in a cell is looked at, not decoded
            found = found.cast_column(name, type(kind)(decode=False))
    classes = {name: own for name, kind in found.features.items() if (own := _classes(kind))}
    return Columnar(tuple(found.features), classes, _rows(path, found, classes), told)


def _rows(path: Path, found: Any, classes: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    for number, batch in enumerate(found.iter(CHUNK)):
        for name, names in classes.items():
            rows = enumerate(batch[name], number * CHUNK + 1)
            batch[name] = [_named(value, names, name, f"{path}: row {row}") for row, value in rows]
        for cells in zip(*batch.values(), strict=True):
            yield dict(zip(batch, cells, strict=True))


def _named(value: Any, names: tuple[str, ...], column: str, where: str) -> Any:
    """The name of a class, of each of a list; -1, by which data sets say that nobody tells it, stays what it is."""
    if isinstance(value, list):
        return [_named(one, names, column, where) for one in value]
    if value is None or value < 0:
        return value
    if value >= len(names):
        raise InvalidData(f"'{column}' has the class {value}, and there are {len(names)}, counted from 0", where=where)
    return names[value]


def _classes(kind: Any) -> tuple[str, ...]:
    """The names of the classes that a column holds, alone or in lists; none of another column."""
    kind = getattr(kind, "feature", kind)
    return tuple(kind.names) if type(kind).__name__ == "ClassLabel" else ()


def _of_files(path: Path) -> tuple[Any, str]:
    """The rows of a file, or of all files of a table, and what they are of."""
    import datasets
    import pyarrow

    files, one, told = parts(path), PART.fullmatch(path.name), "Parquet"
    if files:
        _demand_whole(path, files)
        told = f"Parquet in {len(files)} files"
    elif one is not None and int(one["count"]) > 1:
        told = f"Parquet, one of {int(one['count'])} files of {one['table']}.parquet"
    tables = [_table(file) for file in files or [path]]
    try:
        whole = pyarrow.concat_tables(tables)
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise InvalidData(f"its files have different columns: {_first(error)}", where=path) from None
    try:
        found = datasets.Dataset(whole)
        features = [datasets.Features.from_arrow_schema(table.schema) for table in tables]
    except (pyarrow.ArrowException, ValueError, TypeError, KeyError) as error:
        raise InvalidData(
            f"its columns are of a type that the library datasets ({datasets.__version__}) does not know: "
            f"{_first(error)}",
            where=path,
            remedy="Update the library (pip install -U datasets), or write the table anew without that column.",
        ) from None
    _demand_same_classes(files, features)
    return found, told


def _demand_whole(path: Path, files: list[Path]) -> None:
    """Refuse the files of a table, in order, where they are not all of it, each once."""
    own = [(int(m["number"]), int(m["count"]), m.string) for file in files if (m := PART.fullmatch(file.name))]
    count, there = own[0][1], {number for number, _, _ in own}
    for one, other in pairwise(own):
        if one[0] == other[0] or one[1] != other[1]:
            raise InvalidData(
                f"its files are of more than one copy: {one[2]} and {other[2]}",
                where=path,
                remedy="Take away those of the other copy, or name one of them alone.",
            )
    if missing := [str(number) for number in range(count) if number not in there]:
        named = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        raise InvalidData(
            f"{count - len(missing)} of its {count} files are there; missing, counted from 0: {named}",
            where=path,
            remedy="Copy the others too, or name one of them alone.",
        )
    if len(own) > count:
        raise InvalidData(f"{own[-1][2]} is beyond its {count} files, counted from 0", where=path)


def _demand_same_classes(files: Sequence[Path], features: Sequence[Mapping[str, Any]]) -> None:
    """Refuse the files of a table where a number means one class in this file and another in that."""
    for file, own in zip(files, features, strict=False):
        for name, kind in own.items():
            ours, first = _classes(kind), _classes(features[0][name])
            if ours != first:
                raise InvalidData(
                    f"the classes of '{name}' have other names than in {files[0].name}: {_apart(ours, first)}",
                    where=file,
                    remedy="Write the files with the same names in the same order, or name one of them alone.",
                )


def _apart(own: Sequence[str], first: Sequence[str]) -> str:
    """Where the names of classes part: the first number that means something else, or how many there are."""
    for number, (mine, theirs) in enumerate(zip(own, first, strict=False)):
        if mine != theirs:
            return f"{number} is '{mine}', and '{theirs}' there"
    return f"{len(own) or 'none'} of them, and {len(first) or 'none'} there"


def _table(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except OSError as error:
        raise InvalidData(f"cannot be read: {error.strerror or error}", where=path) from None
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise InvalidData(
            f"not whole Parquet: {_first(error)}", where=path, remedy="Copy it again, or write it anew."
        ) from None


def _of_folder(path: Path) -> Any:
    import datasets
    import pyarrow

    if (path / SPLITS).is_file():
        names = sorted(item.name for item in path.iterdir() if (item / SAVED).is_file())
        raise InvalidData(
            f"it holds several splits: {', '.join(names)}",
            where=path,
            remedy=f"Name one, as a folder in it: {path.name}/{names[0] if names else 'train'}.",
        )
    try:
        return datasets.load_from_disk(str(path))
    except (OSError, pyarrow.ArrowException, ValueError, KeyError, TypeError) as error:
        raise InvalidData(f"not a whole data set: {_first(error)}", where=path) from None


def _of_hub(path: Path) -> tuple[Any, str]:
    """The rows of a name at the hub, and which commit they are of."""
    import datasets

    asked, switch, loud = HubName.read(str(path)), offline("HF_DATASETS_OFFLINE"), datasets.logging.get_verbosity()
    datasets.logging.set_verbosity_error()  # what it would warn of is said in our line
    try:
        if switch is not None:
            datasets.config.HF_HUB_OFFLINE = True  # it knows no TRANSEPT_OFFLINE, and reads its own when it is imported
        # With its whole address no folder of that name is taken for it.
        builder = datasets.load_dataset_builder(f"hf://datasets/{asked.name}", asked.config, revision=asked.revision)
        cached = type(builder).__module__.endswith(".cache.cache")
        commit = str(builder.hash)
        if cached and asked.revision is not None and not commit.startswith(asked.revision):
            raise InvalidData(
                f"the cache has the commit {commit[:12]}, and {asked.revision} is asked for",
                where=path,
                remedy=_network(switch),
            )
        builder.download_and_prepare()
        splits = list(builder.info.splits or ())
        if asked.split is not None and asked.split.partition("[")[0] not in splits:
            raise InvalidData(
                f"there is no split {asked.split!r}.{nearest(asked.split, splits)}",
                where=path,
                remedy=f"There are: {', '.join(splits)}. Name one: {replace(asked, split=splits[0])}.",
            )
        found = builder.as_dataset(split=asked.split)
    except TranseptError:
        raise
    except Exception as error:  # of several libraries: no network, no such name, no permission, no such configuration
        why = f"the cache has no such data set, and {switch} forbids the network" if switch else _first(error)
        if isinstance(error, ValueError) and "onfig" in str(error):  # it is there, and what is asked of it is not
            why = _first(error)
        raise InvalidData(f"cannot be had of the hub: {why}", where=path, remedy=_network(switch)) from error
    finally:
        datasets.logging.set_verbosity(loud)
    pin = "" if asked.revision else f", which @{commit[:12]} keeps to"
    return found, f"the hub's commit {commit[:12]}{' from the cache' if cached else ''}{pin}"


def _network(switch: str | None) -> str:
    return f"Unset {switch} once, so that it is fetched. {WRITTEN}" if switch else WRITTEN


def _first(error: BaseException) -> str:
    """The first line of what a library says."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
