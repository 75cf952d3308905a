"""A person looks at a model: beside another, beside its own past, and on its way; and errs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

import transept
from journeys.conftest import make_toy, run
from transept.cli.moments import film_of, opened
from transept.look.asking import METHODS
from transept.look.server import Server
from transept.look.stage import Stage
from unit.look.browsed import Shown
from unit.look.conftest import browser, page  # noqa: F401
from unit.look.test_copy import agrees
from unit.look.test_why import read_bars

UPDATES = ["30", "60", "90", "120"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the toy language that kept all of its checkpoints."""
    recipe = make_toy(tmp_path_factory.mktemp("kept"))
    ended = run("train", recipe, "train.stop=120u", "train.validate_every=30u", "train.keep=4")
    assert ended.code == 0, ended.err
    return recipe.parent / "run"


def held(file: Path) -> Any:
    """What a page in one file shows."""
    found = re.search(r'id="told">(.*?)</script>', file.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return json.loads(found[1])


def test_a_film_goes_into_one_file(kept: Path, tmp_path: Path) -> None:
    ended = run("look", kept, "1 2 3", "--film", "--html", tmp_path / "film.html")
    assert ended.code == 0, ended.err
    assert "left out" not in ended.err
    told = held(tmp_path / "film.html")
    assert told["film"] == [int(update) for update in UPDATES]
    (scene,) = told["scenes"]
    assert list(scene["film"]) == UPDATES
    likely = [scene["film"][update]["probability"] for update in UPDATES]
    assert likely[0] < likely[-1], "it learned"
    size = sum(2 * heads * rows * columns for heads, rows, columns in (layer["shape"] for layer in scene["layers"]))
    assert all(len(moment["packed"]) == 4 * -(-size // 3) for moment in scene["film"].values())


def test_each_moment_has_the_weights_that_were_saved(kept: Path) -> None:
    film = film_of(kept, opened(kept, "cpu"))
    for update in reversed(film.updates):  # in any order
        state = film._model_at(update).state_dict()
        saved = load_file(kept / "checkpoints" / f"{update:08d}" / "model.safetensors")
        assert saved
        assert all(torch.equal(state[name], tensor) for name, tensor in saved.items())


def test_the_python_of_a_film_and_of_a_checkpoint_gives_their_numbers(page: Any, kept: Path) -> None:  # noqa: F811
    own = opened(kept, "cpu")
    stage = Stage(own, opened(kept / "checkpoints" / "00000030", "cpu"), film_of(kept, own))
    stage.open("1 2 3", most=4)
    with Shown(stage) as root:
        page.goto(f"{root}#view=film&layer=5&head=1&pin=2")
        assert [row[0] for row in agrees(page, "the film of a word")] == UPDATES
        curves = agrees(page, "the curves")
        assert [row[0] for row in curves] == UPDATES
        assert float(curves[0][-1]) < float(curves[-1][-1]), "it learned"
        page.goto(f"{root}#view=compare&layer=5&pin=1&other=1:")
        agrees(page, "the comparison")


@pytest.mark.parametrize("method", ["leave-one-out", "gradient"])
def test_why_on_the_command_line_is_that_of_the_page_and_of_python(page: Any, kept: Path, method: str) -> None:  # noqa: F811
    ended = run("why", kept, "1 2 3", "--output", "3", "--method", method, "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["number"], told["output"], told["method"]) == (3, "1", method)  # not the first, which is written 3
    own = opened(kept, "cpu")
    stage = Stage(own)
    read = stage.made_of(stage.open("1 2 3"))
    wanted = METHODS[method][1](read.example, read.asked[2])
    for side, of in (("source", "source"), ("given", "target")):
        assert len(told["tokens"][side]) == len(told["sides"][side])
        assert_close(torch.tensor(told["sides"][side]), wanted.tokens[of], rtol=1e-5, atol=1e-7)
    assert max(map(abs, told["sides"]["source"])) > 1e-3
    with Shown(stage) as root:
        page.goto(f"{root}#view=why&output=2&pieces=true&method={method}")
        page.locator(".signs li").first.wait_for()
        assert read_bars(page) == pytest.approx(told["sides"]["source"], rel=0, abs=6e-4)  # three digits are shown
        assert read_bars(page, 1) == pytest.approx(told["sides"]["given"][:3], rel=0, abs=6e-4)


def test_why_is_read_by_people(kept: Path) -> None:
    ended = run("why", kept, "1 2 3")
    assert ended.code == 0, ended.err
    assert "output 1 of" in ended.err and "less probable" in ended.err
    lines = [line.split() for line in ended.out.splitlines()]
    assert [line[0] for line in lines] == ["source"] * 4 + ["given"]
    assert [line[1] for line in lines[:3]] == ["1", "2", "3"]
    told = json.loads(run("why", kept, "1 2 3", "--json").out)
    assert [float(line[2]) for line in lines] == pytest.approx(
        [*told["sides"]["source"], told["sides"]["given"][0]], rel=0, abs=6e-5
    )
    strongest = max(lines, key=lambda line: abs(float(line[2])))
    assert len(strongest[3]) == max(len(line[3]) for line in lines if len(line) > 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--output", "nothing"], "there is no output 'nothing'"),
        (["--output", "99"], "Those that can be explained: 1 "),
        (["--method", "gradiant"], "Did you mean 'gradient'?"),
    ],
)
def test_a_why_that_cannot_be_is_refused(kept: Path, words: list[str], told: str) -> None:
    ended = run("why", kept, "1 2 3", *words)
    assert ended.code == 2
    assert told in ended.err


def test_another_machine_reaches_the_page_by_ssh(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(server: Server) -> None:
        raise KeyboardInterrupt

    opening = list[str]()
    monkeypatch.setattr(Server, "serve_forever", interrupted)
    monkeypatch.setattr("typer.launch", opening.append)
    ended = run("look", kept, "1 2 3", "--ssh")
    assert ended.code == 0, ended.err
    found = re.search(r"ssh -N -L (\d+):127.0.0.1:\1 \S+@\S+;", ended.err)
    assert found is not None
    assert ended.out.startswith(f"http://127.0.0.1:{found[1]}/")
    assert opening == []
    refused = run("look", kept, "1 2 3", "--ssh", "--html", kept / "page.html")
    assert (refused.code, (kept / "page.html").exists()) == (2, False)
    assert "--ssh is for a page that is served" in refused.err


def test_a_run_without_a_model_is_read_from_its_checkpoints(kept: Path, tmp_path: Path) -> None:
    ended = opened(kept, "cpu")
    begun = tmp_path / "begun"
    shutil.copytree(kept, begun, symlinks=True)
    shutil.rmtree(begun / "model")
    shown = run("look", begun, "1 2 3", "--film", "--html", tmp_path / "film.html")
    assert shown.code == 0, shown.err
    assert "this run has no model yet, and is read from its last checkpoint, 00000120" in shown.err
    told = held(tmp_path / "film.html")
    assert (told["model"], told["film"]) == ("begun, update 120", [int(update) for update in UPDATES])
    own = opened(begun, "cpu")
    saved = load_file(begun / "checkpoints" / "00000120" / "model.safetensors")
    assert all(torch.equal(own.model.state_dict()[name], tensor) for name, tensor in saved.items())
    assert (own.generation, own.verbs, own.spec) == (ended.generation, ended.verbs, ended.spec)
    assert own.tokenizer is not None
    assert ended.tokenizer is not None
    assert own.tokenizer.encode("1 2 3") == ended.tokenizer.encode("1 2 3")
    films = [film_of(where, model) for where, model in ((begun, own), (kept, ended))]
    for update in films[0].updates:
        one, two = (film._model_at(update).state_dict() for film in films)
        assert all(torch.equal(one[name], tensor) for name, tensor in two.items())
    early = run("look", begun / "checkpoints" / "00000030", "1 2 3", "--html", tmp_path / "early.html")
    assert early.code == 0, early.err
    assert held(tmp_path / "early.html")["model"] == "begun, update 30"
    assert not (begun / "model").exists(), "nothing was written there"
    shutil.rmtree(begun / "checkpoints")
    (begun / "checkpoints").mkdir()
    none = run("look", begun, "1 2 3", "--film", "--no-open")
    assert (none.code, "the run has no checkpoint yet" in none.err) == (2, True)


def test_a_checkpoint_stands_where_a_model_stands(kept: Path, tmp_path: Path) -> None:
    early = kept / "checkpoints" / "00000030"
    ended = run("look", kept, "1 2 3", "--against", early, "--html", tmp_path / "both.html")
    assert ended.code == 0, ended.err
    told = held(tmp_path / "both.html")
    assert (told["model"], told["against"]) == ("run", "run, update 30")
    one, two = told["scenes"]
    assert one["target"] == two["target"] == transept.load(kept).translate("1 2 3").ids
    assert one["layers"][0]["packed"] != two["layers"][0]["packed"]
    alone = run("look", early, "1 2 3", "--html", tmp_path / "early.html")
    assert alone.code == 0, alone.err
    assert held(tmp_path / "early.html")["model"] == "run, update 30"


def test_two_texts_go_into_one_file_with_their_vectors(kept: Path, tmp_path: Path) -> None:
    ended = run("look", kept, "1 2 3", "3 2 1", "--html", tmp_path / "texts.html")
    assert ended.code == 0, ended.err
    drifts = held(tmp_path / "texts.html")["drifts"]
    assert set(drifts) == {f"1/2/{side}/{of}" for side in ("source", "target") for of in ("words", "tokens")}


def test_adapters_are_merged_at_every_moment(kept: Path, tmp_path: Path) -> None:
    recipe, out = make_toy(tmp_path), tmp_path / "tuned"
    words = [f"run={out}", "train.lora={rank: 2, targets: '*.q|v'}", "train.average=0", "train.stop=20u"]
    ended = run("train", recipe, "--from", kept, *words, "train.validate_every=10u")
    assert ended.code == 0, ended.err
    own = opened(out, "cpu")
    film = film_of(out, own)
    assert film.updates == (10, 20)
    best = int((out / "best").resolve().name)
    made, early = film._model_at(best).state_dict(), film._model_at(30 - best).state_dict()
    assert made.keys() == own.model.state_dict().keys()
    for name, tensor in own.model.state_dict().items():
        torch.testing.assert_close(made[name], tensor, rtol=0, atol=1e-6)
    assert any(not torch.equal(made[name], early[name]) for name in made if name.endswith("q.weight"))


def test_what_makes_no_film_is_refused_with_the_way_out(kept: Path, tmp_path: Path) -> None:
    recipe = make_toy(tmp_path)
    words = ["train.stop=5u", "train.validate_every=5u", "train.average=0", f"run={tmp_path}/short"]
    assert run("train", recipe, *words).code == 0
    for where, told in (
        (tmp_path / "short", "the run kept one checkpoint, of update 5, and a film needs two"),
        (kept / "model", "this is no run directory: it has no checkpoints"),
    ):
        ended = run("look", where, "1 2 3", "--film")
        assert ended.code == 2
        assert told in ended.err
    assert "train.keep=20" in run("look", tmp_path / "short", "1", "--film").err
    (tmp_path / "page.html").write_text("mine")
    ended = run("look", kept, "1 2 3", "--html", tmp_path / "page.html")
    assert ended.code == 2 and "this file is there already" in ended.err
    assert (tmp_path / "page.html").read_text() == "mine"
    ended = run("look", kept, "1 2 3", "--html", tmp_path / "page.html", "--overwrite")
    assert ended.code == 0 and len(held(tmp_path / "page.html")["scenes"]) == 1
    ended = run("look", kept, "1 2 3", "--overwrite")
    assert ended.code == 2 and "--overwrite is for --html" in ended.err
    ended = run("look", kept, "1 2 3", "--against", kept / "checkpoints" / "00000031")
    assert ended.code == 3
    assert "there is no such checkpoint" in ended.err
    assert "00000030, 00000060, 00000090, 00000120" in ended.err
    ended = run("look", kept, "1 2 3", "--against", tmp_path / "nothing")
    assert ended.code == 3
    assert "there is no such directory" in ended.err


def test_a_damaged_checkpoint_is_left_out_of_the_file_and_named(own_run: Path, tmp_path: Path) -> None:
    first = min((own_run / "checkpoints").iterdir())
    whole = (first / "model.safetensors").read_bytes()
    (first / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ended = run("look", own_run, "1 2 3", "--film", "--html", tmp_path / "film.html")
    assert ended.code == 0, ended.err
    assert f"left out: update {int(first.name)} of scene 1: model.safetensors is not what was written" in ended.err
    assert str(int(first.name)) not in held(tmp_path / "film.html")["scenes"][0]["film"]
