"""The files of sentence-transformers in a model directory: how the states of a text become one vector."""

from collections.abc import Mapping
from pathlib import Path

from transept.errors import InvalidData
from transept.hub.files import LARGEST_JSON, demand_content, homes

FILES = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "*_Pooling/config.json")


def read_sentences(root: Path) -> dict[str, str]:
    """The files that are there, by their names in the directory; they are handed back as they are."""
    found = {}
    for pattern in FILES:
        for file in sorted(root.glob(pattern)):
            name = file.relative_to(root).as_posix()
            try:
                found[name] = inside(root, file).read_bytes().decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidData(f"not UTF-8 at byte {error.start}", where=file) from None
    return found


def write_sentences(root: Path, files: Mapping[str, str]) -> None:
    """Write them where they were."""
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(text.encode())


def inside(root: Path, file: Path) -> Path:
    """A small regular file that lies below the directory, or where its download cache keeps files."""
    real = file.resolve()
    if not real.is_file() or not any(real.is_relative_to(home) for home in homes(root)):
        raise InvalidData("no such file in the model directory", where=file)
    demand_content(real)
    if (size := real.stat().st_size) > LARGEST_JSON:
        raise InvalidData(f"{size} bytes are too many for a description", where=file)
    return real
