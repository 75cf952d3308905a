"""What every input of pictures asks of them."""

from collections.abc import Mapping

from torch import Tensor

from transept.errors import InvalidData, UsageError


def across(size: tuple[int, int]) -> str:
    """ "224 x 160" """
    return f"{size[0]} x {size[1]}"


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
