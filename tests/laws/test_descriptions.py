"""Law 6: from_json(to_json(spec)) == spec; unknown words are refused; named sizes do not change unseen."""

import json
import os
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laws.subjects import patterns, variants
from transept.errors import InvalidConfig
from transept.families.registry import all_families
from transept.parts.attention import Attention
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, First, Pattern, Window
from transept.parts.pattern_text import parse_pattern
from transept.spec import Part, from_json, part_from_dict, to_json

VARIANTS = variants()
GOLDEN = Path(__file__).parents[1] / "golden"
SIZES = [(name, size) for name, module in all_families().items() for size in module.SIZES]
PATTERNS = st.recursive(
    st.sampled_from(sorted(patterns())).map(patterns().__getitem__),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", VARIANTS)
def test_json_both_ways(name: str) -> None:
    spec = VARIANTS[name]
    again = from_json(to_json(spec))
    assert again == spec
    assert hash(again) == hash(spec)


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_golden_text(name: str, size: str) -> None:
    """The whole description of each published size, as text; TRANSEPT_GOLDEN=write writes it anew."""
    module = all_families()[name]
    vocab = {"vocab": module.GOLDEN_VOCAB} if hasattr(module, "GOLDEN_VOCAB") else {}
    text = to_json(module.declare(**vocab | module.SIZES[size]))
    file = GOLDEN / f"{name}-{size}.json"
    if os.environ.get("TRANSEPT_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.exists(), f"no golden text for {name}:{size}; look at it, and write it with TRANSEPT_GOLDEN=write"
    assert file.read_text() == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(pattern=PATTERNS)
def test_pattern_text_both_ways(pattern: Pattern) -> None:
    again = parse_pattern(str(pattern))
    q, k = torch.arange(9)[:, None], torch.arange(9)[None]
    assert torch.equal(again.allows(q, k), pattern.allows(q, k))
    assert str(again) == str(pattern)
    assert part_from_dict(pattern.to_dict()) == pattern


def test_pattern_precedence() -> None:
    assert parse_pattern("causal & window(256) | first(4)") == (Causal() & Window(256)) | First(4)
    assert parse_pattern("causal & (window(256) | first(4))") == Causal() & (Window(256) | First(4))
    assert parse_pattern("causal & (window(256) | first(4))") != parse_pattern("causal & window(256) | first(4)")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("casual", ["casual", "'causal'", "window(reach)"]),
        ("causal & (", ["cannot be read", "never closed"]),
        ("window", ["window(reach)"]),
        ("window(a)", ["whole numbers"]),
        ("causal +", ["cannot be read"]),
        ("causal + full", ["causal + full", "& | ~"]),
        ("__import__('os')", ["__import__"]),
        ("window(-1)", ["whole numbers"]),
        ("window(True)", ["whole numbers", "True"]),
        ("~" * 5000 + "full", ["cannot be read"]),
    ],
)
def test_wrong_patterns_are_refused(text: str, words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_pattern(text)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("casual & window(4)", "casual"),
        ("causal & windw(4) | full", "windw"),
        ("  causal &\n (full and first(2))", "full and first(2)"),
        ("causal & window(4", "("),
        ("causal & window(4))", ")"),
        ("causal |", ""),
        ("causal & window", "window"),
        ("causal & window(4, 5)", "5"),
        ("local(4, bak=1)", "bak=1"),
        ("local(4, size=1)", "size=1"),
        ("full | window(2.5)", "2.5"),
        ("full | convolutional(32, 4)", "convolutional(32, 4)"),
        ("'漢字' & causal", "'漢字'"),
        ("first(1) | " * 30 + "frist(2)", "frist"),
    ],
)
def test_the_place_that_is_wrong_is_marked(text: str, marked: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse_pattern(text)
    shown, mark = caught.value.what.split("\n")[1:]
    wide = shown.replace("漢字", "漢_字_")  # two columns a letter
    assert mark.strip() == "^" * max(1, len(mark.strip()))
    assert wide[mark.index("^") : len(mark)].replace("_", "") == marked


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "Atention"}, ["Atention", "'Attention'"]),
        ({"head": 3}, ["'head'", "'heads'"]),
        ({"heads": "8"}, ["heads", "whole number", "'8'"]),
        ({"heads": True}, ["heads", "whole number"]),
        ({"source": "elsewhere"}, ["source", "'self'", "'memory'"]),
        ({"core": {"kind": "Norm"}}, ["core", "Norm"]),
        ({"kv_heads": 3}, ["kv_heads=3", "heads=8"]),
    ],
)
def test_wrong_fields_are_refused(change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        part_from_dict(Attention(8).to_dict() | change)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["not a description"]),
        ("[" * 100_000, ["not a description"]),
        ('{"transept": 99, "spec": {"kind": "Norm"}}', ["version 99", "update"]),
        ('{"transept": 1}', ["'spec'"]),
        ('{"transept": 1, "transept": 1, "spec": {}}', ["twice"]),
        ('{"transept": 1, "spec": {"kind": "Stack", "depth": 2}}', ["Stack", "'block'"]),
    ],
)
def test_wrong_documents_are_refused(text: str, words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        from_json(text)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_former_names_are_read() -> None:
    class Renamed(Part):
        former: ClassVar = {"old": "new"}
        new: int = 1

    try:
        assert part_from_dict({"kind": "Renamed", "old": 5}) == Renamed(5)
        with pytest.raises(InvalidConfig, match="twice"):
            part_from_dict({"kind": "Renamed", "old": 5, "new": 6})
    finally:
        del Part.kinds["Renamed"]


def test_every_field_is_written() -> None:
    assert json.loads(to_json(Norm()))["spec"] == {"kind": "Norm", "form": "layer", "eps": 1e-5}
