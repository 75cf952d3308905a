"""Models of other kinds in use: a person fills a mask, classifies a file, streams a text, asks for the wrong verb."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import transept
from unit.use.made import TEXTS, theirs

LABELS = ("good", "bad", "odd")


@pytest.fixture(scope="module")
def bert():
    return theirs("BertForMaskedLM")


@pytest.fixture(scope="module")
def gpt():
    return theirs("GPT2LMHeadModel")


@pytest.fixture(scope="module")
def critic():
    return theirs("BertForSequenceClassification", LABELS)


@pytest.fixture
def lines(tmp_path) -> Path:
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"{text}\n" for text in TEXTS))
    return file


def test_a_person_fills_a_mask(cli, bert):
    ended = cli("fill", bert, "The cat [MASK] on the mat.", "--count", 3)
    assert ended.code == 0, ended.err
    found = [line.split("\t") for line in ended.out.splitlines()]
    wanted = transept.load(bert).fill("The cat [MASK] on the mat.", count=3)[0]
    assert [(share, word, text) for share, word, text in found] == [
        (f"{one.probability:.4f}", one.word, one.text) for one in wanted
    ]
    told = json.loads(cli("fill", bert, "[MASK] and [MASK]", "--count", 2, "--json").out)
    assert [len(mask) for mask in told["masks"]] == [2, 2]
    ended = cli("fill", bert, typed="a [MASK]\nno mask here\n")
    assert ended.code == 3
    assert "the text has no mask: 'no mask here'" in ended.err
    assert "Write [MASK] where a word is wanted" in ended.err


def test_a_person_classifies_a_file(cli, critic, lines):
    ended = cli("classify", critic, "-f", lines)
    assert ended.code == 0, ended.err
    model = transept.load(critic)
    wanted = model.classify(TEXTS)
    assert ended.out.splitlines() == [f"{label}\t{label.probability:.4f}" for label in wanted]
    assert cli("classify", critic, typed=lines.read_text()).out == ended.out
    assert cli("classify", critic, *TEXTS, "--window", 1).out == ended.out
    three = cli("classify", critic, TEXTS[0], "--top", 3).out.split()
    assert three[::2] == list(wanted[0].scores)
    told = [json.loads(line) for line in cli("classify", critic, "-f", lines, "--json").out.splitlines()]
    assert [one["label"] for one in told] == wanted
    assert [one["source"] for one in told] == TEXTS
    pair = json.loads(cli("classify", critic, "--pair", "--json", typed="a cat\ta dog\n").out)
    assert pair["scores"] == pytest.approx(model.classify(("a cat", "a dog")).scores, rel=1e-5)
    ended = cli("classify", critic, "--pair", typed="a cat\ta dog\nno tab\n")
    assert ended.code == 3
    assert "stdin, line 2: no TAB between the two texts" in ended.err


def test_a_person_streams_a_text(cli, gpt):
    words = ("generate", gpt, "the cat", "--max-tokens", 12, "temperature=1.2", "seed=3")
    ended = cli(*words, "--stream")
    assert ended.code == 0, ended.err
    assert ended.out == cli(*words).out
    assert "1 of 1 texts ended at the maximal length: --max-tokens sets it" in ended.err
    wanted = transept.load(gpt).generate("the cat", max_tokens=12, temperature=1.2, seed=3)
    assert ended.out == f"{wanted}\n"
    assert cli(*words, "--stream", "--echo").out == f"the cat{wanted}\n"
    cut = cli(*words, "--stream", "--until", wanted[3:5])
    assert cut.out == f"{wanted[: wanted.index(wanted[3:5])]}\n"
    assert cut.err == ""
    ended = cli("generate", gpt, "the cat", "beam=3", "--stream")
    assert ended.code == 2
    assert "known only at its end, so it cannot be streamed" in ended.err
    told = json.loads(cli(*words, "--json").out)
    assert (told["text"], told["finish"], told["source"]) == (wanted, "length", "the cat")


def pieces_on_a_terminal(*words) -> list[bytes]:
    """What a terminal is handed, read by read."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "transept", *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=environment)
    os.close(follower)
    pieces = []
    try:
        while piece := os.read(leader, 4096):
            pieces.append(piece)
    except OSError:  # the other end was closed
        pass
    os.close(leader)
    assert process.wait(timeout=60) == 0
    return pieces


def test_a_text_comes_in_pieces_where_a_person_looks_on(gpt):
    """On a terminal, each piece as it is written."""
    wanted = transept.load(gpt).generate("the cat", max_tokens=12)
    most = 0
    for _ in range(5):  # a busy machine may let this one read only when all is written
        pieces = pieces_on_a_terminal("generate", gpt, "the cat", "--max-tokens", 12)
        assert b"".join(pieces).decode() == f"{wanted}\r\n"
        most = max(most, len(pieces))
        if most > 3:
            break
    assert most > 3


