"""The directory of a run: its files, who may write there, and what a resumed run cuts off."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from transept.durable import reclaim, remove, replace_text
from transept.errors import InvalidData, UsageError, Where

Mode = Literal["new", "resume", "overwrite"]


class RunDirectory:
    """`runs/NAME`: config.yaml, metrics.jsonl, train.log, samples.jsonl, checkpoints/, best, last, model/."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.metrics = self.path / "metrics.jsonl"
        self.log = self.path / "train.log"
        self.samples = self.path / "samples.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.last = self.path / "last"
        self.model = self.path / "model"
        self._starter = self.path / ".torchrun"
        self._asked: str | None = None  # what a resumed run's config.yaml is to say, once it may go on

    @classmethod
    def check(cls, path: Path | str, mode: Mode = "new") -> RunDirectory:
        """Refuse what `prepare` would refuse, before anything is read or written; what is refused stands there."""
        run = cls(path)
        if run.path.exists() and not run.path.is_dir():
            raise UsageError("this is a file, a run needs a directory", where=run.path, remedy="Choose run=ANOTHER.")
        ours = run.config.is_file()
        if mode == "resume" and not ours:
            raise UsageError(
                "there is no run to resume here", where=run.path, remedy="Leave --resume out to start one."
            )
        if mode == "new" and run.path.exists() and any(run.path.iterdir()):
            choices = (
                "Go on with it by --resume, take another directory by run=ANOTHER, or replace it by --overwrite."
                if ours
                else "Take another directory by run=ANOTHER."
            )
            held = "a run is in this directory already" if ours else "the directory holds files that no run wrote"
            raise UsageError(held, where=run.path, remedy=choices)
        if mode == "overwrite" and run.path.exists() and any(run.path.iterdir()) and not ours:
            raise UsageError(
                "the directory holds files that no run wrote; they are not replaced",
                where=run.path,
                remedy="Take another directory by run=ANOTHER.",
            )
        return run

    @classmethod
    def prepare(cls, path: Path | str, config: str, mode: Mode = "new") -> RunDirectory:
        """Open the directory of a run and write its complete recipe there.

        "new" refuses a directory that holds anything, with the three choices; "resume" needs one that a run has made,
        and leaves its recipe until `accept`; "overwrite" removes what a run wrote there, and nothing else.
        """
        run = cls.check(path, mode)
        run.path.mkdir(parents=True, exist_ok=True)
        with run.held():
            if mode == "overwrite":
                run._clear()
            reclaim(run.path)
            if mode == "resume":
                run._asked = config
            else:
                replace_text(run.config, config)
                if (starter := _torchrun()) is not None:
                    replace_text(run._starter, starter)
            run.checkpoints.mkdir(exist_ok=True)
        return run

    def begun_by_this_torchrun(self) -> bool:
        """Whether the torchrun that started this process also began this run: then it is to go on after a restart."""
        starter = _torchrun()
        return starter is not None and self._starter.is_file() and self._starter.read_text(encoding="utf-8") == starter

    def accept(self) -> None:
        """Write the recipe of a resumed run, which was found to go on with what is here."""
        if self._asked is not None:
            replace_text(self.config, self._asked)
            self._asked = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training here; UsageError where one does. The kernel lets go if this one dies."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    "another process is training in this directory",
                    where=self.path,
                    remedy="Wait for it, stop it, or take another directory by run=ANOTHER.",
                ) from None
            yield
        finally:
            os.close(handle)

    def resume_command(self) -> str:
        """What a person types to go on with this run."""
        # A bare word may be the name of a recipe too.
        path = str(self.path) if len(self.path.parts) > 1 else f"./{self.path}"
        return f"transept train {shlex.quote(path)} --resume"

    def sizes(self) -> dict[str, int]:
        """How long the growing files are now, after flushing them: where a resumed run goes on writing."""
        return {file.name: _flushed_size(file) for file in (self.metrics, self.samples)}

    def events(self) -> Iterator[dict[str, Any]]:
        """The objects of metrics.jsonl; a last line that a kill cut off is none. InvalidData names another's number."""
        told = self.metrics.read_bytes() if self.metrics.exists() else b""
        for number, line in enumerate(told.split(b"\n")[:-1], 1):
            try:
                event = json.loads(line)
            except ValueError as error:  # a letter that was cut in two is one too
                raise InvalidData(
                    f"not JSON: {error}",
                    where=Where.of_line(self.metrics, number),
                    remedy="The run wrote whole lines: take the line out, or the file from where it was copied.",
                ) from None
            yield event

    def cut(self, sizes: dict[str, int]) -> None:
        """Forget what was written after a checkpoint, so that a resumed run tells nothing twice."""
        for file in (self.metrics, self.samples):
            if file.exists() and file.stat().st_size > sizes.get(file.name, 0):
                os.truncate(file, sizes.get(file.name, 0))

    def _clear(self) -> None:
        for file in (self.metrics, self.log, self.samples, self.best, self.last, self._starter):
            file.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.model):
            remove(folder)


def _torchrun() -> str | None:
    """The name of the torchrun above this process, which stays when it starts its processes again."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return None if name is None else f"{name} {socket.gethostname()} {os.getppid()}\n"


def _flushed_size(file: Path) -> int:
    if not file.exists():
        return 0
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
        return handle.seek(0, os.SEEK_END)
