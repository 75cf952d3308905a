"""How far apart the vectors of two words stand, layer by layer: what a context makes of a word.

    one, other = loaded.explain("they play a game"), loaded.explain("the game of thrones")
    found = drift(one, one.source.words, other, other.source.words)  # (L + 1, I, J)

The same word enters two texts as nearly the same vector, and each layer mixes in what stands around it (Ethayarajh
2019, "How contextual are contextualized word representations?"). A word of several pieces has their mean.

Shapes: L blocks, T tokens, D width; I words of the one text, J of the other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from transept.errors import UsageError
from transept.inspect.example import Example
from transept.inspect.streams import stream
from transept.inspect.words import Word, pooled


@torch.no_grad()
def depths(example: Example, trunk: str | None = None) -> Tensor:
    """The vector of every token as it enters a stack and after each of its blocks, (L + 1, T, D) float32.

    `trunk` is "encoder", "decoder" or "stack", None the last one. UsageError where it is not blocks in a row.
    """
    return torch.stack(stream(example, trunk).states()).float().cpu()


def cosines(one: Tensor, words: Sequence[Word], other: Tensor, others: Sequence[Word]) -> Tensor:
    """The cosine of each word's vector with each word's of another text at every depth, (L + 1, I, J).

    `one` and `other` are what `depths` gives, of one model: vectors of two models stand in no common space.
    """
    if (one.size(0), one.size(2)) != (other.size(0), other.size(2)):
        raise UsageError(
            f"{one.size(0) - 1} layers of width {one.size(2)} against {other.size(0) - 1} of width {other.size(2)}",
            remedy="Compare texts of one model.",
        )
    sides = [torch.nn.functional.normalize(pooled(*side), dim=-1) for side in ((one, words), (other, others))]
    return (sides[0] @ sides[1].mT).clamp(-1, 1)


def drift(
    one: Example, words: Sequence[Word], other: Example, others: Sequence[Word], trunk: str | None = None
) -> Tensor:
    """The cosines of two texts' words at every depth, (L + 1, I, J). See `depths` and `cosines`."""
    return cosines(depths(one, trunk), words, depths(other, trunk), others)
