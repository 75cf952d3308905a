"""A job of many inputs, some of them bad: the others are answered in their places, and what is bad is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import transept
from unit.use.made import TEXTS, theirs
from unit.use.test_see import model_in
from unit.use.test_transcribe import listener, noise, write

__all__ = ["listener"]  # a fixture

LONG = "the cat " * 60


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model for each verb over texts."""
    labels = ("good", "bad", "odd")
    return {
        "fill": theirs("BertForMaskedLM"),
        "classify": theirs("BertForSequenceClassification", labels),
        "tag": theirs("BertForTokenClassification", labels),
        "embed": theirs("BertModel"),
        "generate": theirs("GPT2LMHeadModel"),
        "answer": theirs("BertForQuestionAnswering"),
    }


def lines_of(verb: str) -> tuple[list[str], int]:
    """Lines for a verb, the second of them bad, and how many lines of answers each good one gets."""
    if verb == "answer":
        return [f"who sat?\t{TEXTS[0]}", "no context", f"who lived?\t{TEXTS[1]}"], 1
    if verb == "fill":
        return ["the [MASK] sat", "no mask", "a [MASK]"], 2
    return [TEXTS[0], LONG, TEXTS[1]], 1


@pytest.mark.parametrize("verb", ["fill", "classify", "tag", "embed", "generate", "answer"])
def test_one_bad_line_leaves_the_others_alone(verb: str, cli, models, tmp_path: Path) -> None:
    given, each = lines_of(verb)
    more = ["--count", "2"] if verb == "fill" else ["--max-tokens", "3"] if verb == "generate" else []
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{line}\n" for line in given))
    ended = cli(verb, models[verb], "-f", file, *more)
    assert ended.code == 3
    assert f"error: {file}:2: " in ended.err
    assert ended.err.rstrip().endswith("error: 1 of 3 was not answered")
    assert "Traceback" not in ended.err
    told = [json.loads(line) for line in cli(verb, models[verb], "-f", file, "--json", *more).out.splitlines()]
    assert [one["line"] for one in told] == [1, 2, 3]
    assert [one["source"] for one in told] == given
    assert ["error" in one for one in told] == [False, True, False]
    good = [cli(verb, models[verb], line, *more).out for line in (given[0], given[2])]
    if verb == "generate":  # the seed goes by the number, and nothing is drawn here
        assert ended.out.startswith(good[0])
    assert ended.out == f"{good[0]}\n{good[1]}", "the place of the bad one is an empty line"
    if each == 1 and verb != "tag":
        assert len(ended.out.splitlines()) == 3
    one = cli(verb, models[verb], "-f", file, *more, *([] if verb in ("generate", "answer") else ["--window", "1"]))
    assert one.out == ended.out


def test_many_bad_lines_are_each_named_and_the_remedy_once(cli, models) -> None:
    ended = cli("fill", models["fill"], typed="a\nthe [MASK] sat\nb\n\nc\n")
    assert ended.code == 3
    for number in (1, 3, 4, 5):
        assert f"error: stdin, line {number}: the text has no mask" in ended.err
    assert ended.err.count("Write [MASK] where a word is wanted") == 1
    assert "4 of 5 were not answered" in ended.err
    assert "lines 1 to" not in ended.err
    lone = cli("fill", models["fill"], "a")
    assert (lone.code, lone.out) == (3, "\n")
    assert "error: argument 1: the text has no mask" in lone.err


