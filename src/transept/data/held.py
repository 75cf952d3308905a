"""Which of the training's examples are held out to validate."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from transept.data.config_senses import Hold
from transept.data.files import is_json
from transept.errors import InvalidConfig, InvalidData, Where, nearest

Rows = NDArray[np.int64]


def parted(
    count: int,
    hold: Hold,
    where: Callable[[int], str],
    classes: Sequence[str] | None = None,
    speakers: Sequence[str] | None = None,
) -> tuple[Rows, Rows]:
    """(rows to train on, rows to validate on), each in order; both have some.

    `classes` and `speakers` say what each row is of. Raises InvalidData where a class has a single example, which
    cannot be on both sides, with its place; InvalidConfig where a speaker is unknown, or too many are held out.
    """
    if hold.last is not None:
        if hold.last >= count:
            raise InvalidConfig(
                f"{hold.last:,} are to be held out, and there are {count:,} examples in all",
                key="data.hold.last",
                remedy="Hold out fewer, or a share of them: data.hold='{share: 0.1}'.",
            )
        return np.arange(count - hold.last), np.arange(count - hold.last, count)
    if hold.speakers is not None:
        if speakers is None:
            raise InvalidConfig(
                "it names speakers, and nobody says who speaks",
                key="data.hold.speakers",
                remedy='Name a column by data.columns.speaker, or a place in names: data.names="{label}_{speaker}".',
            )
        known = sorted(set(speakers))
        for name in hold.speakers:
            if name not in known:
                raise InvalidConfig(
                    f"there is no {name!r}.{nearest(name, known)}",
                    key="data.hold.speakers",
                    remedy=f"There are: {', '.join(known[:20])}.",
                )
        held = np.array([speaker in hold.speakers for speaker in speakers])
        if held.all():
            raise InvalidConfig("it names every speaker: none is left to learn from", key="data.hold.speakers")
        return np.flatnonzero(~held), np.flatnonzero(held)
    assert hold.share is not None
    draws = np.random.default_rng(hold.seed)
    groups: dict[str, list[int]] = defaultdict(list)
    for row in range(count):
        groups[classes[row] if classes is not None else ""].append(row)
    chosen = list[int]()
    for name, rows in sorted(groups.items()):
        if len(rows) < 2:
            of = f"the class {name!r} has" if classes is not None else "there is"
            only = where(rows[0])
            named = isinstance(only, Where) and only.line == 1 and only.file is not None and not is_json(only.file)
            raise InvalidData(
                f"{of} a single example, and a share cannot be held out of one",
                where=only,
                remedy="Add another, or take it out."
                + (" Or is this the line of names? Then data.head=null." if named else ""),
            )
        most = min(max(round(hold.share * len(rows)), 1), len(rows) - 1)
        chosen += draws.permutation(rows)[:most].tolist()
    mask = np.zeros(count, bool)
    mask[chosen] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)
