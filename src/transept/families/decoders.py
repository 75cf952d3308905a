"""What the families of decoders share: heads by a word, blocks with a window, what old files hold beside weights."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from transept.families.configuration import Keys
from transept.families.hugging_face import architecture_of, label_words
from transept.heads.classes import Classes, Spans, States, Tags
from transept.heads.head import Head
from transept.heads.vocabulary import Vocabulary
from transept.models import Model
from transept.names import Drop, Entry, Tied, linear, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.pattern import Both, Causal, Pattern, Window
from transept.parts.planner import Auto
from transept.parts.stack import Stack
from transept.spec import edit, replace

Heading = Literal["vocabulary", "states", "classes", "tags", "spans"]
Layer = Literal["dense", "banded"]
DROPOUT = 0.1  # before the scores of tags, where a configuration does not speak of it
DEEPEST = 10_000  # layers that may have kinds of their own; more are no model, and would fill the memory


# ------------------------------------------------------------------ what they are made of


def head_of(word: Heading, vocab: int, embeddings: Literal["tied", "separate"], labels: int, dropout: float) -> Head:
    """The head of a word. Classes are told by the last token, which alone has seen the whole text."""
    made: dict[Heading, Head] = {
        "vocabulary": Vocabulary(vocab, embeddings == "tied"),
        "states": States(),
        "classes": Classes(labels, "last", bias=False),
        "tags": Tags(labels, dropout),
        "spans": Spans(),
    }
    return made[word]


def banded(block: Block, window: int) -> Block:
    """The block with a band: a token sees itself and the `window` - 1 before it, and no score beyond is computed."""
    band = Causal() & Window(window - 1)
    return edit(block, lambda part: replace(part, pattern=band, core=Auto()) if isinstance(part, Attention) else part)


def window_of(pattern: Pattern) -> int | None:
    """How many tokens a banded pattern lets a token see, itself among them; None where it is no band."""
    if isinstance(pattern, Both) and pattern.left == Causal() and isinstance(pattern.right, Window):
        return pattern.right.reach + 1
    return None


def windows(stack: Stack) -> list[int | None]:
    """The window of each layer of a stack, None where it has none; of one cycle alone where the cycle is repeated."""
    found = []
    for block in stack.cycle()[: stack.depth]:
        attentions = [part for part in block.parts if isinstance(part, Attention)]
        found.append(window_of(attentions[0].pattern) if attentions else None)
    return found


def shortest(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The shortest cycle whose repetition gives the kinds of all layers."""
    count = next(n for n in range(1, len(layers) + 1) if all(a == b for a, b in zip(layers, layers[n:], strict=False)))
    return tuple(layers[:count])


# ------------------------------------------------------------------ Hugging Face: the configuration


def head_words(keys: Keys, word: Heading, embeddings: Literal["tied", "separate"]) -> dict[str, Any]:
    """The words of `declare` for a head; `embeddings` is what a configuration means that does not speak of tying."""
    tied = keys.truth("tie_word_embeddings", embeddings == "tied")
    words: dict[str, Any] = {"head": word, "labels": keys.labels(), "embeddings": "tied" if tied else "separate"}
    if word == "tags":
        words["head_dropout"] = DROPOUT if keys.absent("classifier_dropout") else keys.share("classifier_dropout", 0.0)
    return words


def head_config(model: Model, heads: Mapping[str, Heading], tied: bool, name: str) -> dict[str, Any]:
    """What a configuration says of a model's head: its architecture, among `heads`, and its keys.

    `tied` is what a model without scores of a vocabulary says. Raises InvalidConfig where no architecture has it.
    """
    head = model.head
    config: dict[str, Any] = {"architectures": [architecture_of(model, name, heads)]}
    config["tie_word_embeddings"] = head.tied if isinstance(head, Vocabulary) else tied
    if isinstance(head, Classes | Tags):
        config |= label_words(head.count)
    if isinstance(head, Tags) and head.dropout != DROPOUT:
        config["classifier_dropout"] = head.dropout
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def bases(head: Head, base: str) -> tuple[str, str]:
    """What stands before the names of the stack, and what stands there in other files: a bare model has nothing."""
    return ("", base) if isinstance(head, States) else (base, "")


def head_names(head: Head) -> list[Entry]:
    """Our weights of a head and theirs."""
    table = "embed.table.weight"
    if isinstance(head, Vocabulary):
        return [Tied(table, "lm_head.weight") if head.tied else same("head.score.weight", "lm_head.weight")]
    if isinstance(head, Classes):
        return [same("head.score.weight", "score.weight")]
    if isinstance(head, Tags | Spans):
        return list(linear("head.score", "classifier" if isinstance(head, Tags) else "qa_outputs"))
    return []


def masks(attention: str, patterns: Iterable[Pattern]) -> list[Entry]:
    """What older files hold of masking, under the name of an attention: who may see whom, and the score of who not."""
    known = tuple(dict.fromkeys(patterns))

    def check(mask: Tensor) -> str | None:
        size = mask.size(-1) if mask.dim() else 0
        if mask.numel() != size * size:
            return f"a mask has as many rows as columns, not the shape {tuple(mask.shape)}"
        at, seen = torch.arange(size), mask.reshape(size, size) != 0
        if any(torch.equal(seen, pattern.allows(at[:, None], at)) for pattern in known):
            return None
        return f"it is not the mask of {' or of '.join(map(str, known))}"

    return [
        Drop(f"{attention}.bias", "who may see whom, computed here", check),
        Drop(f"{attention}.masked_bias", "the score of what may not be seen, for which nothing is computed here", low),
    ]


def low(score: Tensor) -> str | None:
    """Why a score does not hide what has it; None where it does."""
    return None if bool((score <= -1e4).all()) else f"a score of {float(score.max()):g} hides nothing"


def counted(positions: Tensor) -> str | None:
    """Why positions are not 0, 1, 2 ...; None where they are."""
    found = positions.flatten()
    return None if torch.equal(found.long(), torch.arange(len(found))) else "the positions are not 0, 1, 2 ..."
