import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.errors import InvalidConfig
from transept.recipes import yaml12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("true", True), ("1e-9", 1e-9), ("5e-4", 5e-4), ("1.0", 1.0), (".5", 0.5),
        ("12", 12), ("-3", -3), ("010", "010"), ("10:30", "10:30"), ("2026-03-05", "2026-03-05"), ("null", None),
        ("~", None),
        ("60u", "60u"), ("1e", "1e"), ("10e", "10e"), ("[a, 1]", ["a", 1]), ("'1'", "1"), ("[a", "[a"), ("", None),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = yaml12.scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_a_text_is_taken_whole() -> None:
    assert yaml12.value("my data #2/it") == "my data #2/it"
    assert yaml12.value(" greedy ") == "greedy"
    assert yaml12.value("'quoted' # said aside") == "quoted"
    assert yaml12.value("5") == 5
    with pytest.raises(ValueError, match="expected"):
        yaml12.value("[")


def test_knows_the_line_of_each_key() -> None:
    document = yaml12.read("a: 1\n# a comment\nb:\n  c: [x,\n   y]\n  d: 2\n", "file")
    assert document.data == {"a": 1, "b": {"c": ["x", "y"], "d": 2}}
    assert document.lines == {("a",): 1, ("b",): 3, ("b", "c"): 4, ("b", "c", 0): 4, ("b", "c", 1): 5, ("b", "d"): 6}


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("a: [1\nb: 2\n", "file:2", "not YAML"),
        ("a: 1\n\tb: 2\n", "file:2", "not YAML"),
        ("a: 1\nb: 2\na: 3\n", "file:3", "'a' stands in line 1 already"),
        ("a:\n  b: 1\n  b: 2\n", "file:3", r"'a\.b' stands in line 2 already"),
        ("- a\n", "file:1", "mapping"),
        ("", "file:1", "mapping"),
        ("1: 2\n", "file:1", "a key must be a word"),
        ("a: &x [*x]\n", "file", "contains itself"),
        ("a: !!python/object/apply:os.system [ls]\n", "file:1", "not YAML"),
        ("a: \x00\n", "file", "not YAML"),
    ],
)
def test_what_is_no_recipe_is_told_with_its_line(text: str, where: str, words: str) -> None:
    with pytest.raises(InvalidConfig, match=words) as caught:
        yaml12.read(text, "file")
    assert caught.value.where == where


# Control characters and the line ends of other scripts are what PyYAML itself changes.
LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
TEXT, KEY = st.text(LETTERS, max_size=12), st.text(LETTERS, min_size=1, max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEY, PLAIN, max_size=4))
def test_what_is_written_is_read_back(data: dict[str, object]) -> None:
    def same(a: object, b: object) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return a == b and math.copysign(1, a) == math.copysign(1, b)
        if isinstance(a, dict) and isinstance(b, dict):
            return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list) and isinstance(b, list):
            return len(a) == len(b) and all(map(same, a, b))
        return type(a) is type(b) and a == b

    assert same(yaml12.read(yaml12.write(data), "file").data if data else {}, data)
