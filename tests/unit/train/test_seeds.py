"""Which seeds a text means, and what the scores of several come to."""

import json
import statistics
from pathlib import Path

import pytest

from transept.errors import InvalidData, UsageError
from transept.train.run import RunDirectory
from transept.train.seeds import Seeds, asked_of, parse, scores_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", [1]),
        ("3", [1, 2, 3]),
        ("1,2,7", [1, 2, 7]),
        ("7,", [7]),
        ("0,", [0]),
        (",", None),
        ("0,4", [0, 4]),
        ("4,4", None),
    ],
)
def test_a_text_means_seeds(text: str, found: list[int] | None) -> None:
    if found is None:
        with pytest.raises(UsageError, match="how many, or which, each once"):
            parse(text)
    else:
        assert parse(text) == found


def test_means_and_deviations_are_of_the_sample() -> None:
    found = Seeds("accuracy", True, {s: {"loss": 2.0 * s, "accuracy": v} for s, v in ((1, 80.0), (2, 90.0), (5, 85.5))})
    assert found.mean("accuracy") == pytest.approx(85.1666666, rel=1e-6)
    assert found.deviation("accuracy") == pytest.approx(statistics.stdev([80.0, 90.0, 85.5]), rel=1e-12)
    assert found.names == ["accuracy", "loss"] and found.best == 2
    lines = list(found.lines())
    assert lines[0].split() == ["mean", "±", "sd", "seed", "1", "seed", "2", "seed", "5"]
    assert lines[1].split() == ["accuracy", "*", "85.17", "±", "5", "80", "90", "85.5"]
    assert "seed 2, whose accuracy on the validation split is the highest" in found.section()
    assert "| loss | 5.333 ± 4.2 | 2 | 4 | 10 |" in found.section()


def test_the_best_is_the_lowest_of_a_loss_and_never_what_is_no_number() -> None:
    scores = {1: {"loss": None}, 2: {"loss": 3.0}, 3: {"loss": 2.0}, 4: {"loss": 2.0}}
    found = Seeds("loss", False, scores)
    assert found.best == 3  # the first of equals
    assert found.mean("loss") is None and found.deviation("loss") is None
    assert list(found.lines())[1].split() == ["loss", "*", "?", "?", "3", "2", "2"]
    assert Seeds("accuracy", True, {1: {"accuracy": None}, 2: {"accuracy": -1.0}}).best == 2


def test_one_seed_has_a_mean_and_no_deviation(tmp_path: Path) -> None:
    found = Seeds("loss", False, {3: {"loss": 1.5}})
    assert found.mean("loss") == 1.5 and found.deviation("loss") is None
    found.write(tmp_path, [3, 4])
    told = json.loads((tmp_path / "seeds.json").read_text())
    assert told["asked"] == [3, 4] and told["sd"] == {"loss": None} and told["seeds"] == {"3": {"loss": 1.5}}
    assert asked_of(tmp_path) == [3, 4] and asked_of(tmp_path / "none") is None
    (tmp_path / "seeds.json").write_text("{}")
    with pytest.raises(InvalidData, match="does not say which seeds"):
        asked_of(tmp_path)


def test_scores_are_those_of_the_model_that_was_made_last(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    made = [{"schema": 1, "event": "model", "time": "", "checkpoints": [n], "loss": n} for n in (3, 2)]
    events = [{"event": "valid", "loss": 9}, *made]
    run.metrics.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert scores_of(run) is None  # its model is not there
    run.model.mkdir()
    assert scores_of(run) == {"loss": 2}
    with run.metrics.open("ab") as handle:  # killed in the middle of a letter
        handle.write('{"event": "model", "loss": 3, "who": "ü'.encode()[:-1])
    assert scores_of(run) == {"loss": 2}
