"""What each layer would say, and what each part says for an output.

The logit lens reads the stream after every block as if it were the last (nostalgebraist 2020): the last norm, then the
head. Direct logit attribution takes a logit apart into what each head and each network wrote towards it (Elhage et al.
2021): with the norms' statistics held it is a sum, and the sum is the logit.

Shapes: L blocks, T tokens, D width, V vocabulary, C classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from transept.errors import UsageError
from transept.heads.head import HeadLayer
from transept.heads.vocabulary import VocabularyLayer
from transept.inspect.example import Choice, Example
from transept.inspect.streams import parts, stream
from transept.parts.entered import Entered


@torch.no_grad()
def lens(example: Example) -> Tensor:
    """The scores that the stream would have at every depth, (L + 1, T, V) or (L + 1, C): row 0 is what entered, the
    last row what the model says. Raises UsageError where the trunk is not blocks in a row.
    """
    found, head = stream(example), head_of(example)
    entered = entered_of(example)
    return torch.stack([head(found.last(state)[None], entered)[0].float() for state in found.states()])


def head_of(example: Example) -> HeadLayer:
    head = example.model.head
    assert isinstance(head, HeadLayer)
    return head


def entered_of(example: Example) -> Entered:
    """What entered the stack that the head reads."""
    entered = example.output().entered
    assert entered is not None, "a pass hands on what entered"
    return entered


@torch.no_grad()
def direct(example: Example, choice: Choice, heads: bool = True) -> Mapping[str, float]:
    """What each part of the last stack wrote towards a logit, by name; the sum of all is the logit.

    Names are those of the sublayers, `NAME:h` for a head, "entered" for what entered, `...bias` for biases, of norms
    and of the head. Of a choice against another they explain the difference of the two logits. Raises UsageError
    where the head is no matrix that scores states, as BERT's, which computes on before it.
    """
    head = head_of(example)
    if not isinstance(head, VocabularyLayer) or head.dense is not None or choice.at is None:
        raise UsageError(
            "a logit is the sum of what was written where a matrix scores states, and this head does more",
            remedy="Measure the parts instead: transept.inspect.cut.effect.",
        )
    weight = head.weight(entered_of(example))
    toward = weight[choice.index] - (0 if choice.against is None else weight[choice.against])
    toward = toward * head.spec.scale
    found = {name: float(part[choice.at] @ toward) for name, part in parts(stream(example), heads)}
    if head.bias is not None:
        bias = head.bias[choice.index] - (0 if choice.against is None else head.bias[choice.against])
        found["head.bias"] = float(bias)
    return found
