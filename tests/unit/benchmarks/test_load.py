"""The benchmark of loading at toy size, in one process: both sides read what was written, and what differs is told."""

import importlib
from pathlib import Path

import pytest

from transept.families.gpt2 import SIZES

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


def test_both_sides_load_one_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setitem(SIZES, "toy", {"width": 32, "heads": 4, "depth": 1, "length": 64})
    load, peers = importlib.import_module("load"), importlib.import_module("peers")
    assert load.write_theirs(tmp_path / "model", "toy") == 50_257 * 32 + 64 * 32 + 12 * 32**2 + 13 * 32 + 64
    rows = []
    for side in load.sides():
        (figure,) = load.work(side, tmp_path)
        assert figure.value == 60 / figure.facts["seconds"]
        assert 0 < figure.facts["loaded"] < figure.facts["seconds"]
        rows.append(peers.Row(side.who, side.how, side.role, side.format, [figure.value], facts=figure.facts))
    load.compare(rows)
    assert all(row.facts["note"].endswith(" s") for row in rows)
    rows[1].facts["logits"][0] += 1e-3
    with pytest.raises(SystemExit, match=r"Hugging Face scores the prompt 1.0e-03 away from Transept"):
        load.compare(rows)
