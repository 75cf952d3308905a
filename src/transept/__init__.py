"""Transept: the Transformer family from one set of parts.

    import transept
    model = transept.load("runs/demo")
    print(model.translate("<2de> 5 March 2026"))

The names below are loaded when they are first used, so that `import transept` alone loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transept.heads.vocabulary import Vocabulary
    from transept.hub.adapters import read_adapters, save_adapters
    from transept.hub.grouping import group_heads
    from transept.inputs.tokens import Tokens
    from transept.inspect.record import record
    from transept.models import Model, Seq2Seq
    from transept.parts.attention import Attention
    from transept.parts.block import Block
    from transept.parts.cell import Elman, Gru, Lstm
    from transept.parts.core import Fused, Reference
    from transept.parts.feedforward import FeedForward
    from transept.parts.hard import Hard
    from transept.parts.lora import drop_lora, lora, merge_lora
    from transept.parts.norm import Norm
    from transept.parts.pattern import Causal, First, Full, Pattern, Prefix, Window
    from transept.parts.pattern_text import parse_pattern
    from transept.parts.position import Learned, Sinusoid
    from transept.parts.recurrent import Recurrent
    from transept.parts.scores import Additive
    from transept.parts.stack import Stack
    from transept.spec import Part, from_json, replace, to_json
    from transept.use.loaded import Loaded, load

__version__ = "0.1.0"

__all__ = [
    "Additive",
    "Attention",
    "Block",
    "Causal",
    "Elman",
    "FeedForward",
    "First",
    "Full",
    "Fused",
    "Gru",
    "Hard",
    "Learned",
    "Loaded",
    "Lstm",
    "Model",
    "Norm",
    "Part",
    "Pattern",
    "Prefix",
    "Recurrent",
    "Reference",
    "Seq2Seq",
    "Sinusoid",
    "Stack",
    "Tokens",
    "Vocabulary",
    "Window",
    "drop_lora",
    "from_json",
    "group_heads",
    "load",
    "lora",
    "merge_lora",
    "parse_pattern",
    "read_adapters",
    "record",
    "replace",
    "save_adapters",
    "to_json",
]

_HOMES = {
    "heads.vocabulary": ("Vocabulary",),
    "hub.adapters": ("read_adapters", "save_adapters"),
    "hub.grouping": ("group_heads",),
    "use.loaded": ("Loaded", "load"),
    "inputs.tokens": ("Tokens",),
    "inspect.record": ("record",),
    "models": ("Model", "Seq2Seq"),
    "parts.attention": ("Attention",),
    "parts.block": ("Block",),
    "parts.cell": ("Elman", "Gru", "Lstm"),
    "parts.core": ("Fused", "Reference"),
    "parts.feedforward": ("FeedForward",),
    "parts.hard": ("Hard",),
    "parts.lora": ("drop_lora", "lora", "merge_lora"),
    "parts.norm": ("Norm",),
    "parts.pattern": ("Causal", "First", "Full", "Pattern", "Prefix", "Window"),
    "parts.pattern_text": ("parse_pattern",),
    "parts.position": ("Learned", "Sinusoid"),
    "parts.recurrent": ("Recurrent",),
    "parts.scores": ("Additive",),
    "parts.stack": ("Stack",),
    "spec": ("Part", "from_json", "replace", "to_json"),
}


if not TYPE_CHECKING:  # a checker knows the names from the imports above, and refuses all others

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                found: object = getattr(import_module(f"transept.{home}"), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module 'transept' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
