"""The benchmark of copies at toy size: each model is trained once, and measured."""

import json
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


def test_models_are_trained_once_and_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import copying

    words = ["copying.py", "train.threads=1", "--out", str(tmp_path), "--quick", "--updates", "2", "--only", "lstm"]
    monkeypatch.setattr(copying, "LENGTHS", (2, 25))
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    copying.main()
    row = json.loads(capfd.readouterr().out)
    assert row["model"] == "lstm"
    assert row["updates"] == 2
    assert 0 < row["errors"]["2"] <= 16
    assert row["cost"]["25"] == pytest.approx(200, rel=0.05)  # what knows nothing gives each bit one bit
    model = tmp_path / "lstm/model/model.safetensors"
    written = model.stat().st_mtime_ns
    monkeypatch.setattr(sys, "argv", words)
    copying.main()
    assert "1,3" in capfd.readouterr().out  # the parameters, in the table
    assert model.stat().st_mtime_ns == written
    monkeypatch.setattr(sys, "argv", [*words, "--updates", "3"])
    with pytest.raises(SystemExit, match="trained for 2u, not 3u"):
        copying.main()
