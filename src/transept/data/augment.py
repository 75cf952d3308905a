"""How pictures are changed while a model trains: all of a batch at once, by numbers from one generator.

Shapes: B pictures, C channels, H and W their height and width. Values are 0 to 255 until they are normed.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from transept.data.config_senses import Augment

Draws = np.random.Generator
GREY = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)
SMOOTH = ((1.0, 1.0, 1.0), (1.0, 5.0, 1.0), (1.0, 1.0, 1.0))  # Pillow's, which sharpening goes away from
ERASED = (0.02, 1 / 3)  # the share of a picture that is erased, and
LONGEST = 1 / 0.3  # how much longer than wide that may be (Zhong et al. 2020, section 5)


def augmented(x: Tensor, how: Augment, draws: Draws) -> Tensor:
    """Pictures (B, C, H, W) of 0 to 255, changed as asked but for what is erased and mixed."""
    for _ in range(how.operations):
        x = one_operation(x, how, draws)
    if how.crop:
        x = cropped(x, how.crop, draws)
    if how.flip == "horizontal":
        flipped = torch.from_numpy(draws.random(len(x)) < 0.5)
        x = torch.where(flipped[:, None, None, None], x.flip(3), x)
    return x


def cropped(x: Tensor, around: int, draws: Draws) -> Tensor:
    """Each moved by up to `around` pixels either way; zeros come in from beyond the edge."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (around,) * 4)
    down, right = (torch.from_numpy(draws.integers(0, 2 * around + 1, len(x))) for _ in range(2))
    rows = (down[:, None] + torch.arange(height))[:, :, None]
    columns = (right[:, None] + torch.arange(width))[:, None, :]
    return padded[torch.arange(len(x))[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def erased(x: Tensor, share: float, draws: Draws) -> Tensor:
    """A rectangle of noise N(0, 1) in some of the normed pictures (Zhong et al. 2020, algorithm 1)."""
    height, width = x.shape[-2:]
    x = x.clone()
    for i in np.flatnonzero(draws.random(len(x)) < share).tolist():
        area = draws.uniform(*ERASED) * height * width
        form = math.exp(draws.uniform(-math.log(LONGEST), math.log(LONGEST)))
        tall, wide = min(round(math.sqrt(area * form)), height), min(round(math.sqrt(area / form)), width)
        top, left = int(draws.integers(0, height - tall + 1)), int(draws.integers(0, width - wide + 1))
        noise = draws.standard_normal((x.size(1), tall, wide), np.float32)
        x[i, :, top : top + tall, left : left + wide] = torch.from_numpy(noise)
    return x


def mixed(x: Tensor, targets: Tensor, alpha: float, draws: Draws) -> tuple[Tensor, Tensor]:
    """m x + (1 - m) x', and the same of the targets (B, C), x' being the batch in another order, m ~ Beta(alpha, alpha)
    (Zhang et al. 2018)."""
    share = float(draws.beta(alpha, alpha))
    other = torch.from_numpy(draws.permutation(len(x)))
    return share * x + (1 - share) * x[other], share * targets + (1 - share) * targets[other]


# ------------------------------------------------------------------ RandAugment


def one_operation(x: Tensor, how: Augment, draws: Draws) -> Tensor:
    """One operation on each picture, drawn among all. Its strength goes up to what the magnitude says, either way."""
    kinds = GEOMETRY if how.among == "geometry" else (*GEOMETRY, *COLOURS)
    which, strong = draws.integers(0, len(kinds), len(x)), how.magnitude / 10
    amounts = torch.from_numpy(draws.choice([-strong, strong], len(x)).astype(np.float32))
    across = torch.from_numpy(draws.random(len(x)) < 0.5)  # along the rows, or along the columns
    bent = np.flatnonzero(which < len(GEOMETRY))
    x = x.clone()
    if len(bent):
        rows = torch.from_numpy(bent)
        matrices = [GEOMETRY[which[i]](float(amounts[i]), bool(across[i])) for i in bent]
        x[rows] = moved(x[rows], torch.tensor(matrices, dtype=torch.float32))
    for number, change in enumerate(kinds[len(GEOMETRY) :], len(GEOMETRY)):
        rows = torch.from_numpy(np.flatnonzero(which == number))
        if len(rows):
            x[rows] = change(x[rows], amounts[rows][:, None, None, None])  # type: ignore[operator]
    return x


def moved(x: Tensor, matrices: Tensor) -> Tensor:
    """Pictures under affine maps (B, 2, 3) from places of the result to those of the source, between -1 and 1."""
    grid = F.affine_grid(matrices, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


Matrix = list[list[float]]


def turn(amount: float, across: bool) -> Matrix:
    """By up to 30 degrees."""
    angle = amount * math.pi / 6
    return [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]]


def shear(amount: float, across: bool) -> Matrix:
    """By up to 0.3."""
    along, down = (0.3 * amount, 0.0) if across else (0.0, 0.3 * amount)
    return [[1.0, along, 0.0], [down, 1.0, 0.0]]


def move(amount: float, across: bool) -> Matrix:
    """By up to three tenths of the picture."""
    along, down = (0.6 * amount, 0.0) if across else (0.0, 0.6 * amount)
    return [[1.0, 0.0, along], [0.0, 1.0, down]]


def brighten(x: Tensor, amount: Tensor) -> Tensor:
    return (x * (1 + 0.9 * amount)).clamp(0, 255)


def contrast(x: Tensor, amount: Tensor) -> Tensor:
    """Away from, or towards, the mean brightness of the picture."""
    weights = torch.tensor(GREY if x.size(1) == 3 else [1 / x.size(1)] * x.size(1))
    mean = (x * weights[:, None, None]).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    return (mean + (x - mean) * (1 + 0.9 * amount)).clamp(0, 255)


def sharpen(x: Tensor, amount: Tensor) -> Tensor:
    kernel = (torch.tensor(SMOOTH) / 13).expand(x.size(1), 1, 3, 3)
    smooth = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.size(1))
    return (smooth + (x - smooth) * (1 + 0.9 * amount)).clamp(0, 255)


def posterise(x: Tensor, amount: Tensor) -> Tensor:
    """To 8 bits, or to as few as 4."""
    step = 2 ** (4 * amount.abs()).round()
    return (x / step).floor() * step


def solarise(x: Tensor, amount: Tensor) -> Tensor:
    """What is brighter than a threshold is turned over."""
    return torch.where(x >= 256 * (1 - amount.abs()), 255 - x, x)


GEOMETRY: tuple[Callable[[float, bool], Matrix], ...] = (turn, shear, move)
COLOURS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brighten, contrast, sharpen, posterise, solarise)
