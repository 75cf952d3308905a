"""What a person is told when something of theirs cannot be used: where, why, and what to do about it."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class TranseptError(Exception):
    """A failure that a person can mend. `what` is the reason, `where` the file and line, `remedy` the way out.

    `str(error)` is the whole message; `exit_code` is what the command line ends with.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, None if where is None else str(where), remedy
        place = f"{self.where}: " if self.where else ""
        super().__init__(f"{place}{what}" + (f"\n  {remedy}" if remedy else ""))


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
