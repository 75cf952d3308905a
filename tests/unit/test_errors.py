"""What an error is made of, and how each face words it."""

import inspect

import pytest

from transept.errors import InvalidConfig, InvalidData, Nth, TranseptError, Where


def test_a_place_is_a_text_with_its_fields() -> None:
    line, typed = Where.of_line("a/recipe.yaml", 12), Where.typed("train.seed", "2")
    assert (line, str(line.file), line.line, line.key) == ("a/recipe.yaml:12", "a/recipe.yaml", 12, None)
    assert (typed, typed.file, typed.line, typed.key) == ("train.seed=2", None, None, "train.seed")
    assert InvalidData("x", where=line).where is line


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (None, "train.lora.rank: 99 is too many"),
        (Where.of_line("r.yaml", 3), "r.yaml:3: train.lora.rank: 99 is too many"),
        (Where.typed("train.lora.rank", "99"), "train.lora.rank=99: 99 is too many"),
        (Where.typed("train.lora", "{rank: 99}"), "train.lora={rank: 99}: train.lora.rank: 99 is too many"),
        (Where.typed("train.seed", "train.lora.rank"), "train.seed=train.lora.rank: train.lora.rank: 99 is too many"),
    ],
)
def test_a_key_is_said_once(where: Where | None, told: str) -> None:
    assert str(InvalidConfig("99 is too many", where=where, key="train.lora.rank")) == told


def test_a_reason_without_a_key_stands_alone_at_a_place_without_one() -> None:
    assert str(InvalidData("it is empty", where=Where.of_line("t.csv", 1))) == "t.csv:1: it is empty"


def test_which_of_several_is_told_where_no_place_tells_it() -> None:
    error = InvalidData("has no mask", nth=Nth("text", 3), remedy="Write one.")
    assert str(error) == "text 3 has no mask\n  Write one."
    assert error.reason(placed=True) == "the text has no mask"
    assert str(InvalidData("is empty", where="q.json", nth=Nth("context", None))) == "q.json: the context is empty"


def test_an_option_is_spelt_as_each_face_has_it() -> None:
    error = InvalidData("no", remedy="Take {option}, or '{share: 0.1}'.", option="max_tokens=...")
    assert str(error) == "no\n  Take max_tokens=..., or '{share: 0.1}'."
    assert error.message("command") == "no\n  Take --max-tokens, or '{share: 0.1}'."
    braces = InvalidData("no", remedy="Write '{option}'.")
    assert braces.message("command") == str(braces) == "no\n  Write '{option}'."


def test_what_is_told_again_loses_nothing() -> None:
    given = {"what": "a", "where": "b", "key": "c", "nth": Nth("d", 1), "remedy": "{option}", "option": "e=True"}
    wanted = set(inspect.signature(TranseptError.__init__).parameters) - {"self"}
    assert set(given) == wanted
    error = InvalidConfig(**given)
    assert error.fields() == given and error.fields(where="z") == given | {"where": "z"}
    assert str(InvalidData(**error.fields())) == str(error)
