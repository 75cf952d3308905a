"""Names with indices in them: `"layers.{i}.fc1"` and the names that it stands for."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache

FIELD = re.compile(r"\{(\w+)\}")


def fields(template: str) -> frozenset[str]:
    """The indices that a template names."""
    return frozenset(FIELD.findall(template))


def fill(template: str, index: Mapping[str, str]) -> str:
    """The name that a template gives at an index."""
    return FIELD.sub(lambda found: index[found[1]], template)


@cache
def compiled(template: str) -> re.Pattern[str]:
    """What recognises a template's names. No leading zeros: the same name must come back."""
    text, end = "", 0
    for found in FIELD.finditer(template):
        text += re.escape(template[end : found.start()]) + f"(?P<{found[1]}>0|[1-9][0-9]*)"
        end = found.end()
    return re.compile(text + re.escape(template[end:]))


def indices(templates: Iterable[str], names: Collection[str]) -> Iterator[dict[str, str]]:
    """Each index at which at least one of the templates is among the names, in the order of the names."""
    seen = set()
    for template in templates:
        pattern = compiled(template)
        for name in names:
            found = pattern.fullmatch(name)
            if found and (key := tuple(sorted(found.groupdict().items()))) not in seen:
                seen.add(key)
                yield dict(key)
