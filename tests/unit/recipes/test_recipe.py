import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from transept.errors import InvalidConfig, UsageError
from transept.recipes.recipe import Recipe, load_recipe, recipe_names, recipe_text, resolve, summary

NAMES = (
    "bahdanau",
    "bart-mini",
    "bert-mini-wikitext",
    "char-shakespeare",
    "cola",
    "convs2s",
    "dates",
    "gru-context",
    "iwslt",
    "lstm-seq2seq",
    "luong",
    "minilm-stsb",
    "ntm-copy",
    "ntm-recall",
    "ntm-repeat-copy",
    "pairs",
    "pos-tagging",
    "scitldr",
    "show-attend-tell",
    "squad",
    "sst2",
    "stsb",
    "t5-mini",
    "t5-mini-glue",
    "transformer-base",
    "transformer-big",
    "transformer-de-en",
    "transformer-tiny-multi30k",
    "transformer-xl-shakespeare",
    "vit-cifar10",
    "vit-mnist",
    "wav2vec2-digits",
    "wav2vec2-digits-few",
    "wav2vec2-digits-pretrain",
)

SMALL = """task: translation
run: runs/mine
model: {family: transformer, size: tiny}
train:
  stop: 60u
  batch_tokens: 1000
  schedule:
    name: constant
    rate: 1e-3
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    return path


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("name", recipe_names())
def test_resolving_is_complete_and_gives_the_recipe_back(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    text = resolve(recipe)
    (tmp_path / "config.yaml").write_text(text)
    again = load_recipe(tmp_path)  # a run directory
    assert again == recipe
    assert resolve(again) == text
    sections = [part for key in type(recipe).model_fields if isinstance(part := getattr(recipe, key), BaseModel)]
    assert len(sections) > 2
    for part in sections:
        assert all(f"{key}:" in text for key in type(part).model_fields)


def test_there_are_the_promised_recipes() -> None:
    assert tuple(recipe_names()) == NAMES
    for name in NAMES:
        assert recipe_text(name).startswith("# ")
        assert len(summary(name)) > 30
        assert load_recipe(name).run.startswith("runs/")


def test_the_papers_numbers_are_the_papers() -> None:
    base, big, tiny = map(load_recipe, ("transformer-base", "transformer-big", "transformer-tiny-multi30k"))
    assert (base.train.stop, big.train.stop) == ("100000u", "300000u")
    assert (base.train.average, big.train.average, base.train.save_every) == (5, 20, "10min")
    for recipe, width, dropout in ((base, 512, 0.1), (big, 1024, 0.3)):
        assert recipe.train.schedule.model_dump() == {"name": "noam", "width": width, "warmup": 4000, "rate": 1.0}
        assert (recipe.train.optimizer.betas, recipe.train.optimizer.eps) == ((0.9, 0.98), 1e-9)
        assert (recipe.train.smoothing, recipe.train.smoothing_form, recipe.train.clip) == (0.1, "others", 0.0)
        assert recipe.train.batch_tokens * recipe.train.accumulate == 25_000
        assert (recipe.search.beam, recipe.search.penalty, recipe.search.length_penalty) == (4, "wu", 0.6)
        assert (recipe.search.max_ratio, recipe.search.max_extra) == (1.0, 50)
        assert recipe.model["dropout"] == dropout
    assert tiny.train.batch_tokens * tiny.train.accumulate == 8192
    assert tiny.train.schedule.model_dump() == {"name": "inverse_sqrt", "rate": 0.005, "warmup": 2000}
    assert (tiny.train.stop, tiny.train.average, tiny.train.patience) == ("8000u", 10, 10)
    assert (tiny.search.beam, tiny.search.length_penalty, tiny.evaluate.tokenize) == (5, 1.0, "none")
    assert tiny.data.vocabulary.merges == 10_000


def test_a_variant_is_laid_over_a_recipe_and_what_is_typed_over_it(small: Path, tmp_path: Path) -> None:
    text = small.read_text()
    small.write_text(
        text + "variants:\n  quick:\n    train: {stop: 5u, schedule: {rate: 0.5}}\n    model: {depth: 1}\n"
    )
    assert load_recipe(small).train.stop == "60u"
    quick = load_recipe(small, ["train.seed=3", "variant=quick", "model.depth=2"])
    assert (quick.train.stop, quick.train.schedule.rate, quick.train.schedule.name) == ("5u", 0.5, "constant")
    assert (quick.train.seed, quick.model["depth"], quick.model["size"]) == (3, 2, "tiny")
    assert quick.where("train.stop") == f"{small}:12"
    assert "variant" not in resolve(quick)
    with pytest.raises(InvalidConfig, match=r"there is no variant 'quik'\. Did you mean 'quick'\?"):
        load_recipe(small, ["variant=quik"])
    with pytest.raises(InvalidConfig, match="This recipe has none"):
        load_recipe("pairs", ["variant=quick"])


@pytest.mark.parametrize(
    ("name", "variants"),
    [
        ("char-shakespeare", ("gpu", "quick")),
        ("transformer-xl-shakespeare", ("quick",)),
        ("bert-mini-wikitext", ("roberta", "quick")),
        ("t5-mini", ("small", "quick")),
        ("bart-mini", ("base", "quick")),
        ("cola", ("quick",)),
        ("minilm-stsb", ("quick",)),
        ("pos-tagging", ("quick",)),
        ("sst2", ("quick",)),
        ("stsb", ("quick",)),
        ("t5-mini-glue", ("cola", "stsb", "sst2", "quick")),
        ("scitldr", ("quick",)),
    ],
)
def test_the_variants_of_recipes_are_recipes(name: str, variants: tuple[str, ...]) -> None:
    plain = load_recipe(name)
    for variant in variants:
        assert load_recipe(name, [f"variant={variant}"]) != plain


def test_the_numbers_of_fine_tuning_are_berts() -> None:
    """Three epochs of 32 texts at a rate among the paper's, which rises for a tenth of them."""
    for name, count in (("cola", 8551), ("sst2", 6920), ("stsb", 5749), ("pos-tagging", 12_544), ("squad", 87_599)):
        recipe = load_recipe(name)
        updates, settings = 3 * -(-count // 32), recipe.train.schedule
        share = 0.02 if name == "squad" else 0.01  # some of its contexts have two windows
        assert abs(int(recipe.train.stop.removesuffix("u")) / updates - 1) < share, name
        assert settings.name == "linear" and settings.rate in (2e-5, 3e-5, 4e-5, 5e-5)
        assert settings.warmup / updates == pytest.approx(0.1, rel=0.03) and recipe.data.together == 32
        assert (recipe.train.optimizer.name, recipe.train.optimizer.weight_decay) == ("adamw", 0.01)
        assert str(recipe.start).startswith("google-bert/") and not recipe.model
        if name in ("stsb", "squad"):  # of which nothing is learned from nothing
            continue
        quick = load_recipe(name, ["variant=quick"])
        assert quick.start is None and quick.model["family"] == "bert"
    assert (load_recipe("cola").evaluate.best, load_recipe("sst2").evaluate.best) == ("mcc", "accuracy")
    tuned = load_recipe("minilm-stsb")
    assert (tuned.data.together, tuned.similarity.scores, tuned.train.validate_first) == (16, (0.0, 5.0), True)


def test_the_numbers_of_nanogpt_are_its() -> None:
    small, large = load_recipe("char-shakespeare"), load_recipe("char-shakespeare", ["variant=gpu"])
    for recipe, length, rows, stop in ((small, 64, 12, "2000u"), (large, 256, 64, "5000u")):
        assert recipe.train.batch_tokens == rows * length and recipe.data.length == recipe.model["length"] == length
        assert recipe.train.schedule.model_dump(exclude={"updates"}) == {
            "name": "cosine", "rate": 1e-3, "warmup": 100, "floor": 1e-4
        }  # fmt: skip
        assert (recipe.train.optimizer.betas, recipe.train.optimizer.weight_decay) == ((0.9, 0.99), 0.1)
        assert (recipe.train.clip, recipe.train.stop, recipe.data.hold_out) == (1.0, stop, 0.1)
    assert {key: small.model[key] for key in ("width", "heads", "depth", "dropout")} == {
        "width": 128, "heads": 4, "depth": 4, "dropout": 0.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sections"),
    [("language", {"data": {"length": 16}}), ("classification", {"classify": {"target": "number"}}), ("speech", {})],
)
def test_a_plain_recipe_is_of_its_task_and_has_the_defaults(name: str, sections: dict[str, dict[str, object]]) -> None:
    kind = importlib.import_module(f"transept.tasks.settings.{name}").RECIPE
    plain = kind.plain(77, **sections)
    assert (type(plain), plain.task, plain.train.batch_tokens) == (kind, name, 77)
    found = plain.model_dump()
    assert all(found[part][key] == value for part, given in sections.items() for key, value in given.items())
    assert plain.evaluate == kind.model_fields["evaluate"].default


def test_overrides_are_typed_by_the_key(small: Path) -> None:
    recipe = load_recipe(
        small,
        [
            "train.seed=2", "train.stop=10e", "train.schedule.rate=5e-4", "data.dir=2026", "run=123", "data.source=no",
            "data.train=[a.en, b.de]", "train.optimizer.betas=[0.8, 0.9]", "model.norm=before", "data.max_ratio=1.5",
            "data.max_ratio=null", "train.save_every=10min",
        ],
    )  # fmt: skip
    assert (recipe.train.seed, recipe.train.stop, recipe.train.schedule.rate) == (2, "10e", 5e-4)
    assert (recipe.data.dir, recipe.run, recipe.data.source) == (Path("2026"), "123", "no")
    assert recipe.data.train == ["a.en", "b.de"]
    assert recipe.train.optimizer.betas == (0.8, 0.9)
    assert recipe.model["norm"] == "before"
    assert recipe.data.max_ratio is None


@pytest.mark.parametrize("text", ["runs/a #1", "2026", "null", "[x]", "a: b", "'q'"])
def test_values_are_taken_as_they_are(small: Path, text: str) -> None:
    recipe = load_recipe(small, ["train.seed=7"], {"start": text, "data.dir": text})
    assert (recipe.start, str(recipe.data.dir), recipe.train.seed) == (text, text, 7)
    assert recipe.where("start") == f"start={text}"


def test_a_union_is_changed_as_a_whole_or_by_one_key(small: Path) -> None:
    whole = load_recipe(small, ["train.schedule={name: noam, width: 128}"])
    assert whole.train.schedule.name == "noam"
    assert load_recipe(small, ["train.schedule.warmup=7"]).train.schedule.warmup == 7


def test_an_unknown_key_is_told_with_file_line_and_nearest_name(small: Path) -> None:
    edited(small, "  stop: 60u", "  stop: 60u\n  sede: 3")
    with pytest.raises(InvalidConfig) as caught:
        load_recipe(small)
    assert str(caught.value) == f"{small}:6: unknown key 'train.sede'. Did you mean 'seed'?"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("  stop: 60u", "  stop: 60x", 5, "train.stop: '60x' is no amount of training"),
        ("  stop: 60u", "  stop: 60", 5, "train.stop must be a valid string, not 60"),
        ("  stop: 60u\n", "", 4, "'train.stop' is not set"),
        (
            "  stop: 60u",
            "  stop: 60u\n  precision: bf16",
            6,
            "train.precision: there is no 'bf16'. Did you mean 'bfloat16'?",
        ),
        (
            "    name: constant",
            "    name: constat",
            7,
            "train.schedule.name: there is no 'constat'. Did you mean 'constant'?",
        ),
        ("    name: constant\n", "", 7, "'train.schedule.name' is not set"),
        (
            "    rate: 1e-3",
            "    rate: 1e-3\n    widht: 3",
            10,
            "unknown key 'train.schedule.widht'. There are: name, rate, warmup.",
        ),
        ("    rate: 1e-3", "    rate: fast", 9, "train.schedule.rate must be a valid number, not 'fast'"),
        ("run: runs/mine", "runs: runs/mine", 2, "unknown key 'runs'. Did you mean 'run'?"),
        ("run: runs/mine", "run: runs/mine\nseed: 3", 3, "unknown key 'seed'. Did you mean 'train.seed'?"),
        ("model: {", "model: 3 # {", 3, "model must be a mapping, not 3"),
        ("train:", "search: {n_best: 9}\ntrain:", 4, "search: n_best is 9, more than the beam of 5"),
        ("train:", "data: {train: [a]}\ntrain:", 4, "data.train: two files are needed"),
        (
            "train:",
            "data: {vocabulary: {merge: 5}}\ntrain:",
            4,
            "unknown key 'data.vocabulary.merge'. Did you mean 'merges'?",
        ),
    ],
)
def test_each_fault_is_told_where_it_stands(small: Path, old: str, new: str, line: int, words: str) -> None:
    edited(small, old, new)
    with pytest.raises(InvalidConfig) as caught:
        load_recipe(small)
    assert str(caught.value).startswith(f"{small}:{line}: {words}"), str(caught.value)
    assert caught.value.exit_code == 3


