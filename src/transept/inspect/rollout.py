"""Attention followed through all layers: rollout and flow, of an encoder, a decoder, or both (Abnar & Zuidema 2020).

Each layer's map is averaged over heads and mixed with the identity, for the residual connection beside it: A^ = 0.5
mean_h A + 0.5 I. Rollout multiplies them, R_l = A^_l R_(l-1); flow takes them for capacities of pipes and asks for
the most that can flow from a token to an input. Neither says what the values hold: see `contributions` for that.

Where a decoder reads a memory, its tokens come from two sides, and so do the columns: first the target's, then the
source's. Shapes: H heads, S tokens of the source, T of the target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from transept.errors import TranseptError, UsageError
from transept.inspect.example import Example
from transept.inspect.record import demand_shares, record
from transept.models import Seq2SeqLayer
from transept.parts.attention import AttentionLayer
from transept.parts.stack import StackLayer

RESIDUAL = 0.5
FINE = 1_000_000  # capacities are whole numbers: so many parts of one


@dataclass(frozen=True)
class Step:
    """One attention of a stack: how its tokens look at themselves, (T, T), or at the memory, (T, S), and its name."""

    weights: Tensor
    source: str = "self"
    name: str = ""


def layers(example: Example) -> dict[str, list[Step]]:
    """The attentions of each stack in the order in which they are applied, each averaged over its heads.

    Raises UsageError where a trunk is not blocks in a row: what flows through time is no map.
    """
    model = example.model
    names = ("encoder", "decoder") if isinstance(model, Seq2SeqLayer) else ("stack",)
    with record(model) as kept, torch.no_grad():
        example.output()
    found: dict[str, list[Step]] = {}
    for trunk in names:
        stack = getattr(model, trunk)
        if not isinstance(stack, StackLayer):
            raise UsageError(f"attention is followed through blocks in a row, and this {trunk} is another trunk")
        found[trunk], calls = [], dict[str, int]()
        for at in stack.order:
            block = stack.block(stack.order.index(at))
            for role in block.roles:
                layer, name = block.get_submodule(role), f"{trunk}.blocks.{at}.{role}"
                if isinstance(layer, AttentionLayer):
                    demand_shares(name, layer)
                    call = calls[name] = calls.get(name, -1) + 1
                    begins = [*kept.begins(name), kept.shape(name)[2]]
                    own = kept[name][0, :, begins[call] : begins[call + 1]]
                    found[trunk].append(Step(own.float().mean(0).cpu(), layer.spec.source, name))
    return found


def rollout(example: Example, residual: float = RESIDUAL) -> dict[str, list[Tensor]]:
    """R after each attention of each stack, rows summing to 1: (S, S) of one stack or an encoder, (T, T + S) of a
    decoder.

    `residual` is the share of the identity. Where a row sees nothing it keeps itself. The last of a list is the whole.
    """
    return rolled(layers(example), residual)


def rolled(steps: Mapping[str, Sequence[Step]], residual: float = RESIDUAL) -> dict[str, list[Tensor]]:
    """`rollout`, of the maps alone."""
    found: dict[str, list[Tensor]] = {}
    for trunk, given in steps.items():
        if not given:
            raise UsageError(f"the {trunk} has no attention to follow")
        size = given[0].weights.size(0)
        memory = found["encoder"][-1] if trunk == "decoder" and found.get("encoder") else None
        across = 0 if memory is None else memory.size(1)
        now, found[trunk] = torch.eye(size, size + across), []
        for step in given:
            weights = step.weights.float()
            seen = weights.sum(-1, keepdim=True)
            if step.source == "memory":
                assert memory is not None, "a decoder with an encoder"
                other = torch.cat([torch.zeros(size, size), weights @ memory], 1)
            else:
                other = weights @ now
            kept = 1 - (1 - residual) * seen
            now = kept * now + (1 - residual) * other
            found[trunk].append(now)
    return found


def flow(example: Example, tokens: Sequence[int] | None = None, residual: float = RESIDUAL) -> Tensor:
    """The maximum flow from each token of the last layer to each input of the first, for one stack or an encoder.

    Rows are the `tokens` that are asked for (None: all), columns the inputs: (N, S). Scaled so that a row sums to 1.
    Costs a maximum flow for each pair: milliseconds for a sentence. Needs scipy.
    """
    steps = layers(example)
    return flowed(steps.get("encoder") or steps["stack"], tokens, residual)


def flowed(steps: Sequence[Step], tokens: Sequence[int] | None = None, residual: float = RESIDUAL) -> Tensor:
    """`flow`, of the maps of a stack alone."""
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_flow
    except ImportError:
        raise TranseptError(
            "the maximum flow is computed by scipy", remedy="Install it: pip install 'transept[explain]'"
        ) from None
    size, depth = steps[0].weights.size(0), len(steps)
    edges: list[tuple[int, int, int]] = []
    for at, step in enumerate(steps):  # layer 0 are the inputs; flow goes from above to below
        mixed = (1 - residual) * step.weights + residual * torch.eye(size)
        whole = (mixed * FINE).round().long()
        for i, j in whole.nonzero().tolist():
            edges.append(((at + 1) * size + i, at * size + j, int(whole[i, j])))
    rows, columns, capacity = (torch.tensor(side, dtype=torch.int32).numpy() for side in zip(*edges, strict=True))
    graph = csr_array((capacity, (rows, columns)), shape=((depth + 1) * size,) * 2)
    wanted = range(size) if tokens is None else tokens
    found = torch.tensor(
        [[maximum_flow(graph, depth * size + i, j).flow_value for j in range(size)] for i in wanted],
        dtype=torch.float64,
    )
    return (found / found.sum(-1, keepdim=True).clamp(min=1)).float()
