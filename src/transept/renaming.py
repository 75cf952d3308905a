"""What a table of weight names is made of: rules that carry tensors both ways, and what a file holds beside them.

Templates hold indices in braces: `"model.encoder.layers.{i}.fc1"`. All the templates of one entry name the same
indices.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transept.errors import InvalidData
from transept.templates import fields

Tensors = Sequence[Tensor]
Change = Callable[[Tensors], list[Tensor]]
Check = Callable[[Tensor], str | None]


@dataclass(frozen=True)
class Rule:
    """Tensors of ours and the tensors of theirs that hold the same bits.

    `read` makes ours of theirs, `write` is its exact inverse. `older` are earlier spellings of all of `theirs` that
    are read and never written. `filed` are those under which their files keep them, where that is not as in their
    models: Hugging Face renames some when it loads and when it saves.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    read: Change = list
    write: Change = list
    older: tuple[tuple[str, ...], ...] = ()
    filed: tuple[str, ...] = ()

    def spellings(self) -> tuple[tuple[str, ...], ...]:
        """All under which they are read."""
        return (self.theirs, *((self.filed,) if self.filed else ()), *self.older)

    def __post_init__(self) -> None:
        spellings = self.spellings()
        assert all(len(other) == len(self.theirs) for other in spellings), "an older spelling names all of theirs"
        kinds = {fields(template) for group in (self.ours, *spellings) for template in group}
        assert len(kinds) == 1, f"one rule, different indices: {self.ours} and {spellings}"


@dataclass(frozen=True)
class Tied:
    """A second name of our tensor that their loader ties by itself.

    On import it is equal or absent, or stands in for the first name where a file has only this one; on export it is
    written, and `Names.stored` leaves it out.
    """

    ours: str
    theirs: str
    older: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copy:
    """A second tensor that must equal ours: their loader does not tie it, so a file holds it once more."""

    ours: str
    theirs: str
    older: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constant:
    """A tensor of theirs that has one value everywhere because we have no weight there; absent or exact on import."""

    theirs: str
    shape: tuple[int, ...]
    value: float
    remedy: str
    older: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drop:
    """A tensor of theirs that says nothing new. `check` gives the reason why a value cannot be dropped, or None."""

    theirs: str
    why: str
    check: Check | None = None
    older: tuple[str, ...] = ()


Entry = Rule | Tied | Copy | Constant | Drop


# ------------------------------------------------------------------ the common rules


def same(ours: str, theirs: str, *older: str) -> Rule:
    """The same tensor under two names."""
    return Rule((ours,), (theirs,), older=tuple((name,) for name in older))


def linear(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """The weight and the bias of one layer."""
    return same(f"{ours}.weight", f"{theirs}.weight"), same(f"{ours}.bias", f"{theirs}.bias")


def transposed(ours: str, theirs: str) -> Rule:
    """A matrix that they keep the other way up, (in, out)."""

    def turn(tensors: Tensors) -> list[Tensor]:
        return [tensors[0].t().contiguous()]

    return Rule((ours,), (theirs,), turn, turn)


def reshaped(ours: str, theirs: str, our_shape: tuple[int, ...], their_shape: tuple[int, ...]) -> Rule:
    """The same values in the same order under another shape."""

    def read(tensors: Tensors) -> list[Tensor]:
        check_shape(theirs, tensors[0], their_shape)
        return [tensors[0].reshape(our_shape)]

    def write(tensors: Tensors) -> list[Tensor]:
        return [tensors[0].reshape(their_shape)]

    return Rule((ours,), (theirs,), read, write)


def fused(ours: Sequence[str], theirs: str, *, turned: bool = False) -> Rule:
    """Several of ours, equally high, stacked in one of theirs; `turned` where theirs is also transposed."""

    def read(tensors: Tensors) -> list[Tensor]:
        whole = tensors[0].t() if turned else tensors[0]
        if whole.size(0) % len(ours):
            raise InvalidData(f"{theirs} has {whole.size(0)} rows, which {len(ours)} weights cannot share equally")
        return [piece.clone(memory_format=torch.contiguous_format) for piece in whole.chunk(len(ours))]

    def write(tensors: Tensors) -> list[Tensor]:
        whole = torch.cat(list(tensors))
        return [whole.t().contiguous() if turned else whole]

    return Rule(tuple(ours), (theirs,), read, write)


def flipped(ours: str, theirs: str) -> Rule:
    """A table whose rows they have in the other order."""

    def turn(tensors: Tensors) -> list[Tensor]:
        return [tensors[0].flip(0)]

    return Rule((ours,), (theirs,), turn, turn)


def padded(ours: str, theirs: str, rows: int, their_rows: int, value: float = 0.0) -> Rule:
    """A table of theirs with rows after ours; those rows hold `value`, or cannot be read."""

    def read(tensors: Tensors) -> list[Tensor]:
        table = tensors[0]
        check_shape(theirs, table, (their_rows, *table.shape[1:]))
        if not holds(table[rows:], value):
            raise InvalidData(
                f"{theirs} has {their_rows - rows} rows beyond row {rows} that are not {value:g}",
                remedy=f"Read it with a vocabulary of {their_rows}, so that no row is lost.",
            )
        return [table[:rows].clone()]

    def write(tensors: Tensors) -> list[Tensor]:
        table = tensors[0]
        return [torch.cat([table, table.new_full((their_rows - rows, *table.shape[1:]), value)])]

    return Rule((ours,), (theirs,), read, write)


def holds(tensor: Tensor, value: float) -> bool:
    """Every element is `value`; a tensor without data cannot say otherwise."""
    return tensor.is_meta or bool((tensor == value).all())


def check_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a tensor of theirs that has another shape than the table expects."""
    if tuple(tensor.shape) != shape:
        raise InvalidData(f"{name} has the shape {tuple(tensor.shape)}, expected {shape}")
