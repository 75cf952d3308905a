import pytest

from transept.errors import InvalidConfig
from transept.parts.named import named, spoken

NAMES = [
    "embed.table.weight",
    "stack.blocks.0.attention.q.weight",
    "stack.blocks.0.attention.q.bias",
    "stack.blocks.0.attention.k.weight",
    "stack.blocks.0.attention_norm.weight",
    "stack.blocks.1.attention.q.weight",
    "stack.blocks.10.feedforward.up.weight",
    "head.score.weight",
]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["embed"], [0]),
        (["embed.table.weight"], [0]),
        (["stack.blocks.[0-1]"], [1, 2, 3, 4, 5]),  # 10 is no one of 0 to 1
        (["stack.blocks.1"], [5]),
        (["*.attention.q|k"], [1, 2, 3, 5]),
        (["*.attention"], [1, 2, 3, 5]),  # attention_norm is another
        (["*.bias"], [2]),
        (["head", "embed"], [0, 7]),
        (["*.?.weight"], [1, 3, 5]),
        (["*"], list(range(8))),
        ([], []),
    ],
)
def test_a_text_means_what_has_its_name_and_what_lies_below(texts: list[str], found: list[int]) -> None:
    assert named(NAMES, texts, "freeze") == [NAMES[i] for i in found]


def test_a_text_that_means_nothing_is_told_with_the_nearest_name() -> None:
    with pytest.raises(
        InvalidConfig, match="freeze: nothing here is called 'head.scores.weight'. Did you mean 'head.s"
    ):
        named(NAMES, ["embed", "head.scores.weight"], "freeze")
    for text in ("", "a..b", "a.|b", "[z-a]"):
        with pytest.raises(InvalidConfig, match="is no name of weights"):
            named(NAMES, [text], "freeze")


def test_points_and_brackets_are_what_they_are() -> None:
    assert named(["a.b", "axb", "a(b"], ["a.b"], "x") == ["a.b"]
    assert named(["a.b", "axb", "a(b"], ["a(b"], "x") == ["a(b"]


def test_names_are_spoken_once_for_all_numbers() -> None:
    assert spoken(NAMES[1:2] + NAMES[5:6]) == "stack.blocks.*.attention.q.weight"
