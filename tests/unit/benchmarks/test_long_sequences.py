"""The benchmark of long rows at toy size: slopes and crossings by hand, what it compares, and that each way runs."""

import importlib
import math
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    found = importlib.import_module("long_sequences")
    monkeypatch.setattr(found, "ENOUGH", 0.0)
    monkeypatch.setattr(found, "LEAST", 1)
    return found


def test_slopes_and_crossings_are_those_of_power_laws(script: ModuleType) -> None:
    lengths = [1024, 2048, 4096, 8192]
    square, line = {n: n**2 / 1e4 for n in lengths}, {n: 300 * n / 1e3 for n in lengths}
    assert script.slope(square) == pytest.approx(2)
    assert script.slope(line) == pytest.approx(1)
    assert math.isnan(script.slope({1024: 1.0}))
    assert script.crossing(line, square) == pytest.approx(3000)
    assert script.crossing(square, line) is None
    assert script.crossing({1024: 1.0}, {1024: 2.0}) == 1024
    course = script.Course("window", both={1024: 99.0, 4096: 4.0, 8192: 8.0})
    assert course.slope("both") == pytest.approx(1)  # where it is steady


def test_every_way_of_ours_runs_and_says_what_it_costs(script: ModuleType, tmp_path: Path) -> None:
    courses = []
    for name in [name for name, way in script.WAYS.items() if not way.needs]:
        side = script.Side("", "", "ours", "float32", {"way": name, "length": 512})
        (figure,) = script.work(side, tmp_path)
        assert figure.facts["both"] > figure.facts["forward"] > 0
        facts = {what: {512: figure.facts[what]} for what in ("forward", "both", "sample")}
        courses.append(script.Course(name, memory={512: 1.0}, **facts))
    assert any("window(256): faster than full SDPA" in line for line in script.sentences(courses))
    script.draw(courses, tmp_path / "long.png")
    assert (tmp_path / "long.png").read_bytes().startswith(b"\x89PNG")


def test_hugging_faces_bigbird_is_timed_as_it_is(script: ModuleType, tmp_path: Path) -> None:
    side = script.Side("", "", "peer", "float32", {"way": "their-bigbird", "length": 1024})
    (figure,) = script.work(side, tmp_path)
    assert len(figure.facts["sample"]) == 12


def test_hugging_faces_longformer_computes_our_window(script: ModuleType, tmp_path: Path) -> None:
    samples = []
    for name in ("window", "their-longformer"):
        side = script.Side("", "", "peer", "float32", {"way": name, "length": 1024})
        samples.append(script.work(side, tmp_path)[0].facts["sample"])
    assert samples[1] == pytest.approx(samples[0], rel=0, abs=1e-5)


def test_a_model_makes_a_step_in_either_format(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "DEPTH", 1)
    for format in ("float32", "bfloat16"):
        for name in script.STEPS:
            assert script.step(name, 512, format).facts["seconds"] > 0


def test_a_step_stands_beside_the_one_by_full_attention(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(file: Path, side: object, folder: Path) -> list[object]:
        name = side.options["step"]  # type: ignore[attr-defined]
        return [script.Figure(1.0, facts={"seconds": {"full": 12.0, "causal": 8.0}.get(name, 2.0), "memory": 1.0})]

    monkeypatch.setattr(script.peers, "run", run)
    found = {one["step"]: one.get("times") for one in script.measure_steps(["bfloat16"], 2, tmp_path)}
    assert found["full"] is found["causal"] is None
    assert (found["window(256)"], found["causal & window(256)"]) == (6.0, 4.0)


def test_a_peer_that_computes_something_else_is_refused(script: ModuleType) -> None:
    ours, theirs = (script.Course(name, sample={1024: [1.0, 2.0]}) for name in ("window", "their-window"))
    script.compare([ours, theirs])
    theirs.sample[1024] = [1.0, 2.001]
    with pytest.raises(SystemExit, match="local-attention is 1.0e-03 away"):
        script.compare([ours, theirs])


def test_a_peer_that_fails_is_left_out_aloud_and_we_are_not(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(file: Path, side: object, folder: Path) -> list[object]:
        options = side.options  # type: ignore[attr-defined]
        if options["length"] > 1024 and options["way"] in failing:
            raise SystemExit("not enough memory")
        facts = {"forward": 1.0, "both": 2.0, "memory": 3.0, "sample": [0.0]}
        return [script.Figure(1.0, facts=facts)]

    failing = {"their-bigbird"}
    monkeypatch.setattr(script.peers, "run", run)
    courses = script.measure(["window", "their-bigbird", "full"], [1024, 2048, 4096], 1, tmp_path, limit=2048)
    assert [sorted(course.both) for course in courses] == [[1024, 2048, 4096], [1024], [1024, 2048]]
    assert "left out from 2,048 tokens on" in capsys.readouterr().err
    failing.add("window")
    with pytest.raises(SystemExit, match="not enough memory"):
        script.measure(["window"], [2048], 1, tmp_path, limit=2048)
