"""Directories of others that are not quite whole: each is told by its file and key, with the way out."""

import json
import logging
import shutil
import warnings
from pathlib import Path

import pytest
import transformers
from typer.testing import CliRunner

import transept
from transept.cli.main import app
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.hub.directory import read, read_blank
from unit.use.made import edit, theirs

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 440473133\n"


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def copied(architecture: str, to: Path, *labels: str) -> Path:
    return Path(shutil.copytree(theirs(architecture, labels), to / "model"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_pointer_of_git_lfs_is_named(name: str, tmp_path: Path) -> None:
    root = copied("BertForMaskedLM", tmp_path)
    (root / name).write_text(POINTER)
    with pytest.raises(InvalidData, match=rf"{name}: this is a pointer of Git LFS.*\n.*git lfs pull"):
        read(root)


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        (
            "BertForMaskedLM",
            {"num_attention_heads": 5},
            "num_attention_heads is 5, and does not divide hidden_size, which is 32",
        ),
        ("GPT2LMHeadModel", {"n_head": 3}, "n_head is 3, and does not divide n_embd, which is 32"),
    ],
)
def test_a_contradiction_names_file_and_keys(architecture: str, changes: object, message: str, tmp_path: Path) -> None:
    root = copied(architecture, tmp_path)
    edit(root / "config.json", **changes)  # type: ignore[arg-type]
    for reader in (read, read_blank):
        with pytest.raises(InvalidConfig, match=rf"config\.json: {message}"):
            reader(root)


def test_what_is_assumed_of_a_directory_without_architectures_is_said(tmp_path: Path) -> None:
    root = copied("GPT2LMHeadModel", tmp_path)
    edit(root / "config.json", architectures=None)
    told: list[str] = []
    model = transept.load(root, say=told.append)
    assert told == [
        f"{root}: config.json names no architectures, so this is taken for a GPT2LMHeadModel, the usual one of a gpt2"
    ]
    assert model.generate("the cat", max_tokens=3) == transept.load(theirs("GPT2LMHeadModel")).generate(
        "the cat", max_tokens=3
    )
    other = copied("BertForTokenClassification", tmp_path / "b")
    edit(other / "config.json", architectures=[])
    with pytest.raises(InvalidData, match="taken for a BertForPreTraining") as error:
        read(other)
    assert "BertForTokenClassification" in str(error.value), "those that it may be are listed"


@pytest.mark.parametrize("kind", ["albert", "bret"])
def test_a_family_that_is_not_read_is_not_mended_by_another_name(kind: str, tmp_path: Path) -> None:
    root = copied("BertForMaskedLM", tmp_path)
    edit(root / "config.json", model_type=kind)
    with pytest.raises(InvalidConfig) as error:
        read(root)
    assert f"models of type '{kind}' are not read" in str(error.value)
    assert "Did you mean" not in str(error.value)
    assert "Transept reads bart, mbart, bert, " in str(error.value)


def test_both_ways_tell_machines_the_same_keys(tmp_path: Path) -> None:
    root = theirs("BertForMaskedLM")
    keys = []
    for verb in ("import", "export"):
        for more in ([], ["--verify"]):
            code, out, said = run(verb, root, tmp_path / f"{verb}{len(more)}", "--json", *more)
            assert code == 0, said
            told = json.loads(out)
            keys.append(list(told))
            assert (told["verified"], told["good"]) == ((True, True) if more else (False, None))
            assert bool(told["checks"]) is bool(more)
    assert keys == [keys[0]] * 4


def test_a_comparison_keeps_their_warnings_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = copied("GPT2LMHeadModel", tmp_path)
    edit(root / "generation_config.json", temperature=0.5, do_sample=True, top_k=3)
    level = transformers.utils.logging.get_verbosity()
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            code, _, said = run("import", root, tmp_path / "out", "--verify")
    finally:
        logger.removeHandler(caplog.handler)
    assert code == 0, said
    assert caplog.records == []
    assert "transformers" not in said.replace("transformers makes", "")
    assert transformers.utils.logging.get_verbosity() == level, "who uses both keeps what was set"


def test_files_that_are_no_model_are_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    code, _, said = run("export", theirs("BertForMaskedLM"), tmp_path / "mine", "--overwrite")
    assert code == 2
    assert "files that are no model, which are never replaced\n  Name a directory that is not there yet." in said


def test_a_model_is_shown_with_its_verbs_and_how_it_pools() -> None:
    code, out, said = run("show", theirs("BertModel"))
    assert code == 0, said
    assert "Verbs: embed\nEmbedding: the mean of all states, not normalised" in out
    _, out, _ = run("show", theirs("GPT2LMHeadModel"), "--json")
    held = json.loads(out.splitlines()[-1])["holds"] if "holds" in out.splitlines()[-1] else None
    held = held or next(json.loads(line)["holds"] for line in out.splitlines() if '"holds"' in line)
    assert held["verbs"] == ["generate", "embed"]


@pytest.mark.parametrize("architecture", ["BertForTokenClassification", "BertForQuestionAnswering"])
def test_who_has_no_run_beside_it_is_asked_for_files(architecture: str) -> None:
    code, _, said = run("eval", theirs(architecture))
    assert code == 2
    assert "Name files by --data." in said


def prefaced(root: Path, **tasks: object) -> transept.Loaded:
    from transept.decode.config import Search
    from transept.hub.directory import save
    from unit.hub import made

    generation = Search(method="greedy", max_ratio=0.0, max_extra=8)
    save(root, made.model(), tokenizer=made.tokenizer(), generation=generation)
    edit(root / "config.json", task_specific_params=tasks)
    return transept.load(root)


def test_what_comes_before_a_translation_is_config_jsons(tmp_path: Path) -> None:
    german = {"prefix": "to German: ", "num_beams": 3, "max_length": 6, "early_stopping": True}
    one = prefaced(tmp_path / "one", translation_en_to_de=german, summarization={"prefix": "short: "})
    text = "the cat sees the house"
    wanted = one.translate(f"to German: {text}", prefix="", beam=3, stop="first", max_ratio=0.0, max_extra=5)
    assert one.translate(text) == wanted
    assert one.translate(f"to German: {text}") == wanted, "it is not said twice"
    assert one.translate(text, prefix="to German:") == wanted
    assert one.translate(["", text]) == ["", wanted]
    assert one.translate(text, prefix="").ids != wanted.ids
    code, out, said = run("translate", one.path, text)
    assert (code, out) == (0, f"{wanted}\n")
    assert "note: 'to German: ' stands before every text (translation_en_to_de in config.json)" in said
    assert "stands before" not in run("translate", one.path, text, "--prefix", "")[2]
    french = {"prefix": "to French: ", "num_beams": 2, "max_length": 5}
    two = prefaced(tmp_path / "two", translation_en_to_de=german, translation_en_to_fr=french)
    assert two.translate(text, prefix="to German: ") == wanted
    assert len(two.translate(text, prefix="to French: ").ids) <= 4
    with pytest.raises(UsageError, match="config.json has 2 tasks.*\n.*'to German: ', 'to French: '"):
        two.translate(text)
    code, _, said = run("translate", two.path, text)
    assert (code, "--prefix" in said) == (2, True)
    assert two.translate(f"to French: {text}") == two.translate(f"to French: {text}", prefix="")
