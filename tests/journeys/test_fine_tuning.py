"""A person fine-tunes on tables of sentences: looks, trains, breaks off, scores, uses, hands on; and errs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import transept
from journeys.conftest import run
from unit.tasks.made_texts import TINY, write_alike, write_questions, write_reviews, write_tagged

SMALL = (
    "start=null", TINY, "data.tokenizer={kind: wordpiece, size: 150, lower: true}", "train.batch_tokens=400",
    "train.schedule={name: constant, rate: 0.02}", "train.threads=1", "train.device=cpu", "train.precision=float32",
    "train.validate_every=30u",
)  # fmt: skip


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_reviews(tmp_path_factory.mktemp("reviewed"))
    ended = run("train", "sst2", f"data.dir={folder}", f"run={folder}/run", *SMALL, "train.stop=60u")
    assert ended.code == 0, ended.err
    said = ended.err + ended.out
    assert f"{folder}/train.tsv: 60 rows of TSV; the text is 'sentence', the label is 'label'" in said
    assert f"use it:   transept classify {folder}/run TEXT" in ended.out
    return folder


def test_a_classifier_is_checked_scored_used_and_handed_on(reviewed: Path, tmp_path: Path) -> None:
    checked = run("check", "sst2", f"data.dir={reviewed}", f"run={tmp_path}/other", *SMALL)
    assert checked.code == 0, checked.err
    assert "2 (negative, positive), 30 to 30 examples each" in checked.out and "learned here" in checked.out
    scored = run("eval", reviewed / "run", "--json", "--out", tmp_path / "out.txt")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert (found["split"], found["texts"]) == ("valid", 20) and {"f1", "mcc", "loss"} <= set(found)
    assert found["accuracy"]["value"] == 100 == found["mcc"]["value"]
    texts = [line.split("\t")[0] for line in (reviewed / "dev.tsv").read_text().splitlines()]
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in texts))
    used = run("classify", reviewed / "run", "-f", tmp_path / "texts.txt")
    assert [line.split("\t")[0] for line in used.out.splitlines()] == (tmp_path / "out.txt").read_text().splitlines()
    named = tmp_path / "named.jsonl"
    named.write_text("".join(json.dumps({"text": t, "label": i % 2}) + "\n" for i, t in enumerate(texts)))
    told = run("eval", reviewed / "run" / "model", "--data", named, "--json")
    assert told.code == 0 and json.loads(told.out)["accuracy"]["value"] == 100, told.err
    assert run("average", reviewed / "run", "--out", tmp_path / "alone", "--last", "1").code == 0
    alone = run("eval", tmp_path / "alone", "--data", named, "--json")
    assert alone.code == 0 and json.loads(alone.out)["accuracy"]["value"] == 100, alone.err
    card = (reviewed / "run" / "model" / "README.md").read_text()
    assert "| MCC |" in card and "It tells the class of texts." in card and f'model.classify("{texts[0]}")' in card
    out = run("export", reviewed / "run", tmp_path / "hf", "--to", "hf", "--verify")
    assert out.code == 0, out.err
    from transformers import pipeline

    asked = pipeline("text-classification", model=str(tmp_path / "hf"))(texts)
    ours = transept.load(reviewed / "run").classify(texts)
    assert [one["label"] for one in asked] == [str(label) for label in ours]
    assert [one["score"] for one in asked] == pytest.approx([label.probability for label in ours], abs=1e-4)


def test_a_run_that_was_interrupted_ends_at_the_same_bits(reviewed: Path, tmp_path: Path) -> None:
    words = ("sst2", f"data.dir={reviewed}", f"run={tmp_path}/run", *SMALL)
    assert run("train", *words, "train.stop=30u").code == 0
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("stop: 30u", "stop: 60u"))
    ended = run("train", tmp_path / "run", "--resume")
    assert ended.code == 0, ended.err
    whole, parted = (load_file(root / "last" / "model.safetensors") for root in (reviewed / "run", tmp_path / "run"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, parted[name]), name


def test_a_model_is_taken_up_for_other_classes(reviewed: Path, tmp_path: Path) -> None:
    write_reviews(tmp_path, seed=7)
    warm = [word for word in SMALL if not word.startswith(("start", "model"))]
    words = ("sst2", f"data.dir={tmp_path}", f"run={tmp_path}/run", *warm, "data.classes=[bad, good]", "train.stop=5u")
    ended = run("train", *words, "--from", reviewed / "run", "train.freeze=[embed, stack]")
    assert ended.code == 0, ended.err
    assert "a new head, Classes of 2, begins in place of Classes of 2, over the pooler that it had" in (
        ended.err + ended.out
    )
    was, now = (load_file(folder / "run" / "model" / "model.safetensors") for folder in (reviewed, tmp_path))
    for name, tensor in was.items():
        if "encoder" in name or "embeddings" in name:
            assert torch.equal(tensor, now[name]), name
    assert not torch.equal(was["classifier.weight"], now["classifier.weight"])
    assert transept.load(tmp_path / "run").labels == ("bad", "good")
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    told = card.partition("```")[0]  # before the recipe, which says where this was made
    assert "\n# classification · run\n" in told and str(reviewed) not in told, told


def test_numbers_of_pairs_are_told_in_one_row_or_by_two_vectors(tmp_path: Path) -> None:
    write_alike(tmp_path)
    one = run("train", "stsb", f"data.dir={tmp_path}", f"run={tmp_path}/one", *SMALL, "train.stop=60u")
    assert one.code == 0, one.err
    told = run("eval", tmp_path / "one", "--json")
    assert told.code == 0 and {"pearson", "spearman", "rmse"} <= set(json.loads(told.out)), told.err
    assert "squared error an example" in run("eval", tmp_path / "one").out
    assert "print(model.classify((" in (tmp_path / "one" / "model" / "README.md").read_text()
    used = run("classify", tmp_path / "one", "--pair", "a fine film\ta fine film")
    assert used.code == 0 and -3 < float(used.out) < 8
    two = run("train", "minilm-stsb", f"data.dir={tmp_path}", f"run={tmp_path}/two", *SMALL, "train.stop=60u",
              "similarity.pool=mean")  # fmt: skip
    assert two.code == 0, two.err
    events = [json.loads(line) for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()]
    valid = [event for event in events if event["event"] == "valid"]
    assert [event["update"] for event in valid] == [0, 30, 60]  # before the first update too
    assert max(event["spearman"] for event in valid[1:]) > valid[0]["spearman"]
    scored = run("eval", tmp_path / "two", "--json", "--out", tmp_path / "cosines.txt")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert found["spearman"]["value"] == pytest.approx(max(event["spearman"] for event in valid), abs=0.05)
    pairs = [line.split('","') for line in (tmp_path / "dev.csv").read_text().splitlines()]
    first, second = ([pair[0][1:] for pair in pairs], [pair[1].split('"')[0] for pair in pairs])
    for side, texts in (("a", first), ("b", second)):
        (tmp_path / f"{side}.txt").write_text("".join(f"{text}\n" for text in texts))
        made = run("embed", tmp_path / "two", "-f", tmp_path / f"{side}.txt", "--normalise", "--out",
                   tmp_path / f"{side}.npy")  # fmt: skip
        assert made.code == 0, made.err
    cosines = (np.load(tmp_path / "a.npy") * np.load(tmp_path / "b.npy")).sum(1)
    assert [float(line) for line in (tmp_path / "cosines.txt").read_text().split()] == pytest.approx(cosines, abs=2e-4)
    again = run("train", "minilm-stsb", f"data.dir={tmp_path}", f"run={tmp_path}/three", "--from", tmp_path / "two",
                "train.stop=1u", "train.threads=1", "train.schedule={name: constant, rate: 1e-9}",
                "train.precision=float32")  # fmt: skip
    assert again.code == 0 and "its head goes on" in again.err + again.out, again.err


def test_words_are_tagged_scored_and_handed_on(tmp_path: Path) -> None:
    write_tagged(tmp_path, spans=True)
    files = ("data.train=train.tsv", "data.valid=dev.tsv", "evaluate.best=entity_f1")
    ended = run("train", "pos-tagging", f"data.dir={tmp_path}", f"run={tmp_path}/run", *SMALL, *files,
                "train.stop=60u")  # fmt: skip
    assert ended.code == 0, ended.err
    scored = run("eval", tmp_path / "run", "--json", "--out", tmp_path / "out.txt")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert found["sentences"] == 20 and found["entity_f1"]["value"] == 100 == found["accuracy"]["value"]
    used = run("tag", tmp_path / "run", "a lovely song.", "a grim day.", "--spans")
    assert [line.split("\t")[1:3] for line in used.out.splitlines()] == [["GOOD", "lovely song"], ["BAD", "grim day"]]
    out = run("export", tmp_path / "run", tmp_path / "hf", "--to", "hf", "--verify")
    assert out.code == 0, out.err


def test_a_table_of_ones_own_names_its_columns_and_its_classes(tmp_path: Path) -> None:
    """A recipe's names of columns are no hindrance, and that its classes are is said with the way out."""
    write_reviews(tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "train.tsv").read_text().splitlines()]
    (tmp_path / "mine.csv").write_text(
        "mood,text\n" + "".join(f"{'glad' if y == '1' else 'sad'},{x}\n" for x, y in rows)
    )
    words = ("sst2", f"data.train={tmp_path}/mine.csv", "data.valid=null", "data.hold={share: 0.1}", *SMALL,
             "data.columns.label=mood", f"run={tmp_path}/run", "train.stop=5u")  # fmt: skip
    refused = run("train", *words)
    assert refused.code == 3 and "mine.csv:2: the label 'sad' is none of data.classes" in refused.err
    assert "data.classes=null takes those of the table." in refused.err
    ended = run("train", *words, "data.classes=null")
    assert ended.code == 0, ended.err
    said = ended.err + ended.out
    assert "60 rows of CSV, which names its columns itself (data.head has no say); the text is 'text'" in said
    assert transept.load(tmp_path / "run").labels == ("glad", "sad")
    assert "ppl" not in said and " example_s=" in said
    (tmp_path / "other.csv").write_text("text,mood\na fine film,happy\n")
    judged = run("eval", tmp_path / "run", "--data", tmp_path / "other.csv")
    assert judged.code == 3 and "other.csv:2: the label 'happy' is none of the model's classes" in judged.err
    assert "data.classes" not in judged.err  # which eval does not take


