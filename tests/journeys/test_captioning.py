"""A person trains a model that describes pictures, goes on after an interruption, scores it and shows it a picture."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import transept
from journeys.conftest import run
from transept.data.digits import Grids
from transept.recipes.recipe import load_recipe
from unit.data.made_digits import write_digits

WORDS = (
    "model.image=32", "model.stages=[[8], [16]]", "model.pools=[4, 2]", "model.hidden=48", "model.align=16",
    "data.grid={side: 2, cell: 16, least: 1, most: 2, train: 300, valid: 20, test: 12, seed: 1}",
    "train.batch_tokens=128", "train.stop=60u", "train.validate_every=30u", "train.threads=1", "train.device=cpu",
    "train.schedule={name: constant, rate: 0.01, warmup: 10}",
)  # fmt: skip


KINDS = {
    "soft": ["model.attention=soft"],
    "gumbel": ["model.attention=hard"],
    "reinforce": ["model.attention=hard", "model.estimator=reinforce"],
}


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_digits(tmp_path_factory.mktemp(request.param))
    ended = run("train", "show-attend-tell", f"data.dir={root}", f"run={root}/run", *KINDS[request.param], *WORDS)
    assert ended.code == 0, ended.err
    assert f"use it:   transept caption {root}/run PICTURE" in ended.out
    return root / "run"


def test_it_is_checked_scored_and_shown_a_picture(trained: Path, tmp_path: Path) -> None:
    folder = trained.parent
    checked = run("check", "show-attend-tell", f"data.dir={folder}", f"run={tmp_path}/other", *WORDS)
    assert checked.code == 0, checked.err
    assert "32 x 32 pixels, 1 channel, looked at in 4 x 4 places" in checked.out
    scored = run("eval", trained, "--json", "--out", tmp_path / "out.txt")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert (found["split"], found["pictures"]) == ("test", 12)
    assert 0 <= found["on_the_cell"] <= 100
    made = Grids.read(folder, load_recipe(trained).data.grid, "test")  # type: ignore[attr-defined]
    outputs = (tmp_path / "out.txt").read_text().splitlines()
    files = []
    for row in range(3):
        files.append(tmp_path / f"{row}.png")
        Image.fromarray(made.pixels_of(row)).save(files[-1])
    told = run("caption", trained, *files)
    assert told.code == 0, told.err
    assert told.out.splitlines() == outputs[:3]  # a picture from a file is what was scored
    wide = run("caption", trained, files[0], "beam=3", "--n-best", "2", "--json")
    assert len(json.loads(wide.out)["others"]) == 1
    model = transept.load(trained)
    assert model.verbs == ("caption",)
    assert [str(text) for text in model.caption(files)] == outputs[:3]
    card = (trained / "model" / "README.md").read_text()
    assert 'model.caption("picture.png")' in card and "It describes pictures." in card
    table = tmp_path / "table.tsv"
    table.write_text("".join(f"{file.name}\t{text}\n" for file, text in zip(files, made.texts, strict=False)))
    assert "data: 3 pictures of" in run("eval", trained, "--data", table).out


def test_what_it_cannot_is_told(trained: Path) -> None:
    ended = run("translate", trained, "hello")
    assert ended.code == 2
    assert "an encoder that reads pictures and a decoder" in ended.err
    assert "It can caption" in ended.err


def test_a_run_that_was_interrupted_ends_at_the_same_bits(trained: Path, tmp_path: Path) -> None:
    """The baseline of REINFORCE is part of what is saved."""
    words = [word for word in WORDS if not word.startswith("train.stop")]
    kind = next(kind for kind in KINDS if trained.parent.name.startswith(kind))
    start = ("train", "show-attend-tell", f"data.dir={trained.parent}", *KINDS[kind], f"run={tmp_path}/run")
    assert run(*start, *words, "train.stop=30u").code == 0
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("stop: 30u", "stop: 60u"))
    ended = run("train", tmp_path / "run", "--resume")
    assert ended.code == 0, ended.err
    state = json.loads((tmp_path / "run" / "last" / "state.json").read_text())
    assert (state["task"]["baseline"] != 0) == (kind == "reinforce")
    from safetensors.torch import load_file

    whole, parted = (load_file(root / "last" / "model.safetensors") for root in (trained, tmp_path / "run"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, parted[name]), name
