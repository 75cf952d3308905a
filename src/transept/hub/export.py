"""From Hugging Face and back, each with the check that both compute the same."""

import os
import re
from dataclasses import replace
from pathlib import Path

from transept.durable import new_folder
from transept.errors import TranseptError, UsageError
from transept.hub.card import Record, read_card
from transept.hub.directory import Stored, check_free, locate, read, save, saying, unsayable
from transept.hub.verify import Report, verify

NAME = re.compile(r"[\w.-]+/[\w.-]+")
FILES = ["*.json", "*.safetensors", "README.md"]  # never a pickle, never code


def import_hf(source: str | Path, out: str | Path, *, check: bool = True, overwrite: bool = False) -> Report | None:
    """Read a directory of Hugging Face's (or a name at their hub) and write it as a model directory.

    With `check`, the result is compared with Hugging Face's reading of the source; TranseptError where they differ,
    and then nothing is written.
    """
    check_free(Path(out).expanduser(), overwrite)
    root = locate(source) if Path(source).expanduser().exists() else fetch(str(source))
    with new_folder(Path(out).expanduser()) as made:
        _write_again(root, read(root), out, made)
        return _demand(verify(made, root), out) if check else None


def export_hf(model: str | Path, out: str | Path, *, check: bool = True, overwrite: bool = False) -> Report | None:
    """Write a model as a directory that Hugging Face loads; with `check`, compare the two first.

    A failed comparison writes and replaces nothing. Raises UsageError with the reason and the word that would change it
    where they have no shape for the model.
    """
    check_free(Path(out).expanduser(), overwrite)
    root = locate(model)
    stored = read(root)
    if saying(stored.model.spec) is None:
        raise unsayable(stored.model.spec, root)
    with new_folder(Path(out).expanduser()) as made:
        _write_again(root, stored, out, made)
        return _demand(verify(made), out) if check else None


def _write_again(root: Path, stored: Stored, out: str | Path, made: Path) -> None:
    """Write into `made`, which takes the place of `out` once it was compared: a failure leaves what stood there."""
    model, tokenizer, generation = stored
    save(made, model, tokenizer=tokenizer, generation=generation, card=read_card(root) or Record(Path(out).name))


def _demand(report: Report, out: str | Path) -> Report:
    return replace(report, directory=Path(out)).demand()


def fetch(name: str) -> Path:
    """A model of the hub, downloaded into its usual cache. The only function here that uses the network."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is neither a directory here nor a name at the hub",
            remedy="A model is a directory, or OWNER/NAME as on the Hub.",
        )
    if os.environ.get("TRANSEPT_OFFLINE", "0") not in ("", "0"):
        raise UsageError(f"{name} is not here, and TRANSEPT_OFFLINE forbids the network")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except Exception as error:  # of several libraries: no network, no such name, no permission, offline
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TranseptError(f"{name} could not be fetched: {reason}") from error
