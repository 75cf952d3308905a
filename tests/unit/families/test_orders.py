"""The word `positions` of every family: what a text says, where it goes, and what is refused, with the nearest word."""

import re

import pytest
import torch

from transept.errors import InvalidConfig, InvalidData
from transept.families import bart, bert, gpt2, llama, t5, transformer, vit, wav2vec2
from transept.families.declared import declared
from transept.families.orders import WORDS, Term, read
from transept.inputs.patches import Patches
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.position import Learned, Sinusoid
from transept.parts.relative import RelativeKeys, Several
from transept.parts.rotary import Rebased, Rotary, Yarn
from transept.parts.scored import Alibi, Buckets
from transept.parts.stack import Stack
from transept.spec import from_json, to_json


def own(stack: Stack) -> object:
    """What the attentions of a stack to itself have."""
    found = {attention.position for attention in stack.attentions() if attention.source == "self"}
    assert len(found) == 1
    return found.pop()


def test_a_text_is_read() -> None:
    assert read("rotary", "rotary") == [Term("rotary")]
    assert read(" sinusoid + relative( 16 ) ", "sinusoid") == [Term("sinusoid"), Term("relative", (("reach", 16),))]
    assert read("buckets(8, far=16)", "learned") == [Term("buckets", (("count", 8), ("far", 16)))]
    assert read("none", "learned") == []
    assert str(Term("rotary", (("base", 5.0),))) == "rotary(base=5.0)"


FAULTS = [
    ("rotery", "there is no 'rotery'. Did you mean 'rotary'?", "There are: none, learned, sinusoid, "),
    ("relative(16", "'relative(16' cannot be read", "An order is a word such as"),
    ("relative - alibi", "cannot be read at 'relative - alibi'", "several are joined by +"),
    ("relative(x)", "'x' is no number", "An order is a word"),
    ("relative(1, 2)", "has other numbers than relative(reach)", ""),
    ("relative(far=2)", "has other numbers than relative(reach)", ""),
    ("relative(2, reach=2)", "has other numbers than relative(reach)", ""),
    ("buckets(2, count=2)", "gives count twice", ""),
    ("alibi(3)", "has other numbers than alibi", ""),
    ("none + alibi", "says none beside another order", "Leave one of them out."),
    ("relative(0)", "RelativeKeys.reach must be at least 1, not 0", ""),
    ("relative(1.5)", "RelativeKeys.reach must be a whole number", ""),
    ("alibi + alibi", "says an order twice", ""),
    ("alibi + buckets", "one order alone can be scored on pairs, not alibi and buckets", ""),
    ("sinusoid + learned(9)", "one order alone can be added to what enters, not sinusoid and learned", ""),
    ("rotary + rotary_ntk", "one order alone can be turning queries and keys", ""),
    ("rotary + relative", "rotary and relative cannot both be an attention's own order", ""),
    ("learned + sinusoid", "sinusoid is added to what enters, and another order is already", ""),
    ("grid", "grid tells rows and columns of a picture, and Tokens has none", "grid(height, width, start)"),
    ("grid(4)", "grid needs the height and the width", ""),
]


