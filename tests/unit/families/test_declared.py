"""From a recipe's `model:` to a description: sizes, changes, and what is refused."""

import pytest

from transept.errors import InvalidConfig
from transept.families.declared import declared
from transept.families.transformer import SIZES, declare
from transept.parts.initial import Normal


def test_a_size_is_the_declaration_with_its_numbers():
    for size, numbers in SIZES.items():
        assert declared({"family": "transformer", "size": size}, 50) == declare(vocab=50, **numbers)


def test_a_key_changes_one_number():
    changed = declared({"family": "transformer", "size": "tiny", "norm": "before", "heads": 2}, 50)
    assert changed == declare(vocab=50, **SIZES["tiny"] | {"heads": 2}, norm="before")


def test_a_model_without_a_size_says_all_its_numbers():
    numbers = {"width": 8, "hidden": 8, "heads": 2, "depth": 1}
    assert declared({"family": "transformer", **numbers}, 9) == declare(vocab=9, **numbers)
    with pytest.raises(InvalidConfig, match="model.width is not set, nor hidden, heads, depth"):
        declared({"family": "transformer"}, 9)


def test_a_part_is_written_out_with_its_kind():
    told = {"family": "gru", "size": "reduced", "initial": {"kind": "Normal", "std": 0.1}}
    assert declared(told, 9).initial == Normal(0.1)


def test_a_vocabulary_may_be_larger_than_it_must_be():
    assert declared({"family": "transformer", "size": "tiny", "vocab": 64}, 50, least=50).embed.vocab == 64
    with pytest.raises(InvalidConfig, match="49 rows .* 50 tokens"):
        declared({"family": "transformer", "size": "tiny", "vocab": 49}, 50, least=50)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({}, "model.family is not set"),
        ({"family": "transformr"}, "Did you mean 'transformer'"),
        ({"family": "transformer", "size": "huge"}, "model.size: there is no 'huge'"),
        ({"family": "transformer", "size": "tiny", "widht": 8}, "model.widht'. Did you mean 'width'"),
        ({"family": "transformer", "size": "tiny", "width": "8"}, "model.width must be a whole number, not '8'"),
        ({"family": "transformer", "size": "tiny", "norm": "befor"}, "model.norm must be one of"),
        ({"family": "gru", "size": "reduced", "initial": {"kind": "Xavie"}}, "model.initial: .*Did you mean 'Xavier'"),
        ({"family": "gru", "size": "reduced", "initial": {"std": 1.0}}, "model.initial: a description is an object"),
        ({"family": "gru", "size": "reduced", "initial": {"kind": "Fused"}}, "kind Careful, .*Xavier, not Fused"),
    ],
)
def test_what_makes_no_sense_is_refused(model, reason):
    with pytest.raises(InvalidConfig, match=reason):
        declared(model, 50)


def test_a_word_that_was_called_size_is_told_by_its_new_name() -> None:
    shape = {"family": "memorizing", "width": 16, "heads": 2, "depth": 2, "hidden": 24, "recalls": 2}
    with pytest.raises(InvalidConfig, match=r"model.size: there is no 16\.") as caught:
        declared(shape | {"size": 16}, 50)
    assert str(caught.value.remedy).startswith("What size=NUMBER was is model.remembers=16 now. There are: 1536, 8k")
    for model in (shape | {"size": "16"}, {"family": "gpt2", "size": 16}):
        with pytest.raises(InvalidConfig) as caught:
            declared(model, 50)
        assert str(caught.value.remedy).startswith("There are: ")
    assert declared(shape | {"remembers": 16, "segment": 8}, 50).stack.attentions()


def test_the_place_of_a_wrong_key_is_told():
    places = {"model.widht": "mine.yaml:3"}
    with pytest.raises(InvalidConfig, match="mine.yaml:3: unknown key"):
        declared({"family": "transformer", "size": "tiny", "widht": 8}, 50, where=places.get)
