"""The search of a model directory, ours and Hugging Face's."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.errors import InvalidConfig
from transept.hub.generation import Generation, from_hf

IDS: dict[str, Any] = {"eos_token_id": 2, "decoder_start_token_id": 1, "pad_token_id": 0}

SEARCHES = [
    Search(),
    Search(beam=12, n_best=3, length_penalty=0.0, stop="first", max_ratio=1.5, max_extra=3, seed=7, batch_tokens=99),
    Search(beam=4, length_penalty=0.6, penalty="wu", stop="exact"),
    Search(method="greedy"),
    Search(method="sample"),
    Search(method="sample", temperature=0.7, top_k=10, top_p=0.9, n_best=2),
    Search(beam=4, length_penalty=2.0, stop="first", min_length=56, no_repeat_ngram=3, repetition_penalty=1.2),
]


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_there_and_back(search: Search) -> None:
    for special in (Special(5, 6, (0, 5)), Special(6, 6, (), 4), Special(6, 6, (), 4, (), 6), Special(5, 6, last=9)):
        generation = Generation(search, special, 0, 77)
        assert from_hf(generation.to_hf(), 77) == generation


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_hugging_face_reads_it(search: Search, tmp_path: Any) -> None:
    import transformers

    from transept.hub.files import write_json

    write_json(tmp_path / "generation_config.json", Generation(search).to_hf())
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
    theirs.validate(strict=True)
    assert theirs.num_beams == (search.beam if search.method == "beam" else 1)
    assert theirs.do_sample == (search.method == "sample")
    assert theirs.suppress_tokens == [0, 1]
    assert theirs.decoder_start_token_id == 1


def test_what_they_cannot_say_stands_beside_it() -> None:
    written = Generation(Search(penalty="wu", length_penalty=0.6)).to_hf()
    assert "length_penalty" not in written
    assert written["transept"] | {"penalty": "wu", "length_penalty": 0.6} == written["transept"]
    assert Generation(Search(length_penalty=0.6)).to_hf()["length_penalty"] == 0.6


def test_where_their_search_differs_it_is_said() -> None:
    wu, ratio = Search(penalty="wu", length_penalty=0.6, max_ratio=0.0), Search(max_ratio=1.5, max_extra=7)
    (said,) = Generation(wu).unsaid()
    assert "((5 + length) / 6)^0.6" in said
    (said,) = Generation(ratio, longest=64).unsaid()
    assert "63 tokens, not to 1.5 * source + 7" in said
    assert Generation(Search(max_ratio=0.0)).unsaid() == []
    assert Generation(Search(penalty="wu", length_penalty=0.0, max_ratio=0.0)).unsaid() == []  # both divide by one


@pytest.mark.parametrize(("extra", "most"), [(9, 10), (63, 64), (500, 64)])
def test_a_limit_without_the_source_is_theirs_too(extra: int, most: int) -> None:
    written = Generation(Search(max_ratio=0.0, max_extra=extra), longest=64).to_hf()
    assert written["max_length"] == most
    assert Generation(Search(max_extra=extra), longest=64).to_hf()["max_length"] == 64


def test_a_checkpoint_of_theirs() -> None:
    old = IDS | {
        "bad_words_ids": [[9]],
        "bos_token_id": 0,
        "early_stopping": "never",
        "forced_eos_token_id": 2,
        "max_length": 512,
        "num_beams": 6,
        "transformers_version": "4.30",
        "top_k": 50,
        "suppress_tokens": None,
    }
    found = from_hf(old, 512)
    assert found.search == Search(beam=6, stop="exact", max_ratio=0.0, max_extra=511)
    assert found.special == Special(1, 2, (9,), last=2)
    assert from_hf(IDS, 64).search == Search(method="greedy")
    assert from_hf(IDS | {"do_sample": True}, 64).search == Search(method="sample", top_k=50)  # their default
    assert from_hf(IDS | {"max_new_tokens": 9}, 64).search.max_extra == 9
    assert from_hf(IDS | {"min_new_tokens": 9, "min_length": 4}, 64).search.min_length == 10


def test_a_summary_of_theirs() -> None:
    """What bart-large-cnn asks for."""
    asked = {
        "bos_token_id": 0,
        "decoder_start_token_id": 2,
        "early_stopping": True,
        "eos_token_id": 2,
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 2,
        "length_penalty": 2.0,
        "max_length": 142,
        "min_length": 56,
        "no_repeat_ngram_size": 3,
        "num_beams": 4,
        "pad_token_id": 1,
    }
    found = from_hf(asked, 1024)
    assert found.search == Search(
        beam=4, length_penalty=2.0, stop="first", max_ratio=0.0, max_extra=141, min_length=56, no_repeat_ngram=3
    )
    assert (found.special, found.pad) == (Special(2, 2, (), 0, last=2), 1)
    assert found.to_hf()["forced_eos_token_id"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_no_repeat_ngram_size": 3}, "encoder_no_repeat_ngram_size is 3: Transept's search has no such"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be a number above 0"),
        ({"min_length": -5}, "min_length must be a whole number"),
        ({"forced_bos_token_id": [7, 8]}, "forced_bos_token_id must be one token id"),
        ({"forced_bos_token_id": 7, "suppress_tokens": [7]}, "forces token 7, which is suppressed"),
        ({"num_beams": 4, "do_sample": True}, "do_sample with 4 num_beams"),
        ({"num_beams": 4, "length_penalty": -1.0}, "length_penalty"),
        ({"num_beams": 2, "num_return_sequences": 3}, "n_best is 3"),
        ({"num_beams": 0}, "num_beams must be a whole number from 1"),
        ({"early_stopping": "always"}, "early_stopping is 'always'"),
        ({"bad_words_ids": [[3, 4]]}, "suppresses single tokens only"),
        ({"bad_words_ids": 3}, "bad_words_ids must be a list"),
        ({"eos_token_id": -1}, "eos_token_id must be a token id"),
        ({"eos_token_id": None}, "eos_token_id must be a token id, or several"),
        ({"forced_eos_token_id": [2, 7]}, "forced_eos_token_id must be one token id"),
        ({"forced_eos_token_id": 7, "suppress_tokens": [7]}, "forced_eos_token_id forces token 7, which is suppressed"),
        ({"nmu_beams": 4}, "unknown keys for a search: 'nmu_beams' Did you mean 'num_beams'"),
        ({"transept": {"penalty": "gnmt"}}, "penalty: Input should be"),
        ({"transept": {"max_ratoi": 2.0}}, "max_ratoi: Extra inputs"),
        ({"transept": 3}, "transept must be an object"),
    ],
)
def test_what_cannot_be_honoured_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        from_hf(IDS | changes, 64)


# ------------------------------------------------------------------ a decoder alone

ALONE: dict[str, Any] = {"eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 0}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {}),
        ({"max_length": 50}, {"max_ratio": 0.0, "max_extra": 50, "max_whole": 50}),
        ({"max_length": 900}, {"max_ratio": 0.0, "max_extra": 64, "max_whole": 900}),
        ({"max_new_tokens": 9}, {"max_ratio": 0.0, "max_extra": 9}),
        ({"max_new_tokens": 9, "max_length": 50}, {"max_ratio": 0.0, "max_extra": 9}),  # new ones go first
        ({"min_length": 7}, {"min_whole": 7}),
        ({"min_new_tokens": 7}, {"min_length": 8}),
        ({"min_new_tokens": 7, "min_length": 9}, {"min_length": 8}),
        ({"min_new_tokens": 0, "min_length": 9}, {}),
        ({"max_length": 50, "min_length": 7}, {"max_ratio": 0.0, "max_extra": 50, "max_whole": 50, "min_whole": 7}),
    ],
)
def test_lengths_of_a_decoder_alone_count_its_prompt(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    found = from_hf(ALONE | asked, 64, alone=True)
    assert found.search == Search(method="greedy", **expected)
    written = found.to_hf()
    again = {key: value for key, value in written.items() if key in LENGTHS}
    heard = {key: value for key, value in asked.items() if key not in ("max_length", "min_length") or value}
    if "max_new_tokens" in asked:
        heard.pop("max_length", None)
    if "min_new_tokens" in asked:
        heard.pop("min_length", None)
    assert again == {key: value for key, value in heard.items() if value}  # handed back as they were
    assert from_hf(written, 64, alone=True) == found


LENGTHS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens")


@pytest.mark.parametrize("search", [*SEARCHES, Search(min_whole=3, min_length=5), Search(max_whole=20, max_ratio=0.0)])
@pytest.mark.parametrize("alone", [True, False])
def test_any_search_of_either_kind_goes_there_and_back(search: Search, alone: bool) -> None:
    for special in (Special(5, 6), Special(None, None) if alone else Special(6, 6, (), 4)):
        generation = Generation(search, special, None, 77, alone)
        assert from_hf(generation.to_hf(), 77, alone) == generation


def test_one_edit_changes_the_length_in_both() -> None:
    for alone, search in ((True, Search(max_ratio=0.0, max_extra=9)), (False, Search(max_ratio=0.0, max_extra=9))):
        written = Generation(search, Special(1, 2), 0, 64, alone).to_hf()
        key = "max_new_tokens" if alone else "max_length"
        assert from_hf(written | {key: written[key] + 5}, 64, alone).search.max_extra == 14


def test_a_decoder_alone_needs_no_token_of_its_own() -> None:
    found = from_hf({"pad_token_id": None}, 64, alone=True)
    assert (found.special, found.special.ends, found.tokens()) == (Special(None, None), (), ())
    assert "20 tokens where nobody says how many" in found.unsaid()[0]
    with pytest.raises(InvalidConfig, match="decoder_start_token_id must be one token id"):
        from_hf({"eos_token_id": 2}, 64)


def test_several_ends_go_there_and_back() -> None:
    found = from_hf(IDS | {"eos_token_id": [2, 3, 7]}, 64)
    assert found.special.ends == (2, 3, 7)
    assert found.to_hf()["eos_token_id"] == [2, 3, 7]
    assert from_hf(found.to_hf(), 64) == found


KEYS = [*IDS, "num_beams", "do_sample", "length_penalty", "early_stopping", "max_length", "top_k", "bad_words_ids", "x"]
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "penalty", "beam"]), inner),
    max_leaves=5,
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from([*KEYS, "transept", "suppress_tokens"]), VALUES, max_size=4))
def test_any_values_are_read_or_refused(changes: dict[str, Any]) -> None:
    with suppress(InvalidConfig):
        assert isinstance(from_hf(IDS | changes, 64).search, Search)
