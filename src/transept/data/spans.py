"""Spans of words by their tags: B-X begins one, I-X goes on, O is in none; neighbours of one bare tag are one."""

from collections.abc import Iterator, Sequence

OUTSIDE = "O"


def spans_of(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Each span as (its first word, the word behind its last, what it is)."""
    first, kind = 0, ""
    for at, tag in enumerate([*tags, OUTSIDE]):
        begins, own = parts_of(tag)
        if kind and (begins or own != kind):
            yield first, at, kind
            kind = ""
        if own and not kind:
            first, kind = at, own


def parts_of(tag: str) -> tuple[bool, str]:
    """Whether a tag begins a span, and what it names: B-PER, I-PER or PER; "" names nothing."""
    prefix, dash, name = tag.partition("-")
    if tag == OUTSIDE:
        return False, ""
    return (prefix == "B", name) if dash and prefix in ("B", "I") else (False, tag)


def begin_and_go_on(tags: Sequence[str]) -> bool:
    """Whether tags are those of spans: O, B-X and I-X alone."""
    return any(tag.startswith("B-") for tag in tags) and all(
        tag == OUTSIDE or tag.startswith(("B-", "I-")) for tag in tags
    )