def test_a_person_asks_for_the_wrong_verb(cli, bert, gpt, critic, trained):
    ended = cli("translate", critic, "a")
    assert ended.code == 2
    assert f"{critic}: this model cannot translate: it is an encoder that reads text; its head scores 3" in ended.err
    assert f"It can classify, embed: `transept classify {critic}`." in ended.err
    for verb, model, can in (
        ("generate", bert, "fill, embed"),
        ("fill", gpt, "generate, embed"),
        ("see", gpt, "generate, embed"),
        ("transcribe", bert, "fill, embed"),
        ("classify", trained, "translate, summarize, generate, embed"),
        ("answer", trained, "translate, summarize, generate, embed"),
    ):
        ended = cli(verb, model, "a")
        assert ended.code == 2, ended.err
        assert f"this model cannot {verb}" in ended.err
        assert f"It can {can}:" in ended.err
        assert "Traceback" not in ended.err


def test_a_wrong_setting_and_a_prompt_too_long_are_told(cli, gpt):
    ended = cli("generate", gpt, "a", "temprature=1")
    assert ended.code == 2
    assert "there is no search setting 'temprature'. Did you mean 'temperature'" in ended.err
    assert cli("generate", gpt, "a = b", "E=mc2", "--max-tokens", "2").code == 0, "not every text with = is a setting"
    ended = cli("generate", gpt, "a", "temperature=hot")
    assert ended.code == 2
    assert "temperature: Input should be a valid number" in ended.err
    ended = cli("generate", gpt, "a", "temperature=0.5", "beam=2")
    assert ended.code == 2
    ended = cli("generate", gpt, "-f", "/dev/null")
    assert (ended.code, ended.out) == (0, "")
    ended = cli("generate", gpt, typed="a\n" + "zqx" * 99 + "\n")
    assert ended.code == 3
    assert "stdin, line 2: the text has 297 tokens" in ended.err
    assert "the model takes 48" in ended.err


def test_words_are_tagged_questions_answered_and_texts_embedded(cli, tmp_path, lines):
    tagger = theirs("BertForTokenClassification", ("O", "B-PER", "I-PER"))
    text = "Ada lived in London."
    found = transept.load(tagger).tag(text)
    ended = cli("tag", tagger, text)
    assert ended.out.splitlines() == [*(f"{word.word}\t{word.label}" for word in found.words), ""]
    told = json.loads(cli("tag", tagger, text, "--json").out)
    assert [word["word"] for word in told["words"]] == ["Ada", "lived", "in", "London", "."]
    spans = cli("tag", tagger, text, "--spans").out.splitlines()
    assert [line.split("\t")[1:3] for line in spans] == [[span.label, span.text] for span in found.spans]

    squad = theirs("BertForQuestionAnswering")
    (tmp_path / "context.txt").write_text(f"{text}\nA cat sat.\n")
    wanted = transept.load(squad).answer("who lived?", text)
    assert cli("answer", squad, "who lived?", text).out == f"{wanted}\n"
    assert cli("answer", squad, "who lived?", "--context", text).out == f"{wanted}\n"
    alone = cli("answer", squad, "who lived?")
    assert (alone.code, "no text to answer it from" in alone.err) == (2, True)
    assert cli("answer", squad, "who lived?", "who lived?", text).out == f"{wanted}\n" * 2
    assert (
        cli(
            "answer",
            squad,
            typed=f"who lived?\t{text}\n",
        ).out
        == f"{wanted}\n"
    )
    assert cli("answer", squad, "who?", "what?", "--context-file", tmp_path / "context.txt", "--scores").code == 0
    ended = cli("answer", squad, "who lived?", "--context", f"{text} " * 12, "--json")
    told = json.loads(ended.out)
    assert told["windows"] > 1
    assert f"the context of question 1 was read in {told['windows']} parts that overlap" in ended.err

    model, out = theirs("BertModel"), tmp_path / "vectors.npy"
    ended = cli("embed", model, "-f", lines, "--out", out)
    assert ended.out == f"{out}: 4 vectors of 32 numbers\n"
    assert "a vector is the mean of all states, not normalised (nobody says more" in ended.err
    np.testing.assert_allclose(np.load(out), transept.load(model).embed(TEXTS), rtol=1e-5)
    ended = cli("embed", model, TEXTS[0], "--pool", "class", "--normalise")
    np.testing.assert_allclose(
        [float(value) for value in ended.out.split()],
        transept.load(model).embed(TEXTS[0], pool="class", normalise=True),
        rtol=1e-4,
    )
    assert cli("embed", model, "-f", lines, "--out", out).code == 2
    ended = cli("embed", model, "the cat " * 40)
    assert ended.code == 3
    assert "the model takes 48" in ended.err
    ended = cli("embed", model, "the cat " * 40, "--truncate", "--json")
    assert len(json.loads(ended.out)["vector"]) == 32
    assert "1 of 1 texts were cut to 48 tokens" in ended.err


def test_a_document_is_one_text(cli, trained, tmp_path):
    file = tmp_path / "document.txt"
    file.write_text("1 2\n3\n")
    wanted = transept.load(trained).summarize("1 2\n3")
    assert cli("summarize", trained, "-f", file, "--whole").out == f"{wanted}\n"
    assert cli("summarize", trained, "--whole", typed=file.read_text()).out == f"{wanted}\n"
    assert len(cli("summarize", trained, "-f", file).out.splitlines()) == 2
    told = json.loads(cli("generate", trained, "1 2 3", "--json").out)
    assert told["text"] == transept.load(trained).translate("1 2 3")