@pytest.mark.parametrize(("text", "reason", "remedy"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_what_is_wrong_is_told(text: str, reason: str, remedy: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(reason)) as caught:
        bert.declare(**bert.TOY, positions=text)
    assert remedy in (caught.value.remedy or "")


def test_each_order_goes_to_its_place() -> None:
    spec = transformer.declare(**transformer.TOY, positions="learned(40) + buckets(8, 20) + relative_both(3)")
    assert isinstance(spec.embed, Tokens) and spec.embed.position == Learned(40)
    assert spec.encoder_blocks.position == Buckets(4, 8, 20)
    assert spec.decoder_blocks.position == Buckets(4, 8, 20, sees="past")
    assert own(spec.encoder_blocks) == own(spec.decoder_blocks) == RelativeKeys(3, "both")
    assert all(part.position is None for part in spec.decoder_blocks.attentions() if part.source == "memory")
    assert from_json(to_json(spec)) == spec


def test_the_papers_words() -> None:
    shaw = transformer.declare(**transformer.TOY, positions="relative(16)")
    assert shaw.embed.position is None and own(shaw.encoder_blocks) == RelativeKeys(16, values="relative")
    wang = transformer.declare(**transformer.TOY, positions="sinusoid + relative(16) + tree(16)")
    along = RelativeKeys(16, values="relative", along="tree")
    assert own(wang.encoder_blocks) == Several((RelativeKeys(16, values="relative"), along))
    assert own(wang.decoder_blocks) == RelativeKeys(16, values="relative")
    assert wang.source is None  # both sides read the same sinusoids
    yarn = gpt2.declare(**gpt2.TOY, positions="rotary_yarn(8, 64)")
    assert own(yarn.blocks) == Rotary(scaling=Yarn(8, 64))
    assert own(llama.declare(**llama.TOY, positions="rotary_ntk(2)").blocks) == Rotary(scaling=Rebased(2))
    assert gpt2.declare(**gpt2.TOY, positions="alibi").blocks.position == Alibi(4)


def test_a_familys_own_word_leaves_its_order_as_it_is() -> None:
    for module, word in (
        (transformer, "sinusoid"),
        (bart, "learned"),
        (t5, "buckets"),
        (llama, "rotary"),
        (vit, "learned"),
    ):
        assert module.declare(**module.TOY, positions=word) == module.declare(**module.TOY)
        more = module.declare(**module.TOY, positions=f"{word} + {'alibi' if word != 'buckets' else 'rotary'}")
        assert more != module.declare(**module.TOY)
    sides = bart.declare(**bart.TOY, positions="learned + relative(3)")
    assert sides.embed.position == bart.declare(**bart.TOY).embed.position  # with the rows before the first
    turned = llama.declare(**llama.TOY, positions="rotary + alibi", base=500.0)
    assert own(turned.blocks) == Rotary(500.0)
    halves = transformer.declare(**transformer.TOY, positions="sinusoid + alibi")
    assert halves.embed.position == Sinusoid("halves")
    assert wav2vec2.declare(**wav2vec2.TOY, positions="none").embed.position is None  # type: ignore[union-attr]


def test_pictures_count_their_squares() -> None:
    spec = vit.declare(**vit.TOY, positions="learned + grid_bias")
    assert isinstance(spec, Model) and isinstance(spec.embed, Patches) and spec.embed.position == "table"
    assert spec.blocks.position is not None and spec.blocks.position.grid() == (3, 3, 1)


def test_a_recipe_says_it_and_is_told_where() -> None:
    model = {"family": "transformer", "size": "tiny", "positions": "relative(8)"}
    assert own(declared(model, 20).encoder_blocks) == RelativeKeys(8, values="relative")  # type: ignore[attr-defined]
    with pytest.raises(InvalidConfig, match="recipe.yaml:7: positions: there is no 'rotari'. Did you mean 'rotary'"):
        declared(model | {"positions": "rotari"}, 20, where=lambda key: "recipe.yaml:7")


def test_a_position_past_the_end_is_told_with_both_numbers() -> None:
    model = gpt2.declare(**gpt2.TOY | {"length": 6}).build().eval()
    with pytest.raises(
        InvalidData, match="7 tokens, and the model has 6 positions\n  Shorten the input, or train with"
    ):
        model(torch.ones(1, 7, dtype=torch.long))
    cache = model.cache(1, 10)
    model.decode(torch.ones(1, 6, dtype=torch.long), cache=cache)
    with pytest.raises(InvalidData, match="7 tokens, and the model has 6 positions"):
        model.decode(torch.ones(1, 1, dtype=torch.long), cache=cache)


def test_every_word_is_told_in_the_docs() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs" / "add-a-position.md").read_text(encoding="utf-8")
    for word in WORDS:
        assert f"`{word}" in page, word
    assert Attention(2).position is None