def test_errors_name_their_place_before_a_run_is_made(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    words = ("sst2", f"data.dir={tmp_path}", f"run={tmp_path}/run", *SMALL, "train.stop=5u")
    (tmp_path / "train.csv").write_text('sentence,label\n"a fine film,1\na dull film,0\n')
    for more, message in (
        (("data.train=train.csv", "data.head=null"), "train.csv:2: not CSV"),
        (("data.head=null",), "train.tsv:1: no column is called text or sentence"),
        (("data.columns.text=sentense",), "there is no column 'sentense'. Did you mean 'sentence'"),
        (("data.train=trian.tsv",), "no such file or folder. Did you mean 'train.tsv'"),
        (("data.tokeniser.size=9",), "Did you mean 'tokenizer'"),
        (("classify.weights={negatve: 1, positive: 1}",), "there is no class 'negatve'. Did you mean 'negative'"),
        (("data.hold={share: 0.1}",), "one of them is enough; data.valid=null leaves these out"),
        (("data.labels=31",), "data.labels=31: 31 examples are wanted, and the class '0' has 30"),
    ):
        ended = run("train", *words, *more)
        assert ended.code == 3 and message in ended.err, (message, ended.err)
        assert not (tmp_path / "run").exists()


def test_answers_are_found_scored_and_handed_on(tmp_path: Path) -> None:
    write_questions(tmp_path)
    files = ("data.train=train.jsonl", "data.valid=dev.jsonl", "data.length=null")
    ended = run("train", "squad", f"data.dir={tmp_path}", f"run={tmp_path}/run", *SMALL, *files, "train.stop=30u")
    assert ended.code == 0, ended.err
    assert f"use it:   transept answer {tmp_path}/run QUESTION CONTEXT" in ended.out
    scored = run("eval", tmp_path / "run", "--json", "--out", tmp_path / "out.txt")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert found["questions"] == 20 and {"exact_match", "f1", "loss"} <= set(found)
    row = json.loads((tmp_path / "dev.jsonl").read_text().splitlines()[0])
    used = run("answer", tmp_path / "run", row["question"], row["context"])
    assert used.code == 0, used.err
    assert used.out.split("\t")[0].strip() == (tmp_path / "out.txt").read_text().splitlines()[0]
    out = run("export", tmp_path / "run", tmp_path / "hf", "--to", "hf", "--verify")
    assert out.code == 0, out.err
