"""Checkpoints: whole or absent, verified when read, and never fewer than are needed."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from transept.durable import digest, flush, new_folder, passing, reclaim, write_json
from transept.errors import InvalidData, TranseptError, UsageError

SCHEMA = 1
MODEL, OPTIMIZER, STATE, MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"
CARRIED = "carried.safetensors"  # only where batches hand something on
FROZEN = "frozen.safetensors"  # beside the checkpoints, and of all of them; only where something is frozen
FILES = (MODEL, OPTIMIZER, STATE)

REMEDY = f"Where {FROZEN} alone is missing or damaged, `transept train RUN --resume` writes it again."  # all need it

_NAME = re.compile(r"\d{8,}")


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds."""

    path: Path
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]
    carried: dict[str, Tensor] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one run, each a directory named after its update, and beside them what is frozen in all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bad: set[int] = set()  # found damaged: they count for nothing
        self._frozen: dict[str, Any] | None = None  # size and hash of what is frozen, once it is known to be there

    def path(self, update: int) -> Path:
        """Where the checkpoint of an update lies."""
        return self.folder / f"{update:08d}"

    def clean(self) -> list[str]:
        """Remove what killed processes left half written; their names are returned."""
        return reclaim(self.folder)

    def updates(self) -> list[int]:
        """The updates with a checkpoint, rising. Directories that a save did not finish are none."""
        found = (d for d in self.folder.iterdir() if _NAME.fullmatch(d.name) and (d / MANIFEST).is_file())
        return sorted(update for update in (int(d.name) for d in found) if update not in self.bad)

    def save(
        self,
        update: int,
        model: Mapping[str, Tensor],
        optimizer: Mapping[str, Tensor],
        state: Mapping[str, Any],
        carried: Mapping[str, Tensor] | None = None,
        frozen: Mapping[str, Tensor] | None = None,
    ) -> Path:
        """Write a checkpoint: its files, then the manifest with their hashes, then one rename.

        What is `frozen` is written with the first one, and all name it by its hash. A failure leaves the older
        checkpoints as they are and says what is needed and what is free.
        """
        path = self.path(update)
        tensors = {MODEL: model, OPTIMIZER: optimizer, **({CARRIED: carried} if carried else {})}
        try:
            told = self._beside(frozen or {})
            with new_folder(path) as fresh:
                for name, each in tensors.items():
                    write_tensors(fresh / name, each)
                write_json(fresh / STATE, state)
                files = [*tensors, STATE]
                told |= {name: told_of(fresh / name) for name in files}
                write_json(fresh / MANIFEST, {"schema": SCHEMA, "update": update, "files": told})
        except (OSError, SafetensorError) as error:
            needed = sum(map(size_of, tensors.values())) + (size_of(frozen or {}) if self._frozen is None else 0)
            raise self._unsaved(update, needed, error) from error
        self.bad.discard(update)
        return path

    def fault(self, update: int) -> str | None:
        """What is wrong with a checkpoint, or None: every file is there, whole, with its hash in the manifest."""
        path = self.path(update)
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            if manifest["schema"] != SCHEMA or manifest["update"] != update:
                return f"{MANIFEST} is of schema {manifest['schema']}, update {manifest['update']}"
            files = {name: (entry["size"], entry["sha256"]) for name, entry in manifest["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{MANIFEST} cannot be read ({type(error).__name__})"
        for name in (*FILES, *(name for name in (CARRIED, FROZEN) if name in files)):
            file, called = (path / name, name) if name != FROZEN else (self.folder / FROZEN, f"../{FROZEN}")
            if name not in files:
                return f"{MANIFEST} does not name {name}"
            if not file.is_file():
                return f"{called} is missing"
            if file.stat().st_size != files[name][0]:
                return f"{called} has {file.stat().st_size:,} bytes of {files[name][0]:,}"
            if digest(file) != files[name][1]:
                return f"{called} is not what was written (its SHA-256 differs)"
        return None

    def newest(self, report: Callable[[str], None], frozen: Mapping[str, Tensor] | None = None) -> int | None:
        """The last update whose checkpoint is sound. Each damaged one on the way is reported and passed over.

        What is `frozen`, where it is at hand, is written again first if its file is missing or damaged.
        """
        if frozen and self.mend(frozen):
            report(f"{self.folder / FROZEN}: this was not there as it was written, and is written again")
        return next(self.sound(self.updates(), report), None)

    def sound(self, updates: Sequence[int], report: Callable[[str], None]) -> Iterator[int]:
        """The sound ones of some checkpoints, from the last to the first. Damaged ones are reported and passed over."""
        for update in reversed(updates):
            if (fault := self.fault(update)) is None:
                yield update
            else:
                self.bad.add(update)
                report(f"{self.path(update)}: {fault}; going back to the checkpoint before it")

    def load(self, update: int) -> Saved:
        """Read a checkpoint; InvalidData names what is wrong with it."""
        path = self.whole(update)
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        carried = load_file(path / CARRIED) if (path / CARRIED).is_file() else {}
        self._frozen = self._told(update).get(FROZEN)  # what goes on from here leaves it as it is
        model = load_file(path / MODEL) | self.frozen(update)
        return Saved(path, model, load_file(path / OPTIMIZER), state, carried)

    def weights(self, update: int) -> dict[str, Tensor]:
        """The model's tensors of a checkpoint alone; InvalidData as in `load`."""
        return load_file(self.whole(update) / MODEL) | self.frozen(update)

    def frozen(self, update: int) -> dict[str, Tensor]:
        """What is frozen in a checkpoint; nothing where all of the model is in its own file."""
        return load_file(self.folder / FROZEN) if FROZEN in self._told(update) else {}

    def _told(self, update: int) -> dict[str, Any]:
        files: dict[str, Any] = json.loads((self.path(update) / MANIFEST).read_text(encoding="utf-8"))["files"]
        return files

    def _beside(self, frozen: Mapping[str, Tensor]) -> dict[str, Any]:
        """What a manifest says of what is frozen, which is written where it is not there: it may have been removed."""
        if not frozen:
            return {}
        file = self.folder / FROZEN
        if self._frozen is None or not file.is_file() or file.stat().st_size != self._frozen["size"]:
            with self._written(frozen) as fresh:
                fresh.replace(file)
            flush(self.folder)
            self._frozen = told_of(file)
        return {FROZEN: self._frozen}

    def owed(self, frozen: Mapping[str, Tensor]) -> int:
        """Bytes that what is frozen is still to take, beside the checkpoints."""
        return 0 if (self.folder / FROZEN).is_file() else size_of(frozen)

    def mend(self, frozen: Mapping[str, Tensor]) -> bool:
        """Write what is frozen again where the file is missing or damaged; whether that was so.

        No more than what the newest checkpoint names by its hash: else it is of another model, and nothing is written.
        """
        file, told = self.folder / FROZEN, self._named()
        if told is None or (file.is_file() and digest(file) == told["sha256"]):
            return False
        with self._written(frozen) as fresh:
            if told_of(fresh) != told:
                return False
            fresh.replace(file)
        flush(self.folder)
        return True

    @contextmanager
    def _written(self, frozen: Mapping[str, Tensor]) -> Iterator[Path]:
        """What is frozen in a file of another name, which is gone afterwards."""
        fresh = passing(self.folder / FROZEN)
        try:
            write_tensors(fresh, frozen)
            yield fresh
        finally:
            fresh.unlink(missing_ok=True)

    def _named(self) -> dict[str, Any] | None:
        """What the newest manifest that can be read says of what is frozen."""
        for update in reversed(self.updates()):
            try:
                return dict(self._told(update)[FROZEN])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def lack(self) -> str:
        """Why there is no checkpoint that can be used, once they were looked through."""
        return "none of the run's checkpoints is whole" if self.bad else "the run has no checkpoint yet"

    def none(self) -> TranseptError:
        """The error for who needs a checkpoint where there is none that can be used."""
        if not self.bad:
            return UsageError(self.lack(), where=self.folder, remedy="Train it first.")
        return InvalidData(
            self.lack(),
            where=self.folder,
            remedy=f"Copy them again from where they are whole. {REMEDY}",
        )

    def whole(self, update: int) -> Path:
        """Its folder; InvalidData says what is wrong with a checkpoint that is not as it was written."""
        path = self.path(update)
        if (fault := self.fault(update)) is not None:
            raise InvalidData(
                fault, where=path, remedy=REMEDY if FROZEN in fault else "Use another checkpoint of the run."
            )
        return path

    def state(self, update: int) -> dict[str, Any]:
        """The state of a checkpoint without its tensors."""
        state: dict[str, Any] = json.loads((self.path(update) / STATE).read_text(encoding="utf-8"))
        return state

    def regular(self) -> list[int]:
        """The updates saved at their regular time, rising: those an average is made of. An unreadable one is none."""
        return [update for update in self.updates() if self._is_regular(update)]

    def _is_regular(self, update: int) -> bool:
        try:
            return bool(self.state(update)["regular"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def prune(self, keep: int, average: int, best: int | None) -> list[Path]:
        """Remove the checkpoints that nothing needs; a failure to remove one is no reason to stop."""
        gone = [self.path(update) for update in superfluous(self.updates(), self.regular(), keep, average, best)]
        for path in gone:
            old = passing(path)  # first out of sight, so that a kill leaves no half of a checkpoint
            path.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        if gone:
            flush(self.folder)
        return gone

    def _unsaved(self, update: int, needed: int, error: Exception) -> TranseptError:
        free = shutil.disk_usage(self.folder).free
        full = (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or free < needed
        reason = "the disk is full" if full else str(error)
        older = [u for u in self.updates() if u != update]
        kept = f"The checkpoint of update {older[-1]:,} is whole. " if older else ""
        return TranseptError(
            f"the checkpoint of update {update:,} could not be written: {reason}; "
            f"it needs {megabytes(needed)} and {megabytes(free)} are free",
            where=self.path(update),
            remedy=f"{kept}Make room, then go on with --resume.",
        )


def superfluous(updates: Iterable[int], regular: Iterable[int], keep: int, average: int, best: int | None) -> list[int]:
    """The checkpoints that are neither the best, nor of the `keep` newest, nor of the last `average` regular ones."""
    updates, regular = sorted(updates), sorted(regular)
    wanted = {best, *updates[-keep:], *(regular[-average:] if average else [])}
    return [update for update in updates if update not in wanted]


def told_of(file: Path) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"size": file.stat().st_size, "sha256": digest(file)}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write and flush tensors, readable by whom the umask allows: safetensors itself lets only the owner read."""
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(mode)
    flush(path)


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def megabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
