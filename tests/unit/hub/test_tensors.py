"""Safetensors files from strangers: what the format leaves open is refused before any data is read."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transept.errors import InvalidData
from transept.hub.tensors import header, read, write
from unit.hub.made import entry, raw


def test_there_and_back(tmp_path: Path) -> None:
    state = {
        "a": torch.randn(3, 4),
        "b": torch.randn(2, dtype=torch.float64),
        "c": torch.randn(5).half(),
        "d": torch.tensor(1.5),
        "e": torch.randn(4, 3).T,
        "f": torch.randn(3).bfloat16(),
    }
    write(tmp_path / "x.safetensors", state)
    declared = header(tmp_path / "x.safetensors")
    assert {n: (w.dtype, w.shape) for n, w in declared.items()} == {
        n: (t.dtype, tuple(t.shape)) for n, t in state.items()
    }
    again = read(tmp_path / "x.safetensors", declared)
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_is_any_new_files(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "x.safetensors", {"a": torch.ones(2)})
    finally:
        os.umask(before)
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask


HUGE = 2**40
CRAFTED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated: 0 bytes"),
    "seven bytes": (b"1234567", "truncated: 7 bytes"),
    "a header beyond the file": (raw(b"{}", length=100), "its header would be 100 bytes, the file is 10"),
    "a header beyond all bounds": (raw(b"{}", length=2**63), "not a safetensors file"),
    "a zip": (b"PK\x03\x04" + bytes(60), "not a safetensors file"),
    "a leading space": (raw(b" {}"), "does not begin with"),
    "no JSON": (raw(b"{]"), "the header cannot be read"),
    "no UTF-8": (raw(b'{"\xff": 1}'), "the header cannot be read"),
    "nested": (raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "the header cannot be read"),
    "a key twice": (raw(b'{"a": 1, "a": 2}'), "the key 'a' is given twice"),
    "metadata of numbers": (raw({"__metadata__": {"a": 1}}), "metadata"),
    "no table": (raw({"a": 3}), "a: its entry in the header"),
    "an unknown key": (raw({"a": entry([1], 0, 4) | {"more": 1}}, bytes(4)), "a: its entry in the header"),
    "an unknown type": (raw({"a": entry([1], 0, 4, "F7")}, bytes(4)), "a: the type 'F7'"),
    "a type that is a list": (raw({"a": entry([1], 0, 4) | {"dtype": []}}, bytes(4)), r"a: the type \[\]"),
    "a negative size": (raw({"a": entry([-1, -1], 0, 4)}, bytes(4)), r"a: the shape \[-1, -1\]"),
    "no size": (raw({"a": entry([0], 0, 0)}), r"a: the shape \[0\]"),
    "a size of 2^62 by 0": (raw({"a": entry([2**62, 0], 0, 0)}), "a: the shape"),
    "a size that is true": (raw({"a": entry([True], 0, 4)}, bytes(4)), r"a: the shape \[True\]"),
    "ten thousand dimensions": (raw({"a": entry([1] * 10_000, 0, 4)}, bytes(4)), "a: the shape"),
    "sizes that overflow": (raw({"a": entry([HUGE, HUGE, 2], 0, 4)}, bytes(4)), "a: 4 bytes for the shape"),
    "too few bytes": (raw({"a": entry([2], 0, 4)}, bytes(4)), r"a: 4 bytes for the shape \[2\] of F32, which takes 8"),
    "offsets backwards": (raw({"a": entry([1], 4, 0)}, bytes(4)), "a: -4 bytes"),
    "negative offsets": (raw({"a": entry([1], -4, 0)}, bytes(4)), "a: the offsets"),
    "three offsets": (raw({"a": entry([1], 0, 4) | {"data_offsets": [0, 2, 4]}}, bytes(4)), "a: the offsets"),
    "an overlap": (raw({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)), "b: its data overlaps"),
    "a hole": (
        raw({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)),
        "b: its data overlaps another's or leaves",
    ),
    "truncated data": (raw({"a": entry([2], 0, 8)}, bytes(5)), "truncated: 8 bytes of data are declared, 5 are there"),
    "data behind the end": (raw({"a": entry([1], 0, 4)}, bytes(9)), "too long: 4 bytes of data are declared, 9"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused(name: str, tmp_path: Path) -> None:
    content, message = CRAFTED[name]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidData, match=message) as caught:
        header(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_refused_by_name(bad: float, tmp_path: Path) -> None:
    values = torch.ones(3, 4)
    values[1, 2] = bad
    write(tmp_path / "x.safetensors", {"fine": torch.ones(2), "a.weight": values})
    with pytest.raises(InvalidData, match=r"a\.weight: 1 of 12 values are infinite or not a number"):
        read(tmp_path / "x.safetensors", ["fine", "a.weight"])


def test_a_file_cut_at_every_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write(path, {"a": torch.ones(3), "b": torch.ones(2, 2)})
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(InvalidData):
            header(path)


KEYS = st.sampled_from(["dtype", "shape", "data_offsets", "a", "__metadata__", ""])
PLAIN: Any = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["F32", "I64"])
)
ANY: Any = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BOOL", "X"]) | ANY,
        "shape": st.lists(st.integers(-1, 5), max_size=3) | ANY,
        "data_offsets": st.tuples(st.integers(-1, 40), st.integers(0, 40)).map(list) | ANY,
    }
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(content=st.dictionaries(st.text(max_size=4), ENTRY | ANY, max_size=4), data=st.binary(max_size=48))
def test_any_header_is_read_or_refused(
    content: dict[str, Any], data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(raw(content, data))
    try:
        declared = header(path)
        found = read(path, declared)
    except InvalidData:
        return
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {n: w.shape for n, w in declared.items()}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(at=st.integers(0, 180), value=st.integers(0, 255))
def test_any_byte_may_be_wrong(at: int, value: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "byte.safetensors"
    content = bytearray(raw({"a": entry([2], 0, 8), "b": entry([3, 1], 8, 20)}, bytes(20)))
    content[at % len(content)] = value
    path.write_bytes(content)
    try:
        read(path, header(path))
    except InvalidData:
        return
