"""What bad input gets: a message with place, reason and way out, the right exit code, and nothing written over."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

# Each case: what happens to the toy folder, further words of the command, the exit code, parts of the message.
Case = tuple[Callable[[Path], object], tuple[str, ...], int, tuple[str, ...]]


def put(name: str, line: int, text: bytes) -> Callable[[Path], object]:
    """Replace a line, counted from 1, of a file."""

    def change(folder: Path) -> None:
        lines = (folder / name).read_bytes().split(b"\n")
        lines[line - 1] = text
        (folder / name).write_bytes(b"\n".join(lines))

    return change


def drop(name: str, line: int) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        lines = (folder / name).read_bytes().split(b"\n")
        del lines[line - 1]
        (folder / name).write_bytes(b"\n".join(lines))

    return change


def recipe(old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / "toy.yaml").read_text()
        assert old in text
        (folder / "toy.yaml").write_text(text.replace(old, new))

    return change


def nothing(folder: Path) -> None:
    pass


CASES: dict[str, Case] = {
    "unequal sides": (drop("train.tgt", 7), (), 3, ("train.src:", "200 lines", "199")),
    "bytes that are no UTF-8": (put("train.src", 3, b"1 \xff 3"), (), 3, ("train.src:3", "UTF-8", "iconv")),
    "an empty line": (put("train.tgt", 5, b""), (), 3, ("train.tgt:5", "the line is empty", "data.empty=drop")),
    "a NUL byte": (put("valid.tgt", 4, b"1 \x00 3"), (), 3, ("valid.tgt:4", "NUL")),
    "a missing file": (lambda folder: (folder / "valid.src").unlink(), (), 3, ("valid.src", "no such file")),
    "an empty file": (lambda folder: (folder / "train.src").write_bytes(b""), (), 3, ("train.src",)),
    "a folder that is not there": (nothing, ("data.dir=nowhere",), 3, ("nowhere", "does not exist")),
    "a prefix that is not there": (nothing, ("data.train=trian",), 3, ("trian.src", "'train.src'")),
    "no training text": (nothing, ("data.train=null",), 3, ("data.train", "not set")),
    "an unknown key": (recipe("batch_tokens", "batch_token"), (), 3, ("toy.yaml:1", "Did you mean", "batch_tokens")),
    "an unknown key in a word": (nothing, ("train.wramup=3",), 3, ("train.wramup",)),
    "a wrong value": (recipe("stop: 300u", "stop: 300x"), (), 3, ("toy.yaml:14", "300x")),
    "an unknown key of the model": (nothing, ("model.nrm=after",), 3, ("model.nrm", "Did you mean 'norm'")),
    "an unknown size": (nothing, ("model.size=tniy",), 3, ("model.size", "Did you mean 'tiny'")),
    "an unknown family": (nothing, ("model.family=transfromer",), 3, ("Did you mean 'transformer'",)),
    "an unknown task": (nothing, ("task=translatoin",), 3, ("Did you mean 'translation'",)),
    "heads that do not divide": (nothing, ("model.heads=5",), 3, ("heads=5 does not divide width=32",)),
    "a vocabulary that does not fit": (nothing, ("model.vocab=5",), 3, ("model.vocab", "24", "leave model.vocab out")),
    "not YAML": (recipe("task: translation", "task: [translation"), (), 3, ("toy.yaml:",)),
    "a long validation line": (
        put("valid.src", 2, b"1 " * 3000),
        (),
        3,
        ("valid.src:2", "3,001 tokens", "nothing is cut"),
    ),
    "only long lines": (nothing, ("data.max_length=2",), 3, ("no pair is left", "data.max_length")),
    "pairs above the budget": (nothing, ("train.batch_tokens=3",), 3, ("train.src:", "tokens")),
    "resuming nothing": (nothing, ("--resume",), 2, ("no run to resume",)),
    "an absent device": (nothing, ("train.device=cuda:9",), 3, ("cuda:9", "auto, cpu")),
}


@pytest.mark.parametrize("name", CASES)
def test_training_refuses(name, cli, toy):
    change, words, code, parts = CASES[name]
    folder = toy.parent
    change(folder)
    for verb in ("train", "check"):
        if "--resume" in words and verb == "check":
            continue
        ended = cli(verb, toy, *words)
        said = ended.err
        assert ended.code == code, said or ended.out
        for part in parts:
            assert part.lower() in said.lower(), said
        assert "Traceback" not in said
        assert "fault of the program" not in said
    assert not (folder / "run").exists(), "what is refused leaves nothing behind"


def test_what_is_left_out_is_counted_and_placed(cli, toy):
    folder = toy.parent
    put("train.src", 5, b"")(folder)
    put("train.tgt", 9, b"1 " * 1_000_000)(folder)
    ended = cli("check", toy, "data.empty=drop")
    assert ended.code == 0, ended.err
    for part in (
        "198 of 200 pairs",
        "1 with an empty side",
        "1 longer than 16 tokens (data.max_length)",
        "train.src:9",
    ):
        assert part in ended.out


def test_refused_data_leaves_an_older_run_alone(cli, own_run):
    toy = own_run.parent / "toy.yaml"
    shutil.copy(own_run / "config.yaml", toy)
    before = {path: path.read_bytes() for path in own_run.rglob("*") if path.is_file()}
    ended = cli("train", toy, f"run={own_run}", "--overwrite", "data.train=nowhere")
    assert ended.code == 3
    assert {path: path.read_bytes() for path in own_run.rglob("*") if path.is_file()} == before


def change_weights(model: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(model / "model.safetensors")
    change(tensors)
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def shorten(model: Path) -> None:
    data = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(data[: len(data) // 2])


def describe(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"model_type": "marina"}))


LOST = "model.encoder.layers.0.fc1.weight"
MODELS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "a missing tensor": (lambda model: change_weights(model, lambda t: t.pop(LOST)), ("model.safetensors", "missing")),
    "an extra tensor": (
        lambda model: change_weights(model, lambda t: t.update(extra=torch.zeros(2))),
        ("model.safetensors", "extra"),
    ),
    "a tensor of another shape": (
        lambda model: change_weights(model, lambda t: t.update({LOST: torch.zeros(3, 32)})),
        ("model.safetensors", "fc1"),
    ),
    "a truncated file": (shorten, ("model.safetensors",)),
    "no weights": (lambda model: (model / "model.safetensors").unlink(), ("model.safetensors", "missing")),
    "no tokenizer": (lambda model: (model / "tokenizer.json").unlink(), ("tokenizer",)),
    "a torn tokenizer": (lambda model: (model / "tokenizer.json").write_text('{"version"'), ("tokenizer.json",)),
    "an unknown kind": (describe, ("config.json", "models of type 'marina' are not read")),
    "no model at all": (lambda model: shutil.rmtree(model), ("no model yet",)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_broken_model_is_refused(name, cli, own_run):
    change, parts = MODELS[name]
    change(own_run / "model")
    ended = cli("translate", own_run, "1 2 3")
    assert ended.code == 3, ended.err
    for part in parts:
        assert part in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_a_sentence_longer_than_the_model_takes_is_refused(cli, trained, tmp_path):
    long = "1 " * 2000
    ended = cli("translate", trained, "1 2 3", long)
    assert ended.code == 3
    for part in ("2001 tokens", "1024", "nothing is cut"):
        assert part in ended.err
    for side in ("src", "tgt"):
        (tmp_path / f"long.{side}").write_text(f"1 2 3\n{long}\n")
    ended = cli("eval", trained, "--data", tmp_path / "long.src", "--data", tmp_path / "long.tgt")
    assert ended.code == 3
    assert "long.src:2" in ended.err


def test_text_that_is_no_text_is_refused(cli, trained, tmp_path):
    file = tmp_path / "bad.txt"
    file.write_bytes(b"1 2 3\n\xff\xfe\n")
    assert "bad.txt:2" in cli("translate", trained, "-f", file).err
    assert cli("translate", trained, "-f", file).code == 3
    assert cli("translate", trained, "-f", tmp_path / "none.txt").code == 3
    ended = cli("translate", trained, "1 2", "-f", file)
    assert ended.code == 2


TAKING: dict[str, tuple[str, ...]] = {
    "align": ("a", "b"),
    "answer": ("who", "a text"),
    "caption": ("a.png",),
    "check": ("sst2", "--from"),
    "classify": ("a",),
    "convert": ("out", "--kv-heads", "1"),
    "embed": ("a",),
    "eval": (),
    "export": ("out",),
    "fill": ("a",),
    "generate": ("a",),
    "hear": ("a.wav",),
    "look": ("a",),
    "probe": ("a.conllu",),
    "prune": ("out", "--heads", "1", "--data", "train.tsv"),
    "see": ("a.png",),
    "summarize": ("a",),
    "tag": ("a",),
    "train": ("sst2", "--from"),
    "transcribe": ("a.wav",),
    "translate": ("a",),
    "why": ("a",),
}


@pytest.mark.parametrize("verb", [*TAKING, "import", "show"])
def test_what_is_written_as_a_path_is_never_asked_of_the_hub(verb, cli, tmp_path, monkeypatch):
    asked = []
    monkeypatch.delenv("TRANSEPT_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **options: asked.append(name))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuned-one").mkdir()
    words = TAKING.get(verb, ("out",) if verb == "import" else ())
    rows = "".join(f"{text}\t{label}\n" for text, label in zip("abcd", "0101", strict=True))
    for split in ("train.tsv", "dev.tsv"):
        (tmp_path / split).write_text(f"sentence\tlabel\n{rows}")
    row = "1\ta\t_\t_\t_\t_\t0\troot\t_\t_\n\n"
    (tmp_path / "a.conllu").write_text(row)
    begin, end = ((*words, "./tuned-on"), ("data.dir=.",)) if "--from" in words else (("./tuned-on", *words), ())
    ended = cli(verb, *begin, *end)
    assert (ended.code, asked) == (3, []), ended.err
    assert "there is no such directory: tuned-on. Did you mean 'tuned-one'?" in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.conllu", "dev.tsv", "train.tsv", "tuned-one"]


def test_a_start_that_is_gone_is_named_by_its_line(cli, tmp_path, monkeypatch):
    """As a run that is resumed has it: nothing of its beginning stands on the command line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.tsv").write_text("sentence\tlabel\na\t0\nb\t1\n")
    (tmp_path / "base").mkdir()
    (tmp_path / "mine.yaml").write_text(
        "task: classification\nrun: mine\nstart: ./bas\nmodel: {}\n"
        "data: {dir: ., train: train.tsv, valid: train.tsv}\ntrain: {stop: 2u, batch_tokens: 64,"
        " optimizer: {name: adam}, schedule: {name: constant, rate: 0.1}}\n"
    )
    ended = cli("train", "mine.yaml")
    assert (ended.code, (tmp_path / "mine").exists()) == (3, False)
    assert "mine.yaml:3: start: there is no such directory: bas. Did you mean 'base'?" in ended.err


def test_the_verbs_that_take_a_model_are_those(cli):
    from typer.main import get_command

    from transept.cli.main import app

    commands = get_command(app).commands
    taking = {name for name, one in commands.items() if any(p.metavar == "MODEL" for p in one.params)}
    assert taking == TAKING.keys()
