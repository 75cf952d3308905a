"""The Transformer of "Attention Is All You Need" (Vaswani et al. 2017), and its shape at Hugging Face, Marian."""

from typing import Any, Literal

from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Xavier
from transept.parts.norm import Norm
from transept.parts.pattern import Causal
from transept.parts.position import Sinusoid
from transept.parts.stack import Stack
from transept.spec import replace

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"width": 128, "hidden": 256, "heads": 4, "depth": 4, "dropout": 0.3},  # Wu et al. 2021
    "iwslt": {"width": 512, "hidden": 1024, "heads": 4, "depth": 6, "dropout": 0.3},  # fairseq, IWSLT14
    "base": {"width": 512, "hidden": 2048, "heads": 8, "depth": 6, "dropout": 0.1},  # table 3
    "big": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 6, "dropout": 0.3},  # table 3
}


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    decoder_depth: int | None = None,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation_dropout: float = 0.0,
    activation: Activation = "relu",
    norm: Literal["after", "before"] = "after",
    embeddings: Literal["tied", "separate"] = "tied",
    order: Literal["halves", "interleaved"] = "halves",
    bias: bool = True,
    head_bias: bool = False,
    kv_heads: int | None = None,
    initial: Initial = Xavier(gain=0.5**0.5),
) -> Seq2Seq:
    """The description. `norm` "after" is the paper's; "before" is what tensor2tensor came to, with one more norm at each end.

    `embeddings` "tied" has one matrix for source, target and output (section 3.4); "separate" has three. `order` "halves"
    is Marian's, equal to the paper's "interleaved" up to a fixed permutation of features, and the one that Hugging Face
    reads. `bias` False has no biases in the attention's projections, as the paper's own code.
    """
    attend = Attention(heads, kv_heads=kv_heads, bias=bias, dropout=attention_dropout)
    feed = FeedForward(hidden, activation, dropout=activation_dropout)
    encoder = Block((attend, feed), place=norm, dropout=dropout)
    decoder = replace(encoder, parts=(replace(attend, pattern=Causal()), replace(attend, source="memory"), feed))
    embed = Tokens(vocab, Sinusoid(order), scale=width**0.5, dropout=dropout)
    last = Norm() if norm == "before" else None
    tied = embeddings == "tied"
    return Seq2Seq(
        width,
        embed,
        Stack(encoder, depth, last),
        Stack(decoder, decoder_depth or depth, last),
        Vocabulary(vocab, tied=tied, bias=head_bias),
        source=None if tied else embed,
        initial=initial,
    )
