"""Where tokens stand in the dependency trees of their sentences (Wang et al. 2019).

Shapes: a tree (B, S, 3), int64. A token's three numbers are the depth of its word, 0 at a root, and the interval
[first, end) of places that the word and all below it have where a tree is counted from the top, each word before what
hangs from it. One word is above another where its interval holds the other's first place: no (S, S) tensor of paths is
ever kept. All tokens of a word have the word's numbers. What is of no word, as the mark at the end of a text, stands
at depth 0 with an interval that holds all: at the root. `data.trees` makes them.
"""

from torch import Tensor

from transept.errors import UsageError


def depth(tree: Tensor) -> Tensor:
    """How many arcs lie between each token's word and its root: the absolute structural position. (B, S)"""
    return tree[..., 0]


def apart(q: Tensor, k: Tensor, at_q: Tensor, at_k: Tensor) -> Tensor:
    """The relative structural position of each pair, (B, S, T), from their trees and their positions in the text.

    On one path from a root it is the query's depth less the key's; else the sum of both, below 0 where the query stands
    first in the text. So it changes its sign where query and key change places, and is 0 inside a word.
    """
    q, k = q[:, :, None], k[:, None]
    over = (q[..., 1] <= k[..., 1]) & (k[..., 1] < q[..., 2])
    under = (k[..., 1] <= q[..., 1]) & (q[..., 1] < k[..., 2])
    side = (at_q[:, :, None] - at_k[:, None]).sign()
    return (q[..., 0] - k[..., 0]).where(over | under, side * (q[..., 0] + k[..., 0]))


def demand_tree(tree: Tensor | None) -> Tensor:
    """The tree that a pass was given. Raises UsageError where it was given none."""
    if tree is None:
        raise UsageError(
            "the positions of this model are places in a tree, and no tree was given",
            remedy="A treebank has them: transept eval MODEL --data FILE.conllu. In Python: "
            "model(ids, valid, tree=tree); transept.data.trees makes one of CoNLL-U.",
        )
    return tree
