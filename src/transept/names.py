"""The language of weight names: one table per family, read both ways, bit for bit.

A table is a `Names` of entries. A `Rule` carries tensors; the functions `same`, `linear`, `transposed`, `flipped`,
`reshaped`, `fused` and `padded` write the common ones. The other entries say what a file may hold beside our weights:
`Tied` and `Copy` (a second name of one of ours), `Constant` (a given value) and `Drop` (nothing of ours, and why). All
are written in `renaming` and belong to this language.

Reading is strict: every weight of ours is met exactly once, every one of theirs is mapped or dropped with a reason.
Tensors on the meta device carry shapes alone, so a file's header can be checked before its data is read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from transept.errors import InvalidData, nearest
from transept.renaming import (
    Change,
    Check,
    Constant,
    Copy,
    Drop,
    Entry,
    Rule,
    Tensors,
    Tied,
    check_shape,
    flipped,
    fused,
    holds,
    linear,
    padded,
    reshaped,
    same,
    transposed,
)
from transept.templates import compiled, fill, indices

__all__ = [
    "Change",
    "Check",
    "Constant",
    "Copy",
    "Drop",
    "Entry",
    "Names",
    "Rule",
    "Tensors",
    "Tied",
    "check_shape",
    "flipped",
    "fused",
    "hinted",
    "holds",
    "linear",
    "padded",
    "reshaped",
    "same",
    "transposed",
]

SHOWN = 3  # problems of one kind that a message spells out


class Mismatch(InvalidData):
    """The weights are not those of the model: some are missing, unknown, or of more than it has."""


class Names:
    """A table of names, read with `to_ours` and written with `to_theirs`."""

    def __init__(self, *entries: Entry | Sequence[Entry]) -> None:
        self.entries = [e for given in entries for e in (given if isinstance(given, Sequence) else (given,))]
        self.rules = [entry for entry in self.entries if isinstance(entry, Rule)]

    def to_ours(
        self, theirs: Mapping[str, Tensor], wanted: Iterable[str], *, where: str | Path | None = None
    ) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Their tensors as ours, and what was dropped with its reason.

        `wanted` are the names of our model, every one of which must be met. `where` is the file for messages.
        Raises InvalidData with the key, the nearest key and the way out.
        """
        wanted, got, used = list(wanted), dict[str, Tensor](), set[str]()
        try:
            for rule in self.rules:
                for spelling in rule.spellings():
                    self._read(rule, spelling, theirs, got, used)
            self._stand_in(theirs, got)
            self._complete(theirs, wanted, got, used)
            dropped = self._beside(theirs, got)
        except InvalidData as error:
            raise error if error.where else type(error)(**error.fields(where=where)) from None
        return {name: got[name] for name in wanted}, dropped

    def _read(
        self,
        rule: Rule,
        spelling: tuple[str, ...],
        theirs: Mapping[str, Tensor],
        got: dict[str, Tensor],
        used: set[str],
    ) -> None:
        for index in indices(spelling, theirs):
            keys = [fill(template, index) for template in spelling]
            if any(key not in theirs for key in keys):
                continue  # `_complete` names what is missing
            assert used.isdisjoint(keys), f"two rules read {sorted(used.intersection(keys))}"
            used.update(keys)
            values = rule.read([theirs[key] for key in keys])
            for name, value in zip((fill(template, index) for template in rule.ours), values, strict=True):
                if name in got:
                    raise InvalidData(f"{name} is there twice, the second time as {', '.join(keys)}")
                got[name] = value

    def _stand_in(self, theirs: Mapping[str, Tensor], got: dict[str, Tensor]) -> None:
        """A file may keep a tied tensor under any of its names."""
        for entry in self.entries:
            if isinstance(entry, Tied):
                for index, key in found(entry, theirs):
                    got.setdefault(fill(entry.ours, index), theirs[key])

    def _complete(
        self, theirs: Mapping[str, Tensor], wanted: list[str], got: dict[str, Tensor], used: set[str]
    ) -> None:
        beside = {key for entry in self.entries if not isinstance(entry, Rule) for _, key in found(entry, theirs)}
        assert used.isdisjoint(beside), f"read and set aside: {sorted(used.intersection(beside))}"
        expected = set(wanted)
        unknown = [key for key in theirs if key not in used and key not in beside]
        missing = {name: self.their_name(name) for name in wanted if name not in got}
        foreign = {name: self.their_name(name) for name in got if name not in expected}
        partial = set(missing.values())
        known = [key for key in partial if key not in theirs] + sorted(used)
        problems = [
            listed("missing", [f"{key} ({name})" if key != name else name for name, key in missing.items()]),
            listed("unknown", [key for key in unknown if key not in partial], known),
            listed("beyond this model", [f"{key} ({name})" if key != name else name for name, key in foreign.items()]),
        ]
        if any(problems):
            raise Mismatch(
                "; ".join(filter(None, problems)),
                remedy="The weights and the configuration must be of one model; nothing was loaded.",
            )

    def _beside(self, theirs: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> dict[str, str]:
        """Check what stands beside our weights; the names of theirs that were dropped, with the reason."""
        dropped = {}
        for entry in self.entries:
            if isinstance(entry, Rule):
                continue
            for index, key in found(entry, theirs):
                if isinstance(entry, Drop):
                    if entry.check and not theirs[key].is_meta and (reason := entry.check(theirs[key])):
                        raise InvalidData(f"{key} cannot be dropped: {reason}")
                    dropped[key] = entry.why
                elif isinstance(entry, Constant):
                    check_shape(key, theirs[key], entry.shape)
                    if not holds(theirs[key], entry.value):
                        raise InvalidData(f"{key} is not {entry.value:g} everywhere", remedy=entry.remedy)
                elif (name := fill(entry.ours, index)) in got and not equal(theirs[key], got[name]):
                    raise InvalidData(
                        f"{key} should be {self.their_name(name)} under a second name, but its values differ",
                        remedy="The configuration says that they are one; a model with both needs them separate there.",
                    )
            if isinstance(entry, Copy) and (lost := self._uncopied(entry, theirs, got)):
                raise InvalidData(f"{lost} is missing; its values are those of {self.their_name(entry.ours)}")
        return dropped

    def _uncopied(self, entry: Copy, theirs: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> str | None:
        for index in indices([entry.ours], got):
            keys = [fill(spelling, index) for spelling in (entry.theirs, *entry.older)]
            if not any(key in theirs for key in keys):
                return keys[0]
        return None

    def to_theirs(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our tensors as theirs, the second names and constants included. `stored` leaves what a file holds."""
        out, used = dict[str, Tensor](), set[str]()
        for rule in self.rules:
            for index in indices(rule.ours, ours):
                keys = [fill(template, index) for template in rule.ours]
                if any(key not in ours for key in keys):
                    continue
                assert used.isdisjoint(keys), f"two rules write {sorted(used.intersection(keys))}"
                used.update(keys)
                names = (fill(template, index) for template in rule.theirs)
                out.update(zip(names, rule.write([ours[key] for key in keys]), strict=True))
        if lost := [name for name in ours if name not in used]:
            raise InvalidData(listed("without a name there", lost, used))
        like = next(iter(ours.values()))
        for entry in self.entries:
            if isinstance(entry, (Tied, Copy)):
                for index in indices([entry.ours], ours):
                    value = ours[fill(entry.ours, index)]
                    out[fill(entry.theirs, index)] = value if isinstance(entry, Tied) else value.clone()
            elif isinstance(entry, Constant):
                out[entry.theirs] = like.new_full(entry.shape, entry.value)
        return out

    def stored(self, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a file holds of `to_theirs`, as it names them: without what their loader ties by itself."""
        tied = [compiled(entry.theirs) for entry in self.entries if isinstance(entry, Tied)]
        kept = {key: value for key, value in theirs.items() if not any(name.fullmatch(key) for name in tied)}
        for rule in self.rules:
            for model, file in zip(rule.theirs, rule.filed, strict=False):
                for index in indices([model], theirs):
                    kept[fill(file, index)] = kept.pop(fill(model, index))
        return kept

    def their_name(self, ours: str) -> str:
        """What one of our weights is called there (the first, where it is made of several), or our name itself."""
        for rule in self.rules:
            for template in rule.ours:
                if found := compiled(template).fullmatch(ours):
                    return fill(rule.theirs[0], found.groupdict())
        return ours


def found(entry: Tied | Copy | Constant | Drop, theirs: Mapping[str, Tensor]) -> Iterator[tuple[dict[str, str], str]]:
    """The tensors of theirs that an entry speaks of, under any spelling: their indices and their names."""
    for spelling in (entry.theirs, *entry.older):
        for index in indices([spelling], theirs):
            yield index, fill(spelling, index)


def hinted(name: str, known: Iterable[str]) -> str:
    """A name with the nearest known one, where there is one."""
    return f"{name}.{near}" if (near := nearest(name, sorted(known))) else name


def listed(what: str, items: Sequence[str], known: Iterable[str] = ()) -> str:
    """ "2 tensors are missing: a, b", or nothing; what is spelt out with the nearest of the known names."""
    if not items:
        return ""
    count = "1 tensor is" if len(items) == 1 else f"{len(items)} tensors are"
    rest = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    among = list(known)
    return f"{count} {what}: {', '.join(hinted(item, among) for item in items[:SHOWN])}{rest}"


def equal(one: Tensor, other: Tensor) -> bool:
    """The same shape and the same bits; without data, the same shape."""
    if one.is_meta or other.is_meta:
        return one.shape == other.shape
    return one.dtype == other.dtype and torch.equal(one, other)
