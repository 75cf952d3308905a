"""A person trains on Parquet and on data sets of the hub: names, classes, scores, cards; and is told what is amiss."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from journeys.conftest import run
from journeys.test_fine_tuning import SMALL
from unit.data.made_columnar import COMMIT, at_home, write_cached
from unit.tasks.made_texts import BAD, GOOD, THINGS

datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")


def reviews(count: int, seed: int) -> Any:
    """Sentences that praise or do not, with the names of both classes."""
    draws = random.Random(seed)
    texts = [f"a {draws.choice(GOOD if i % 2 else BAD)} {draws.choice(THINGS)}" for i in range(count)]
    kinds = datasets.Features({"remark": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    return datasets.Dataset.from_dict({"remark": texts, "label": [i % 2 for i in range(count)]}, features=kinds)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    datasets.disable_progress_bars()
    at_home(monkeypatch, tmp_path / "cache")
    write_cached(tmp_path / "cache", {"train": reviews(60, 0), "validation": reviews(20, 1)}, config="films")
    return tmp_path


def test_a_data_set_of_the_hub_is_trained_on_and_scored(there: Path) -> None:
    entry = "hub:owner/toy/films"
    words = ("sst2", f"data.train={entry}", f"data.valid={entry}", "data.columns.text=remark", *SMALL)
    checked = run("check", *words, "data.classes=null", f"run={there}/run")
    assert checked.code == 0, checked.err
    assert f"{entry}:validation: 20 rows of the hub's commit {COMMIT[:12]} from the cache" in checked.err + checked.out
    ended = run("train", *words, "data.classes=null", f"run={there}/run", "train.stop=60u")
    assert ended.code == 0, ended.err
    # The recipe's names of columns were for another file, and no null was needed for them.
    assert "which names its columns itself (data.head has no say)" in ended.err + ended.out
    assert "2 (no, yes), 30 to 30 examples each" in ended.err + ended.out
    scored = run("eval", there / "run", "--json")
    assert scored.code == 0 and json.loads(scored.out)["accuracy"]["value"] == 100, scored.err
    assert f"{entry}:train" in (there / "run" / "model" / "README.md").read_text()
    reviews(10, 2).to_parquet(there / "more.parquet")
    more = run("eval", there / "run", "--data", there / "more.parquet", "--json")
    assert more.code == 0 and json.loads(more.out)["texts"] == 10, more.err
    split = run("eval", there / "run", "--data", f"{entry}:train", "--json")
    assert split.code == 0 and json.loads(split.out)["texts"] == 60, split.err
    assert run("classify", there / "run", "a lovely song").out.split("\t")[0].strip() == "yes"


def test_parquet_is_trained_on_with_the_recipes_own_names_of_classes(there: Path) -> None:
    reviews(60, 0).to_parquet(there / "train.parquet")
    words = ("sst2", f"data.dir={there}", "data.train=train.parquet", "data.valid=null", "data.hold={share: 0.2}",
             "data.columns.text=remark", f"run={there}/run", *SMALL, "train.stop=5u")  # fmt: skip
    ended = run("train", *words)
    assert ended.code == 0, ended.err
    assert f"{there}/train.parquet: 60 rows of Parquet" in ended.err + ended.out
    assert "2 (negative, positive), 24 to 24 examples each" in ended.err + ended.out
    assert (ended.err + ended.out).count(f"{there}/train.parquet: no counts as negative, yes as positive") == 1
    turned = run("train", *words, "data.classes=[Yes, No]", f"run={there}/other")
    assert turned.code == 3 and "class 0 is 'no', which data.classes has at 1: Yes, No" in turned.err
    again = run("train", there / "run", "--resume")
    assert again.code == 0, again.err


def test_what_is_amiss_is_told_before_a_run_is_made(there: Path) -> None:
    words = ("sst2", f"run={there}/run", *SMALL, "train.stop=5u", "data.valid=hub:owner/toy/films")
    for more, message in (
        (("data.train=hub:toy",), "'hub:toy' is no name at the hub"),
        (("data.train=hub:owner/toy/films",), "no column is called text or sentence"),
        (("data.train=hub:owner/toy/films:trial",), "there is no split 'trial'. Did you mean 'train'?"),
        (("data.train=hub:owner/none",), "the cache has no such data set, and TRANSEPT_OFFLINE forbids the network"),
        (
            ("data.train=hub:owner/toy/films", "data.columns.text=remark", "data.classes=[no, maybe]"),
            "hub:owner/toy/films:train: row 2: the label 'yes' is none of data.classes",
        ),
    ):
        ended = run("train", *words, *more)
        assert ended.code == 3 and message in ended.err, (message, ended.err)
        assert not (there / "run").exists()
    assert "data.classes=null takes those of the table." in ended.err
