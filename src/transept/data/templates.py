"""Templates: a row of a table put into words, as "Review: {text}" does with the column `text`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter


@dataclass(frozen=True)
class Template:
    """Text with names in braces, each of a column; `{{` and `}}` are braces.

    Raises ValueError, with the reason, for braces that hold anything else than a name.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError(f"the template {self.text!r:.80} names no column: write one in braces, as {{text}}")

    @cached_property
    def pieces(self) -> tuple[tuple[str, str | None], ...]:
        """The text before each name, and the name; the last may have none."""
        try:
            found = list(Formatter().parse(self.text))
        except ValueError as error:
            raise ValueError(
                f"the template {self.text!r:.80} cannot be read: {error}; a brace is written twice"
            ) from None
        for _, name, form, conversion in found:
            if name is not None and (not name.strip() or form or conversion):
                raise ValueError(f"the template {self.text!r:.80} has braces that hold no column's name alone")
        return tuple((before, None if name is None else name.strip()) for before, name, _, _ in found)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, each once, in order."""
        return tuple(dict.fromkeys(name for _, name in self.pieces if name is not None))

    @property
    def prefix(self) -> str | None:
        """What stands before the only name, where nothing else stands there."""
        return self.pieces[0][0] if len(self.pieces) == 1 and self.pieces[0][1] is not None else None

    def fill(self, row: Mapping[str, str]) -> str:
        """The text for a row, which has every column that is named."""
        return "".join(before + ("" if name is None else row[name]) for before, name in self.pieces)

    def without_last(self) -> tuple[tuple[str, str | None], ...]:
        """The pieces before the last name, with what stands right before it."""
        return (*self.pieces[:-1], (self.pieces[-1][0], None))
