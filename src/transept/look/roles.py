"""What an attention is in its model."""

from typing import Literal

from transept.models import ModelLayer, Seq2SeqLayer
from transept.parts.attention import AttentionLayer
from transept.topology import Built

Role = Literal["encoder", "decoder", "cross"]


def role_of(name: str, layer: AttentionLayer, model: Built) -> Role:
    """What an attention is in its model: of an encoder to itself, of a decoder to itself, or of one to the other."""
    if layer.spec.source == "memory":
        return "cross"
    if isinstance(model, Seq2SeqLayer):
        return "encoder" if name.startswith("encoder.") else "decoder"
    assert isinstance(model, ModelLayer)
    return "decoder" if model.spec.stack.causal else "encoder"
