"""Configurations from strangers: any value is honoured or refused, and nothing but InvalidConfig comes out."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transept.errors import InvalidConfig
from transept.families.configuration import Keys, differences
from transept.families.transformer import declare, from_hf, to_hf
from transept.spec import replace

SIZES: dict[str, Any] = {"vocab": 40, "width": 16, "hidden": 24, "heads": 2, "depth": 2}
CONFIG = to_hf(declare(**SIZES))
VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from([0, 1, 2**31, 2**63]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from(sorted(CONFIG)) | st.text(max_size=5), VALUES, max_size=3))
def test_any_configuration_is_read_or_refused(changes: dict[str, Any]) -> None:
    with suppress(InvalidConfig):
        spec = from_hf(CONFIG | changes)
        assert from_hf(to_hf(spec)) == spec


@pytest.mark.parametrize("embeddings", ["tied", "separate"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "gelu_quick", "silu"])
def test_what_can_be_said_comes_back(embeddings: Any, activation: Any) -> None:
    spec = declare(**SIZES, embeddings=embeddings, activation=activation, dropout=0.1, decoder_depth=1, head_bias=True)
    said = from_hf(to_hf(spec))
    assert replace(said, initial=spec.initial) == spec


def test_what_is_spelt_out_and_changes_nothing_is_no_reason_to_refuse() -> None:
    plain, spelt = declare(**SIZES), declare(**SIZES, kv_heads=2)
    assert to_hf(spelt) == to_hf(plain)


def test_differences_name_the_path() -> None:
    one, other = declare(**SIZES), declare(**SIZES, norm="before", kv_heads=1)
    found = {path: values for path, *values in differences(one, other)}
    assert found["encoder.block.place"] == ["after", "before"]
    assert found["decoder.block.parts[1].kv_heads"] == [None, 1]
    assert list(differences(one, one)) == []
    assert [path for path, _, _ in differences(one, replace(one, source=one.embed))] == ["source"]


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (lambda keys: keys.whole("k", 1), 1.5, "whole number"),
        (lambda keys: keys.whole("k", 1), "3", "whole number"),
        (lambda keys: keys.whole("k", 1), 2**31, "whole number"),
        (lambda keys: keys.share("k", 0.0), -0.1, "probability"),
        (lambda keys: keys.positive("k", 1.0), 0, "above 0"),
        (lambda keys: keys.positive("k", 1.0), float("nan"), "above 0"),
        (lambda keys: keys.number("k", 1.0), "1", "a number"),
        (lambda keys: keys.truth("k", True), 1, "true or false"),
        (lambda keys: keys.choice("k", "a", {"alpha": 1}), "alhpa", "Did you mean 'alpha'"),
        (lambda keys: keys.choice("k", "a", {"alpha": 1}), ["alpha"], "Transept knows alpha"),
        (lambda keys: keys.only("k", False, why="because"), 0, "k is 0: because"),
        (lambda keys: keys.alias("k", "d_model", 4), 5, "k is 5 and d_model is 4"),
        (lambda keys: keys.ids("k"), [1, "2"], "a token id"),
        (lambda keys: keys.listed("k"), {}, "a list"),
        (lambda keys: keys.table("k"), [], "an object"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(read: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        read(Keys({"k": value}, "a test"))