def test_all_faults_are_told_at_once_the_misspelt_key_first(small: Path) -> None:
    edited(small, "  stop: 60u", "  stpo: 60u\n  seed: x")
    with pytest.raises(InvalidConfig) as caught:
        load_recipe(small)
    assert str(caught.value).splitlines() == [
        f"{small}:5: unknown key 'train.stpo'. Did you mean 'stop'?",
        f"{small}:4: 'train.stop' is not set",
        f"{small}:6: train.seed must be a valid integer, not 'x'",
    ]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.sede=2", "train.sede=2: unknown key 'train.sede'. Did you mean 'seed'?"),
        ("train.seed=x", "train.seed=x: train.seed must be a valid integer, not 'x'"),
        ("train.seed=2.5", "train.seed=2.5: train.seed must be a valid integer, not 2.5"),
        ("serch.beam=3", "serch.beam=3: unknown key 'serch'. Did you mean 'search'?"),
    ],
)
def test_a_fault_of_the_command_line_names_what_was_typed(small: Path, override: str, words: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_recipe(small, [override])
    assert str(caught.value) == words


@pytest.mark.parametrize("override", ["train.seed", "=2", "train.=2", ""])
def test_what_changes_no_key_is_refused(small: Path, override: str) -> None:
    with pytest.raises(UsageError, match="changes no key"):
        load_recipe(small, [override])


def test_an_unknown_recipe_is_told_with_all_that_would_do(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"Did you mean 'transformer-base'\?\n.*1\) a name.*2\) a YAML file.*3\) a run"
    ):
        load_recipe("transformer-bse")
    with pytest.raises(UsageError, match="nearest|there is no recipe"):
        recipe_text("../recipe")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00run")
    with pytest.raises(InvalidConfig, match="not UTF-8"):
        load_recipe(tmp_path / "binary.yaml")


def test_says_where_a_key_was_set(small: Path) -> None:
    recipe = load_recipe(small, ["train.seed=2"])
    assert recipe.where("train.stop") == f"{small}:5"
    assert recipe.where("model.size") == f"{small}:3"
    assert recipe.where("train.seed") == "train.seed=2"
    assert recipe.where("train.clip") is None
    assert recipe == load_recipe(small, ["train.seed=2"])
    assert recipe != load_recipe(small)


def test_reading_recipes_loads_no_torch() -> None:
    code = "import sys; from transept.recipes.recipe import *; load_recipe('pairs'); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_the_schema_can_be_shipped() -> None:
    assert set(Recipe.model_json_schema()["properties"]) == set(Recipe.model_fields)


@pytest.mark.parametrize("given", [".", "config.yaml"])
def test_a_run_that_was_copied_is_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "copy"):
        (tmp_path / "runs" / name / "checkpoints").mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").write_text(SMALL)  # it says run: runs/mine
    assert load_recipe(tmp_path / "runs" / "mine" / given).run == "runs/mine", "as it was written"
    copy = load_recipe(tmp_path / "runs" / "copy" / given)
    assert Path(copy.run) == tmp_path / "runs" / "copy"
    assert load_recipe(tmp_path / "runs" / "copy" / given, ["run=runs/third"]).run == "runs/third"
    (tmp_path / "config.yaml").write_text(SMALL)
    assert load_recipe(tmp_path / "config.yaml").run == "runs/mine", "a recipe of that name is no run"
