"""Maps, curves and scores as pictures: PNG or SVG, as the file's name says.

matplotlib draws, which takes a second to load: so it is loaded here alone, and only when a figure is made.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from transept.durable import replace_file
from transept.errors import UsageError

KINDS = ("png", "svg", "pdf")
LEGIBLE = 80  # names on a side, beyond which they would lie over one another


def demand_kind(file: Path) -> str:
    """The kind of a figure by its file's name. Raises UsageError, before anything is computed for it."""
    kind = file.suffix.removeprefix(".").lower()
    if kind not in KINDS:
        raise UsageError(f"a figure is one of {', '.join(KINDS)}, by the name of its file", where=file)
    return kind


def heat(
    file: Path,
    values: Tensor,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    sides: str = "rows,columns",
) -> None:
    """A map (S, T) with its words: dark is much. `sides` names what the rows and the columns are."""
    kind, (down, across) = demand_kind(file), sides.split(",")
    aside = [0.09 * max(map(len, names), default=0) for names in (rows, columns)]  # what the names themselves take
    width, height = (
        min(24.0, 1.8 + 0.28 * len(names) + room) for names, room in zip((columns, rows), aside, strict=True)
    )
    figure = _figure(width, height)
    axes = figure.subplots()
    signed = bool((values < 0).any())
    most = float(values.abs().max()) or 1.0
    axes.imshow(
        values.detach().float().cpu().numpy(),
        cmap="RdBu_r" if signed else "Blues",
        vmin=-most if signed else 0.0,
        vmax=most,
        interpolation="nearest",
        aspect="auto",
    )
    for axis, names in ((axes.xaxis, columns), (axes.yaxis, rows)):
        if len(names) <= LEGIBLE:
            axis.set_ticks(range(len(names)), [plain(name) for name in names])
    axes.tick_params(axis="x", labelrotation=90, labelsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylabel(down, fontsize=8)
    axes.set_xlabel(across, fontsize=8)
    axes.set_title(title, fontsize=9)
    _write(figure, file, kind)


def curves(
    file: Path, lines: Mapping[str, Sequence[float]], *, title: str = "", x: str = "layer", y: str = "accuracy"
) -> None:
    """Numbers by layer, a line for each name; the first layer is 0."""
    kind, figure = demand_kind(file), _figure(6.0, 4.0)
    axes = figure.subplots()
    for name, values in lines.items():
        axes.plot(range(len(values)), list(values), marker="o", markersize=3, label=plain(name))
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=8)
    _write(figure, file, kind)


def bars(
    file: Path, names: Sequence[str], values: Mapping[str, Sequence[float]], *, title: str = "", x: str = "accuracy"
) -> None:
    """Numbers by name, lying, those of each kind beside each other; the first name is on top."""
    kind, figure = demand_kind(file), _figure(7.0, min(24.0, 1.2 + 0.3 * len(names)))
    axes, high = figure.subplots(), 0.8 / len(values)
    for at, (label, numbers) in enumerate(values.items()):
        axes.barh([place + high * (at + 0.5) - 0.4 for place in range(len(names))], numbers, high, label=plain(label))
    axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(x, fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=8)
    _write(figure, file, kind)


def plain(name: str) -> str:
    """A word as it is drawn: a dollar sign would begin a formula."""
    return name.replace("$", r"\$")


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def _write(figure: Any, file: Path, kind: str) -> None:
    import warnings

    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a script that the font does not have
        figure.savefig(drawn, format=kind, metadata={"Date": None} if kind == "svg" else None)
    replace_file(file, drawn.getvalue())
