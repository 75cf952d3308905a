"""Between a text and the tokenizers library: texts that it cannot take, and errors that nobody could read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transept.errors import InvalidData, TranseptError


def check_text(texts: Iterable[str]) -> None:
    """Refuse half of a surrogate pair, which the library would turn into another character."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            reason = f"half of a surrogate pair at character {error.start + 1} of a text"
            raise InvalidData(reason, remedy="Read the text as UTF-8 with errors='strict'.") from error


@contextmanager
def guarded(what: str, where: Path | None = None) -> Iterator[None]:
    """Turn what the library raises into an error of ours; its PanicException is a BaseException."""
    try:
        yield
    except TranseptError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise InvalidData(f"{what}: {error}", where=where) from error
        raise
