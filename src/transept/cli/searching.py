"""Commands that take settings of the search as words: their help lists them, and a setting with dashes is told how."""

from __future__ import annotations

import difflib
import re
from typing import Any, get_args

from typer.core import TyperCommand

WIDE = 24  # columns of a setting with its default


class Searching(TyperCommand):
    """A command with settings such as beam=8 among its words."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """List the settings before the examples."""
        from transept.decode.config import Search

        rows = []
        for name, field in Search.model_fields.items():
            default = "null" if field.default is None else field.default
            choices = [str(word) for word in get_args(field.annotation) if isinstance(word, str)]
            said = re.split(r"(?<! al)\. ", field.description or "")[0].removesuffix(".")
            rows.append((f"{name}={default}", f"{', '.join(choices)}; {said}" if choices else said))
        with formatter.section("Settings, among the texts as KEY=VALUE; the model has its own, else"):
            formatter.write_dl(rows, col_max=WIDE)
        super().format_epilog(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; an option that is a setting, or nearly one, is refused with how it is written."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # of the library's own kind, which differs between its versions
            option = getattr(error, "option_name", None)
            if isinstance(option, str) and isinstance(getattr(error, "message", None), str):
                error.message += hint(option.lstrip("-").replace("-", "_"))  # type: ignore[attr-defined]
            raise


def hint(name: str) -> str:
    """How a setting that was given as an option is written; nothing where no setting is near."""
    from transept.decode.config import THEIRS, Search

    known = [*Search.model_fields, *THEIRS]
    found = name if name in known else next(iter(difflib.get_close_matches(name, known, 1, cutoff=0.8)), None)
    if found is None:
        return ""
    return f". {THEIRS.get(found, f'A setting of the search is written without dashes: {found}=VALUE')}"
