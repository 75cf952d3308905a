"""A person teaches one model several tasks by words, asks models without training them, and errs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from journeys.conftest import Ended
from unit.use.made import theirs

RECIPE = """\
task: text_to_text
run: {folder}/run
model: {{family: t5, width: 32, hidden: 48, heads: 2, head_width: 16, depth: 1, dropout: 0.0}}
data:
  dir: {folder}
  tables:
    colour:
      train: colour.csv
      valid: colour.csv
      test: colour.csv
      source: "colour: {{thing}}"
      answer: is
      choices: [red, green]
    count:
      train: count.jsonl
      valid: count.jsonl
      source: "count: {{thing}}"
      answer: times
      numbers: {{step: 1, least: 0, most: 9}}
  tokenizer: {{kind: byte_bpe, size: 420, min_frequency: 1}}
  max_length: 40
train:
  stop: 200u
  batch_tokens: 1200
  schedule: {{name: constant, rate: 0.005}}
  validate_every: 100u
  samples: 2
  threads: 1
  device: cpu
"""
ASKED = ("--template", r"{thing}\nIt is {is}", "--choices", "0=red,1=green")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apples are red and leaves green; and of what there is as many as is written."""
    made = tmp_path_factory.mktemp("tables")
    things = [(thing, times) for thing in ("apple", "leaf") for times in (1, 2, 3)] * 4
    lines = [f'"{" ".join([thing] * times)}",{int(thing == "leaf")}' for thing, times in things]
    (made / "colour.csv").write_text("thing,is\n" + "\n".join(lines) + "\n")
    rows = [{"thing": " ".join([thing] * times), "times": times} for thing, times in things]
    (made / "count.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (made / "long.csv").write_text(f"sentence_good,sentence_bad\nthe cat,cat the\nthe mat,{'the cat ' * 2000}\n")
    (made / "recipe.yaml").write_text(RECIPE.format(folder=made))
    pairs = [
        {"sentence_good": "the cat sat on the mat.", "sentence_bad": "the cat sat the on mat.", "field": "order"},
        {"sentence_good": "ada lived in london.", "sentence_bad": "ada lived in london london.", "field": "words"},
        {"sentence_good": "a dog", "sentence_bad": "a dog", "field": "words"},
    ]
    (made / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    return made


@pytest.fixture(scope="module")
def trained(cli: Callable[..., Ended], folder: Path) -> Path:
    checked = cli("check", folder / "recipe.yaml")
    assert checked.code == 0, checked.err
    assert "'colour: " in checked.out and "colour 24, count 24 pairs" in checked.out
    ended = cli("train", folder / "recipe.yaml")
    assert ended.code == 0, ended.err
    return folder / "run"


def test_words_before_a_text_say_which_task_it_is(cli: Callable[..., Ended], trained: Path) -> None:
    scored = cli("eval", trained, "--json")
    told = json.loads(scored.out.splitlines()[-1])
    assert told["rows"] == 48 and told["split"] == "valid", "not every table has a test split"
    assert told["colour_accuracy"]["value"] == 100 and told["count_pearson"]["value"] > 99, scored.out
    assert told["colour_rows_without_a_choice"] == 0 and told["mean"] > 99
    asked = cli("translate", trained, "colour: leaf leaf", "count: leaf leaf", "colour: apple", "count: apple")
    assert asked.out.splitlines() == ["green", "2.0", "red", "1.0"]
    shown = cli("eval", trained, "--data", f"colour={trained.parent / 'colour.csv'}")
    assert shown.code == 0 and "colour accuracy" in shown.out and "data: 24 rows" in shown.out
    wrong = cli("eval", trained, "--data", f"color={trained.parent / 'colour.csv'}")
    assert wrong.code == 2 and "names no table of the recipe. Did you mean 'colour'?" in wrong.err
    assert "count: {thing}" in (trained / "model" / "README.md").read_text()


def test_a_run_broken_off_ends_to_the_bit_and_is_handed_on(
    cli: Callable[..., Ended], folder: Path, tmp_path: Path
) -> None:
    mixed = ("data.limit=10", "data.temperature=2.0", "train.validate_every=6u", "train.precision=float32")
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert cli("train", folder / "recipe.yaml", f"run={whole}", "train.stop=12u", *mixed).code == 0
    assert cli("train", folder / "recipe.yaml", f"run={half}", "train.stop=7u", *mixed).code == 0
    config = half / "config.yaml"
    config.write_text(config.read_text().replace("stop: 7u", "stop: 12u"))
    assert cli("train", half, "--resume").code == 0
    one, other = (load_file(root / "last" / "model.safetensors") for root in (whole, half))
    assert all((tensor == other[key]).all() for key, tensor in one.items()), "to the bit"
    exported = cli("export", whole, tmp_path / "theirs", "--to", "hf", "--verify")
    assert exported.code == 0 and "equal to Hugging Face" in exported.out, exported.err


def test_a_trained_writer_can_be_asked_for_likelihoods(cli: Callable[..., Ended], folder: Path, trained: Path) -> None:
    words = ("--task-table", folder / "colour.csv", "--template", "colour: {thing}{is}", "--choices", "0=red,1=green")
    asked = cli("eval", trained, *words, "--json")
    told = json.loads(asked.out)
    assert told["accuracy"]["sum"]["value"] == 100 and told["questions"] == 24, asked.err


def test_a_model_is_asked_with_and_without_examples(cli: Callable[..., Ended], folder: Path, tmp_path: Path) -> None:
    model, file = theirs("GPT2LMHeadModel", n_positions=128), folder / "colour.csv"
    plain = cli("eval", model, "--task-table", file, *ASKED)
    assert plain.code == 0, plain.err
    assert "24 questions (red " in plain.out and "most frequent" in plain.out and "calibrated" in plain.out
    assert r"the first prompt: '" in plain.err and r"\nIt is '" in plain.err
    out = tmp_path / "answers"
    more = ("--shots", 2, "--balanced", "--draws", 3, "--seed", 5, "--json", "--out", out, "--by", "token")
    asked = cli("eval", model, "--task-table", file, *ASKED, *more)
    told = json.loads(asked.out)
    draws = told["accuracy"]["token"]["draws"]
    assert len(draws) == 3 and told["accuracy"]["token"]["value"] == pytest.approx(sum(draws) / 3)
    answers = out.read_text().splitlines()
    assert len(answers) == 24 and set(answers) <= {"red", "green"}
    right = ["green" if "leaf" in line else "red" for line in file.read_text().splitlines()[1:]]
    assert draws[0] == pytest.approx(100 * sum(a == b for a, b in zip(answers, right, strict=True)) / 24)
    again = cli("eval", model, "--task-table", file, *ASKED, *more, "--overwrite")
    assert json.loads(again.out) == told
    spread = cli("eval", model, "--task-table", file, *ASKED, "--shots", 2, "--draws", 2)
    assert " ± " in spread.out and "in 2 draws" in spread.out and "2 examples before each" in spread.out


@pytest.mark.parametrize("kind", ["GPT2LMHeadModel", "BertForMaskedLM"])
def test_pairs_are_counted_by_what_they_are_about(cli: Callable[..., Ended], folder: Path, kind: str) -> None:
    asked = cli("eval", theirs(kind), "--pairs", folder / "pairs.jsonl", "--json")
    told = json.loads(asked.out)
    assert told["group"] == "field" and {name: one["pairs"] for name, one in told["accuracy"].items()} == {
        "order": 1, "words": 2, "all": 3,
    }  # fmt: skip
    hits = sum(told["accuracy"][name]["value"] * told["accuracy"][name]["pairs"] for name in ("order", "words"))
    assert told["accuracy"]["all"]["value"] == pytest.approx(hits / 3)
    shown = cli("eval", theirs(kind), "--pairs", folder / "pairs.jsonl", "--group", "field")
    assert "3 pairs; how often the good sentence is the likelier one" in shown.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--template", "{thing} {is}"), 2, "--task-table needs --choices"),
        (("--choices", "a,b"), 2, "--task-table needs --template"),
        ((*ASKED, "--data", "x"), 2, "--data is for what a model was trained to do"),
        ((*ASKED, "beam=3"), 2, "a setting of the search is for what a model was trained to do"),
        ((*ASKED, "--draws", "2"), 2, "no examples are drawn"),
        ((*ASKED, "--shots", "24"), 3, "24 examples are asked for, and the table has 24 rows"),
        ((*ASKED, "--shots", "22"), 3, "colour.csv:2: the text has "),
        ((*ASKED, "--shots", "22"), 3, "tokens with what stands before it, and the model takes 128"),
        ((*ASKED, "--group", "x"), 2, "--group is for --pairs"),
        (("--template", "{thin} {is}", "--choices", "a,b"), 3, "there is no column 'thin'. Did you mean 'thing'?"),
        (("--template", "{thing} {is}.", "--choices", "a,b"), 2, "the answer comes last"),
        (("--template", "{thing} {", "--choices", "a,b"), 2, "--template: the template"),
        (("--template", "{thing} {is}", "--choices", "1=a,b"), 2, "some say LABEL=WORD and some do not"),
        (("--template", "{thing} {is}", "--choices", "1=a,1=b"), 2, "names a label twice"),
        (("--template", "{thing} {is}", "--choices", "7=a,0=b"), 3, "the label '1' is none of --choices"),
        (("--template", "{thing} {is}", "--choices", "a,"), 2, "the choice '' is no word"),
    ],
)
def test_what_cannot_be_asked_is_told(
    cli: Callable[..., Ended], folder: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    ended = cli("eval", theirs("GPT2LMHeadModel", n_positions=128), "--task-table", folder / "colour.csv", *words)
    assert (ended.code, message in ended.err) == (code, True), ended.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--pairs", "colour.csv"), 3, "colour.csv:1: there is no column 'sentence_good'"),
        (("--pairs", "long.csv"), 3, "long.csv:3: the text has "),
        (("--pairs", "pairs.json"), 3, "there is no such file. Did you mean 'pairs.jsonl'?"),
        (("--pairs", "pairs.jsonl", "--group", "filed"), 3, "there is no column 'filed'. Did you mean 'field'?"),
        (("--pairs", "pairs.jsonl", "--shots", "2"), 2, "--pairs goes without --shots"),
        (("--shots", "2"), 2, "--shots is for --task-table or --pairs, and neither was given"),
    ],
)
def test_pairs_that_are_none_are_told(
    cli: Callable[..., Ended],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    ended = cli("eval", theirs("GPT2LMHeadModel"), *words)
    assert (ended.code, message in ended.err) == (code, True), ended.err
    writer = folder / "run" / "model"
    if words[1:] == ("pairs.jsonl",) and writer.is_dir():
        assert "a sentence alone has no likelihood" in cli("eval", writer, *words).err
