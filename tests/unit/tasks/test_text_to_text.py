"""Several tables by one model: what a batch holds, how tables are mixed, what is measured, and with what it begins."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from transept.data.config import Tokens
from transept.data.learned import T5, learn
from transept.errors import InvalidConfig, InvalidData
from transept.hub.directory import save
from transept.hub.generation import Generation
from transept.recipes.recipe import load_recipe
from transept.tasks.settings.text_to_text import TextToTextRecipe
from transept.tasks.text_to_text import TextToText, prefixes
from transept.use.loaded import load
from unit.use.made import shaken

SMALL = {"family": "t5", "width": 16, "hidden": 24, "heads": 2, "head_width": 8, "depth": 1, "dropout": 0.0}


def write(folder: Path) -> None:
    words = ("ape", "bee", "cow", "dog")
    for split, count in (("train", 12), ("valid", 4)):
        rows = [f"{words[i % 4]} {words[i % 3]}\t{i % 2}" for i in range(count)]
        (folder / f"odd.{split}.tsv").write_text("\n".join(rows) + "\n")
        like = [f"{words[i % 4]},{words[(i * i) % 4]},{(i % 6):.1f}" for i in range(count // 2)]
        (folder / f"like.{split}.csv").write_text("one,two,score\n" + "\n".join(like) + "\n")
        told = [{"long": ["ape bee", words[i % 4]], "short": [words[i % 4], "ape"][: 1 + i % 2]} for i in range(count)]
        (folder / f"told.{split}.jsonl").write_text("\n".join(map(json.dumps, told)) + "\n")


def tables() -> dict[str, Any]:
    named = {"odd": "tsv", "like": "csv", "told": "jsonl"}
    files = {name: {split: f"{name}.{split}.{end}" for split in ("train", "valid")} for name, end in named.items()}
    return {
        "odd": files["odd"] | {"head": ["text", "label"], "source": "odd: {text}", "answer": "label",
                               "choices": ["even", "odd"], "measure": "mcc"},
        "like": files["like"] | {"source": "like one: {one} two: {two}", "answer": "score", "numbers": {"step": 0.5}},
        "told": files["told"] | {"source": "tell: {long}", "answer": "short", "measure": "rougeL"},
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def made(folder: Path, start: Path | None = None, model: dict[str, Any] = SMALL, **data: Any) -> TextToText:
    recipe = TextToTextRecipe.model_validate(
        {
            "task": "text_to_text",
            "run": "none",
            "start": None if start is None else str(start),
            "model": model,
            "data": {"dir": str(folder), "tables": tables(), "tokenizer": {"size": 420}, "max_length": 48} | data,
            "train": {"stop": "9u", "batch_tokens": 256, "schedule": {"name": "constant", "rate": 0.01}},
        }
    )
    return TextToText(recipe, say=lambda text: None)


def rows_of(task: TextToText, epoch: int) -> np.ndarray:
    """The rows of an epoch, as they come."""
    batches = task.batches("train", epoch)
    return np.concatenate([batches[i].rows for i in range(len(batches))])


def test_a_batch_has_the_words_of_each_table_and_the_loss_of_hugging_face(folder: Path, tmp_path: Path) -> None:
    task = made(folder)
    model = shaken(task.build(), scale=0.05)
    generation = Generation(task.recipe.search, task.begun.special, task.begun.pad)
    save(tmp_path / "m", model, tokenizer=task.tokenizer, generation=generation)
    theirs = T5ForConditionalGeneration.from_pretrained(tmp_path / "m").eval()
    seen = set()
    for batch in (task.batches("train", 0)[i] for i in range(len(task.batches("train", 0)))):
        both = zip(batch.source, batch.source_valid, strict=True)
        sources = [task.tokenizer.decode(row[real].tolist()) for row, real in both]
        targets = [task.tokenizer.decode(row[row >= 0].tolist()) for row in batch.labels]
        seen |= set(zip(sources, targets, strict=True))
        with torch.no_grad():
            ours = task.loss(model, batch)
            wanted = theirs(input_ids=batch.source, attention_mask=batch.source_valid.long(), labels=batch.labels)
        assert float(ours.nll) / ours.count == pytest.approx(float(wanted.loss), rel=1e-5)
        assert (batch.target[:, 0] == task.tokenizer.pad).all(), "T5's decoder begins with padding"
    assert ("odd: bee bee", "odd") in seen and ("like one: cow two: ape", "2.0") in seen
    assert {("tell: ape bee bee", "bee"), ("tell: ape bee bee", "ape")} <= seen, "each right answer is learned"


def test_tables_are_mixed_as_they_are_told(folder: Path) -> None:
    plain = made(folder)
    assert plain.sizes == plain.shares == [12, 6, 18]
    assert isinstance(getattr(plain, "counts", "tokens"), str)  # a word for the head of a run
    assert sorted(rows_of(plain, 3)) == list(range(36))
    mixed = made(folder, limit=8)
    assert mixed.shares == [8, 6, 8] and mixed.fingerprint != plain.fingerprint
    epochs = [rows_of(mixed, epoch) for epoch in range(3)]
    for rows in epochs:
        assert [int(((rows >= a) & (rows < b)).sum()) for a, b in ((0, 12), (12, 18), (18, 36))] == [8, 6, 8]
    assert set(epochs[0]) | set(epochs[1]) | set(epochs[2]) == set(range(36))
    alone = made(folder, tables=tables() | {"odd": None, "told": None})
    assert alone.shares == [6] and len(alone.valid) == 2


def test_what_is_measured_is_of_each_table_by_its_name(folder: Path) -> None:
    task = made(folder)
    model = task.build()
    found = task.evaluate(model)
    assert {"loss", "ppl", "mean", "odd_accuracy", "odd_mcc", "like_pearson", "told_rougeL", "told_bleu"} <= set(found)
    assert found["odd_rows_without_a_choice"] == 4 and found["odd_accuracy"] == 0, "nothing was learned yet"
    assert found["mean"] == pytest.approx((found["odd_mcc"] + found["like_pearson"] + found["told_rougeL"]) / 3)
    assert len(task.valid.asked) == len(task.valid) == 4 + 2 + 4 < len(task.valid.tokens)
    samples = task.samples(model)
    assert samples[0]["source"] == "odd: ape ape" and samples[0]["reference"] == "even"
    assert task.verb == "translate"
    summing = made(folder, tables=tables() | {"odd": None, "like": None})
    assert summing.verb == "summarize"
    assert prefixes(summing.data) == {"task_specific_params": {"summarization": {"prefix": "tell: "}}}


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_run_goes_on_from_what_was_there(folder: Path, tmp_path: Path, name: str) -> None:
    model: dict[str, Any] = SMALL
    if name == "bart":
        model = {"family": "bart", "width": 16, "hidden": 24, "heads": 2, "depth": 1, "length": 64}
    first = made(folder, model=model)
    built = shaken(first.build())
    record = {
        "data": first.facts(), "curve": [], "score": "mean", "command": "", "recipe": "", "versions": {},
        "checkpoints": [1], "stopped": "ended", "tokens": 1, "seconds": 1.0,
    }  # fmt: skip
    first.save_model(built, tmp_path / "m", record)
    second = made(folder, start=tmp_path / "m")
    assert second.spec == first.spec and second.begun.special == first.begun.special
    assert second.begun.pad == first.begun.pad and second.tokenizer.fingerprint == first.tokenizer.fingerprint
    own = built.state_dict()
    assert all((tensor == own[name]).all() for name, tensor in second.build().state_dict().items())
    assert second.evaluate(second.build()) == pytest.approx(first.evaluate(built))
    loaded = load(tmp_path / "m")
    assert loaded.summarize("ape bee") == loaded.translate("tell: ape bee"), (
        "config.json has the words before a summary"
    )
    assert "tell: {long}" in (tmp_path / "m" / "README.md").read_text()


def test_a_t5_of_hugging_faces_is_a_beginning(folder: Path, tmp_path: Path) -> None:
    tokenizer = learn(["ape bee cow dog odd even 0.5 1.0"] * 4, Tokens(size=420), T5)
    config = T5Config(vocab_size=tokenizer.vocab, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2,
                      pad_token_id=tokenizer.pad, eos_token_id=tokenizer.eos,
                      decoder_start_token_id=tokenizer.pad)  # fmt: skip
    shaken(T5ForConditionalGeneration(config)).save_pretrained(tmp_path / "m")
    tokenizer.save(tmp_path / "m")
    task = made(folder, start=tmp_path / "m")
    assert task.begun.start == tokenizer.pad
    assert np.isfinite(task.evaluate(task.build())["loss"])


def test_sources_are_cut_or_left_out_as_the_recipe_says(folder: Path) -> None:
    (folder / "odd.train.tsv").write_text("ape " * 60 + "\t0\nbee\t1\n")
    (folder / "odd.valid.tsv").write_text("bee " * 60 + "\t0\nbee\t1\n")
    only: Any = tables() | {"like": None, "told": None}
    dropped = made(folder, tables=only)
    assert len(dropped.train) == 1 and "1 longer than 48 tokens (data.max_length)" in dropped.facts()["data"]
    heard: list[str] = []
    recipe = made(folder, tables=only, long="cut").recipe
    cut = TextToText(recipe, say=heard.append)
    assert len(cut.train) == 2 and cut.train.lengths[0, 0] == 48 and cut.train.source(0)[-1] == cut.tokenizer.eos
    assert cut.valid.cut == 1 and "odd.valid.tsv: 1 of 2 sources were cut to 48 tokens (data.long)" in heard
    (folder / "odd.train.tsv").write_text("ape " * 60 + "\t0\n")
    with pytest.raises(InvalidData, match="no pair is left"):
        made(folder, tables=only)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ({"family": "gpt2", "width": 16, "heads": 2, "depth": 1}, {}, "gpt2 has no encoder and decoder"),
        ({"family": "bart", "width": 16, "hidden": 24, "heads": 2, "depth": 1, "length": 32}, {},
         "data.max_length: 48 tokens, and the model has 32 positions"),
        (SMALL, {"max_length": 300}, "256 tokens hold no side of 300"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_is_refused(
    folder: Path, model: dict[str, Any], data: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        made(folder, model=model, **data)
    assert message in str(caught.value)


def test_the_recipes_leave_tables_out_by_variants() -> None:
    whole, alone = load_recipe("t5-mini-glue"), load_recipe("t5-mini-glue", ["variant=cola"])
    assert isinstance(whole, TextToTextRecipe) and isinstance(alone, TextToTextRecipe)
    assert list(whole.data.chosen) == ["cola", "stsb", "sst2"] and list(alone.data.chosen) == ["cola"]
    assert whole.data.chosen["cola"].main == "mcc" and whole.data.chosen["stsb"].main == "pearson"
    assert isinstance(load_recipe("scitldr", ["variant=quick"]), TextToTextRecipe)
