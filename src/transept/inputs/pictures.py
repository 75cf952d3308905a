"""What every input of pictures asks of them."""

from collections.abc import Mapping

from torch import Tensor

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.parts.position import Added


def across(size: tuple[int, int]) -> str:
    """ "224 x 160" """
    return f"{size[0]} x {size[1]}"


def spoken_grid(grid: tuple[int, int, int]) -> str:
    """ "4 x 3 squares after 1 token" """
    rows, columns, before = grid
    return f"{rows} x {columns} squares" + (f" after {before} token{'s' * (before > 1)}" if before else "")


def demand_order(position: Added | None, grid: tuple[int, int, int]) -> None:
    """InvalidConfig where a position cannot be added to the tokens of such a grid."""
    if position is None:
        return
    rows, columns, before = grid
    count, limit = rows * columns + before, position.limit()
    if position.reads_tree:
        raise InvalidConfig(f"{type(position).__name__} is a place in the tree of a sentence, and a picture has none")
    if position.grid() not in (None, grid):
        raise InvalidConfig(f"{position} is for another grid than what enters: {spoken_grid(grid)}")
    if limit is not None and limit < count:
        raise InvalidConfig(f"{position} has {limit} positions, and there are {count}: {spoken_grid(grid)}")


def refuse_more(valid: Tensor | None, positions: Tensor | None, more: Mapping[str, object]) -> None:
    """Every place of a picture is real and stands where it does: raises UsageError where something else was said."""
    if valid is not None or positions is not None or more:
        given = ["valid"] * (valid is not None) + ["positions"] * (positions is not None) + list(more)
        raise UsageError(f"{' and '.join(given)} cannot be given with pictures", remedy="Leave it out.")


def demand_channels(pictures: Tensor, channels: int) -> tuple[int, int]:
    """The height and width of pictures (B, C, H, W); InvalidData where they have other channels."""
    if pictures.dim() != 4 or pictures.size(1) != channels:
        raise InvalidData(f"pictures are (rows, {channels}, height, width) here, not {tuple(pictures.shape)}")
    return pictures.size(2), pictures.size(3)


def demand_size(pictures: Tensor, channels: int, size: tuple[int, int]) -> None:
    """InvalidData where pictures have other channels or another size than a model was made for."""
    found = demand_channels(pictures, channels)
    if found != size:
        raise InvalidData(
            f"a picture of {across(found)} pixels, and the model takes {across(size)}", remedy="Scale the picture."
        )