def test_a_line_that_is_no_text_is_one_bad_line(cli, models, tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_bytes(b"\xef\xbb\xbfthe cat\r\na \xff dog\na d\x00g\n\na dog?")
    for words, typed, place in ((("-f", file), None, f"{file}:"), ((), file.read_bytes(), "stdin, line ")):
        ended = cli("classify", models["classify"], *words, "--json", typed=typed)
        assert ended.code == 3
        assert f"error: {place}2: not UTF-8" in ended.err
        assert f"error: {place}3: a NUL byte" in ended.err
        told = [json.loads(line) for line in ended.out.splitlines()]
        assert [one["source"] for one in told] == ["the cat", None, None, "", "a dog?"]
    file.write_bytes("the cat\na dog\n".encode("utf-16"))
    ended = cli("classify", models["classify"], "-f", file)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.count("error:") == 1, "a file of another encoding is one error"
    assert "UTF-16" in ended.err
    file.write_bytes(b"a\nb \xff\n")
    ended = cli("generate", models["generate"], "-f", file, "--whole")
    assert (ended.code, ended.out) == (3, "")
    assert f"{file}:2: not UTF-8" in ended.err


def test_a_pair_has_one_tab(cli, models) -> None:
    ended = cli("classify", models["classify"], "--pair", typed="a\tb\na\tb\tc\n")
    assert ended.code == 3
    assert "error: stdin, line 2: 2 TABs, and one stands between the two texts" in ended.err
    assert len(ended.out.splitlines()) == 2


def test_a_matrix_keeps_the_place_of_a_bad_line(cli, models, tmp_path: Path) -> None:
    out = tmp_path / "v.npy"
    ended = cli("embed", models["embed"], TEXTS[0], LONG, TEXTS[1], "--out", out)
    assert ended.code == 3
    assert ended.out == f"{out}: 3 vectors of 32 numbers\n"
    found = np.load(out)
    assert np.isnan(found).all(1).tolist() == [False, True, False]
    assert not np.isnan(found[[0, 2]]).any()
    wanted = transept.load(models["embed"]).embed(TEXTS[:2])
    np.testing.assert_allclose(found[[0, 2]], wanted, rtol=1e-5, atol=1e-6)


def test_pooling_that_was_asked_for_is_not_told(cli, models) -> None:
    told = cli("embed", models["embed"], "a", "--pool", "cls")
    assert (told.code, told.err) == (0, "")
    assert told.out == cli("embed", models["embed"], "a", "--pool", "class").out
    ended = cli("embed", models["embed"], "a", "--pool", "clas")
    assert ended.code == 2
    assert "there is no pooling 'clas'. Did you mean 'class'" in ended.err


def test_bad_files_among_pictures(cli, tmp_path: Path) -> None:
    model = model_in(tmp_path / "vit", "vit").path
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), np.uint8)
    for i, one in enumerate(pixels):
        Image.fromarray(one).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    names = [str(tmp_path / name) for name in ("0.png", "1.png", "none.png")] + ["", str(tmp_path / "2.png")]
    ended = cli("see", model, typed="".join(f"{name}\n" for name in names))
    assert ended.code == 3
    assert f"stdin, line 2: {names[1]}: this is no picture that Pillow reads" in ended.err
    assert f"stdin, line 3: {names[2]}: the picture cannot be read: No such file" in ended.err
    assert "stdin, line 4: an empty line names no file" in ended.err
    lines = ended.out.splitlines()
    assert [bool(line) for line in lines] == [True, False, False, False, True]
    assert lines[0] == cli("see", model, names[0]).out.rstrip()
    assert lines[4] == cli("see", model, names[4]).out.rstrip()
    (model / "preprocessor_config.json").unlink()
    ended = cli("see", model, *names)
    assert (ended.code, ended.out) == (3, ""), "what the model lacks is told once, before any picture"
    assert "preprocessor_config.json is missing" in ended.err


def test_bad_files_among_sounds(cli, listener, tmp_path: Path) -> None:
    good, other = write(tmp_path / "a.wav", noise(0.5)), write(tmp_path / "b.wav", noise(0.5, rate=8000), 8000)
    ended = cli("transcribe", listener.path, good, other, tmp_path / "c.wav", good, "--json")
    assert ended.code == 3
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert ["error" in one for one in told] == [False, True, True, False]
    assert told[0]["text"] == told[3]["text"] == listener.transcribe(good)
    assert f"{other}: 8,000 samples a second" in told[1]["error"]
    assert "argument 3: " in ended.err
    assert "2 of 4 were not answered" in ended.err
