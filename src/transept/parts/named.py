"""Which parts of a built model a text means: "embed", "stack.blocks.[0-5]", "*.attention|cross.q|v".

A text is a dotted name. `*` stands for anything, dots too, `?` for one character, `[0-5]` for one of some, and `|`
parts the choices between two dots. It means what has that name, and all that lies below it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from transept.errors import InvalidConfig, nearest

SHOWN = 12

_SIGNS = re.compile(r"\*|\?|\[[^\]]+\]")


def matching(text: str) -> re.Pattern[str]:
    """What recognises the names that a text means. Raises InvalidConfig where the text is none."""
    if not all(choice for part in text.split(".") for choice in part.split("|")):
        raise InvalidConfig(f"{text!r} is no name of weights", remedy='Write, for example, "*.attention.q|v".')
    parts = ("|".join(map(_choice, part.split("|"))) for part in text.split("."))
    try:
        return re.compile(r"\.".join(f"(?:{part})" for part in parts) + r"(?:\..*)?")
    except re.error as error:
        raise InvalidConfig(f"{text!r} is no name of weights: {error}") from None


def _choice(text: str) -> str:
    made, end = "", 0
    for sign in _SIGNS.finditer(text):
        made += re.escape(text[end : sign.start()]) + {"*": ".*", "?": "."}.get(sign[0], sign[0].replace("[!", "[^"))
        end = sign.end()
    return made + re.escape(text[end:])


def named(names: Sequence[str], texts: Iterable[str], key: str) -> list[str]:
    """Those of some names that any of the texts means, in their order.

    Raises InvalidConfig with `key` and the nearest name where a text means none of them.
    """
    found: set[str] = set()
    for text in texts:
        known = matching(text)
        if not (met := {name for name in names if known.fullmatch(name)}):
            near = nearest(text, [*names, *sorted({above for name in names for above in _above(name)})])
            raise InvalidConfig(
                f"nothing here is called {text!r}.{near}",
                key=key,
                remedy=f"There are: {spoken(names)}.",
            )
        found |= met
    return [name for name in names if name in found]


def _above(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))


def spoken(names: Iterable[str]) -> str:
    """Names for people, each once with `*` in the place of numbers."""
    kinds = list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name) for name in names))
    return ", ".join(kinds[:SHOWN]) + (f" and {len(kinds) - SHOWN} more" if len(kinds) > SHOWN else "")
