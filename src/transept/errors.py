"""What a person is told when something of theirs cannot be used: where, why, and what to do about it."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

Face = Literal["python", "command"]  # who is spoken to: who calls a function, or who types a command


class Where(str):
    """Where something stands, as it is written: a text that has the file, the line and the key as fields beside it.

    `line` counts from 1; `key` is that of a recipe which the place names itself, as `train.seed=2` does.
    """

    file: Path | None
    line: int | None
    key: str | None

    def __new__(cls, told: str, *, file: Path | None = None, line: int | None = None, key: str | None = None) -> Self:
        place = super().__new__(cls, told)
        place.file, place.line, place.key = file, line, key
        return place

    @classmethod
    def of_line(cls, file: str | Path, line: int) -> Self:
        """ "recipe.yaml:12" """
        return cls(f"{file}:{line}", file=Path(file), line=line)

    @classmethod
    def typed(cls, key: str, value: str) -> Self:
        """ "train.seed=2", on the command line."""
        return cls(f"{key}={value}", key=key)


class Nth(NamedTuple):
    """Which of several things: the third text is ("text", 3); no number where one alone is meant."""

    name: str
    number: int | None


class TranseptError(Exception):
    """A failure that a person can mend. `what` is the reason, `where` the file and line, `remedy` the way out.

    What each face words in its own way stands beside them: `key` is the one of a recipe that the reason is about; `nth`
    is which of several inputs, and then the reason lacks its subject; `option` is an argument (`resample=True`), which
    the remedy has as {option}. `str(error)` is the whole message for who calls a function, `message("command")` for who
    types a command; `exit_code` is what the command line ends with.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        key: str | None = None,
        nth: Nth | None = None,
        remedy: str | None = None,
        option: str | None = None,
    ) -> None:
        self.what, self.key, self.nth, self.remedy, self.option = what, key, nth, remedy, option
        self.where = str(where) if isinstance(where, Path) else where
        super().__init__(self.message())

    def fields(self, **others: Any) -> dict[str, Any]:
        """What an error is made of, some of it changed: an error that is told again loses nothing on the way."""
        names = ("what", "where", "key", "nth", "remedy", "option")
        return {name: getattr(self, name) for name in names} | others

    def reason(self, *, placed: bool = False) -> str:
        """What is wrong, without the file and the remedy. `placed`: which input it is was told before."""
        if self.nth is not None:
            name, number = self.nth
            return f"the {name} {self.what}" if placed or number is None else f"{name} {number} {self.what}"
        told = isinstance(self.where, Where) and self.where.key == self.key  # the place names the key itself
        return f"{self.key}: {self.what}" if self.key and not told else self.what

    def way_out(self, face: Face = "python") -> str:
        """The remedy in the words of a face; "" where there is none."""
        if not self.remedy or not self.option:
            return self.remedy or ""
        name = self.option.partition("=")[0].replace("_", "-")
        return self.remedy.replace("{option}", self.option if face == "python" else f"--{name}")

    def message(self, face: Face = "python") -> str:
        """All of it: place, reason, and the remedy on a line of its own."""
        place = f"{self.where}: " if self.where else ""
        remedy = self.way_out(face)
        return f"{place}{self.reason()}" + (f"\n  {remedy}" if remedy else "")


class UsageError(TranseptError, ValueError):
    """The command or the call does not fit together."""

    exit_code = 2


class InvalidData(TranseptError, ValueError):
    """A file holds something that cannot be used."""

    exit_code = 3


class InvalidConfig(TranseptError, ValueError):
    """A recipe, a description or a configuration says something that cannot be."""

    exit_code = 3


class OutOfMemory(TranseptError):
    """The job does not fit into memory."""

    exit_code = 4


class Interrupted(TranseptError):
    """A person stopped the job; what was saved is in the message."""

    exit_code = 130


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the processor; told by names and words, for torch may not be loaded."""
    if isinstance(error, (MemoryError, OutOfMemory)) or any(
        k.__name__ == "OutOfMemoryError" for k in type(error).__mro__
    ):
        return True
    words = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def nearest(name: str, known: Iterable[str]) -> str:
    """The words " Did you mean ..?", or nothing where no known name is near. A beginning of a name is nearest."""
    names = list(known)
    begun = sorted((other for other in names if len(name) > 2 and other.startswith(name)), key=len)
    found = begun or difflib.get_close_matches(name, names, 1, cutoff=0.6)
    return f" Did you mean '{found[0]}'?" if found else ""
