"""The benchmark of key/value heads at toy size: it trains, decodes, converts, and tells what is not in proportion."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    found = importlib.import_module("kv_heads")
    small = {"WIDTH": 32, "HEADS": 4, "DEPTH": 1, "LENGTH": 16, "BATCH": 4, "ROWS": 2, "TOKENS": 4, "PROMPT": 12}
    for name, value in small.items():
        monkeypatch.setattr(found, name, value)
    monkeypatch.setattr(found, "GROUPS", (4, 1))
    whole = found.made()[:300]
    monkeypatch.setattr(found, "made", lambda: whole)
    return found


def asked(script: ModuleType, groups: int, updates: int = 3) -> Any:
    return script.Side("", "", "ours", "float32", {"groups": groups, "updates": updates, "seed": 0, "data": None})


def test_every_number_of_heads_is_trained_decoded_and_made_of_the_whole_one(script: ModuleType, tmp_path: Path) -> None:
    (whole,), (one,) = (script.work(asked(script, groups), tmp_path) for groups in (4, 1))
    assert whole.facts["bytes"] == 4 * one.facts["bytes"] == 2 * (2 * 16 * 32) * 4  # keys and values, rows, columns
    assert whole.value > 0
    assert whole.facts["converted"] == pytest.approx(
        whole.facts["loss"], abs=1e-5
    )  # as many heads are the model itself
    assert abs(one.facts["converted"] - one.facts["loss"]) > 1e-4


def test_training_lowers_the_loss_of_texts_that_were_not_seen(script: ModuleType) -> None:
    seen, unseen = script.texts(None)
    torch.manual_seed(0)
    model = script.spec(2).build()
    before = script.loss_of(model.eval(), unseen)
    script.train(model, seen, 40, 5e-3, 0)
    assert script.loss_of(model, unseen) < before - 0.5
    assert seen.max() == script.LETTERS - 1  # the end of a line is a letter
    assert "".join(chr(32 + int(i)) for i in seen[:40]).split()[0].isalpha()


def test_the_table_and_the_lines_and_what_is_out_of_proportion(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(file: Path, side: Any, folder: Path) -> list[Any]:
        groups = side.options["groups"]
        facts = {"loss": 1.5, "bytes": 1000 * groups * wrong, "converted": 2.5, "trained on": 1.75}
        return [script.Figure(100.0 / groups, facts=facts if groups == 1 else facts | {"bytes": 1000 * groups})]

    wrong = 1
    monkeypatch.setattr(script.peers, "run", run)
    parser = script.peers.arguments("")
    parser.add_argument("--updates", type=int, default=7)
    words = parser.parse_args(["--rounds", "2", "--json"])
    script.prepare(words, tmp_path)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["groups"], row["value"], row["updates"], row["loss"]) for row in rows] == [
        (4, 25.0, 7, 1.5),
        (1, 100.0, 7, 1.5),
    ]
    words.json = False
    script.prepare(words, tmp_path)
    assert "0.250" in capsys.readouterr().out
    wrong = 2
    with pytest.raises(SystemExit, match="1 key/value heads keep 2,000 bytes, which is not in proportion"):
        script.prepare(words, tmp_path)
