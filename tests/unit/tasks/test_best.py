"""Every task: each score that may decide the best checkpoint is measured, and is better in the direction that it says;
and a task that one seed made is that of another, once it is told so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch

from journeys.conftest import make_toy
from transept.cli.seeds import of_seed, reseeded
from transept.recipes.recipe import load_recipe
from transept.tasks.registry import task_class
from unit.data.made_digits import write_digits
from unit.data.made_senses import RATE, write_colours, write_tones
from unit.tasks.made_pretraining import BART, BERT, GPT2, TEXTS

LOWER = {"loss", "ppl", "bits_per_character", "wer", "cer", "cost", "errors"}
HIGHER = {"accuracy", "f1", "mcc", "pearson", "spearman", "bleu", "chrf", "exact_match"}

LISTENER = (
    "model={family: wav2vec2, width: 16, hidden: 16, heads: 2, depth: 1, channels: [8, 8], kernels: [8, 4],"
    " strides: [8, 4], taps: 4, groups: 2, masked: 0.5, codes: 6, code_width: 8, out: 8, negatives: 5}"
)
HEARING = ("data.train=tones", f"data.rate={RATE}", "data.hold={speakers: [s3]}", "train.batch_tokens=150")


def pairs(folder: Path) -> tuple[str, list[str]]:
    return str(make_toy(folder)), []


def texts(task: str, model: dict[str, Any]) -> Callable[[Path], tuple[str, list[str]]]:
    def make(folder: Path) -> tuple[str, list[str]]:
        for split in ("train", "valid"):
            (folder / f"{split}.txt").write_text("\n\n".join(TEXTS) + "\n")
        (folder / "recipe.yaml").write_text(
            f"task: {task}\nrun: {folder}/run\nmodel: {model}\n"
            f"data: {{dir: {folder}, train: train.txt, valid: valid.txt, tokenizer: {{size: 320}}, length: 32}}\n"
            "train: {stop: 1u, batch_tokens: 128, schedule: {name: constant, rate: 0.01}, samples: 2}\n"
        )
        return str(folder / "recipe.yaml"), []

    return make


def colours(folder: Path) -> tuple[str, list[str]]:
    write_colours(folder, 10)
    words = ["data.train=train", "data.mean=null", "data.std=null", "data.hold={share: 0.2}", "train.batch_tokens=16"]
    model = "model={family: vit, image: 12, patch: 4, width: 16, hidden: 32, heads: 2, depth: 1}"
    return "vit-cifar10", [model, f"data.dir={folder}", *words]


def tones(name: str) -> Callable[[Path], tuple[str, list[str]]]:
    def make(folder: Path) -> tuple[str, list[str]]:
        write_tones(folder / "tones", 16)
        own = LISTENER if name.endswith("pretrain") else LISTENER.partition(", codes")[0] + "}"
        return name, [own, f"data.dir={folder}", *HEARING]

    return make


def captions(folder: Path) -> tuple[str, list[str]]:
    write_digits(folder)
    return "show-attend-tell", [
        f"data.dir={folder}", "model.image=32", "model.stages=[[6], [8]]", "model.pools=[2, 4]", "model.hidden=12",
        "model.align=6", "data.grid={side: 2, cell: 16, least: 1, most: 3, train: 40, valid: 9, test: 6}",
        "train.batch_tokens=64",
    ]  # fmt: skip


def bits(folder: Path) -> tuple[str, list[str]]:
    small = ["data.bits=3", "data.most=4", "data.lengths=[3]", "data.valid=5", "data.batches=6", "data.rows=8"]
    return "ntm-copy", [
        *small, "train.batch_tokens=40",
        "model={family: lstm, form: language_model, width: 6, hidden: 8, depth: 1, dropout: 0.0}",
    ]  # fmt: skip


SUBJECTS = {
    "translation": pairs,
    "language": texts("language", GPT2),
    "masked": texts("masked", BERT | {"head": "masked"}),
    "denoising": texts("denoising", BART),
    "classification": colours,
    "contrastive": tones("wav2vec2-digits-pretrain"),
    "speech": tones("wav2vec2-digits"),
    "captioning": captions,
    "sequences": bits,
}


def choices(kind: Any) -> list[str]:
    """What `evaluate.best` may be in a recipe."""
    hint = get_type_hints(get_type_hints(kind)["evaluate"])["best"]
    literal = next(one for one in (hint, *get_args(hint)) if get_origin(one) is Literal)
    return list(get_args(literal))


def task(told: tuple[str, list[str]], name: str, *changes: str) -> Any:
    recipe, words = told
    more = ["noise={kinds: [mask], rate: 0.3}"] if name == "denoising" else []
    found = load_recipe(recipe, [*words, *more, "run=unused", *changes])
    assert found.task == name
    return task_class(name)(found, say=lambda text: None)


def same(one: Any, other: Any) -> bool:
    """Whether two batches have the same rows and the same numbers."""
    pairs = [(value, vars(other)[name]) for name, value in vars(one).items() if isinstance(value, torch.Tensor)]
    assert pairs
    return list(one.rows) == list(other.rows) and all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", SUBJECTS)
def test_each_score_that_decides_is_measured_and_has_its_direction(tmp_path: Path, name: str) -> None:
    made = task(SUBJECTS[name](tmp_path), name)
    torch.manual_seed(0)
    with torch.no_grad():
        found = made.evaluate(made.build().eval())
    known = choices(type(made.recipe))
    wanted = [best for best in known if best not in ("pearson", "spearman")]  # of numbers, which these classes are not
    assert set(wanted) <= set(found) and set(known) <= LOWER | HIGHER
    for best in wanted:
        other = made.recipe.evaluate.model_copy(update={"best": best})
        again = task_class(name)(made.recipe.model_copy(update={"evaluate": other}), say=lambda text: None)
        assert again.score == best and again.higher == (best in HIGHER), best


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_task_told_of_another_seed_is_that_of_the_seed(tmp_path: Path, name: str) -> None:
    told = SUBJECTS[name](tmp_path)
    first, other = task(told, name, "train.seed=1"), task(told, name, "train.seed=7")
    begun = first.remembered() if hasattr(first, "remembered") else None
    kept = first.fingerprint
    if hasattr(first, "heed"):
        first.heed([1.0, 2.0])  # a run that was
    again = reseeded(first, of_seed(first.recipe, 7), begun)
    assert again.fingerprint == other.fingerprint and first.fingerprint == kept
    if begun is not None:
        assert again.remembered() == other.remembered()
    mine, theirs = again.batches("train", 1), other.batches("train", 1)
    assert len(mine) == len(theirs)
    assert all(same(mine[i], theirs[i]) for i in range(len(theirs)))
    if name != "sequences":  # these are drawn by the data's own seed
        before = first.batches("train", 1)
        assert not all(same(before[i], mine[i]) for i in range(min(len(before), len(mine))))
