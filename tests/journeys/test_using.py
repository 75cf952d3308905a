"""A trained model in use: translating from everywhere, scoring, showing, and what Python sees of it."""

import json
import subprocess
import sys

import pytest

import transept
from transept.cli import demo as demo_verb


@pytest.fixture(scope="module")
def lines(trained):
    """Test sentences and the model's own best translations of them."""
    texts = (trained.parent / "test.src").read_text().splitlines()[:6]
    return texts, [str(answer) for answer in transept.load(trained).translate(texts)]


def test_texts_a_file_and_a_pipe_give_the_same(cli, lines, tmp_path, trained):
    texts, answers = lines
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{text}\n" for text in texts))
    expected = "".join(f"{answer}\n" for answer in answers)
    assert cli("translate", trained, *texts).out == expected
    assert cli("translate", trained, "-f", file).out == expected
    assert cli("translate", trained, "--file", file, "--window", 2).out == expected
    assert cli("translate", trained, typed=file.read_text()).out == expected
    assert cli("translate", trained / "model", typed=file.read_text()).out == expected, "the model directory itself"


def test_the_model_knows_its_language(lines):
    texts, answers = lines
    assert sum(answer == text[::-1] for text, answer in zip(texts, answers, strict=True)) >= len(texts) // 2


def test_blank_lines_and_order_are_kept(cli, lines, trained):
    texts, answers = lines
    ended = cli("translate", trained, "--window", 2, typed=f"{texts[0]}\n\n{texts[1]}\n   \n{texts[2]}\r\n")
    assert ended.out.split("\n") == [answers[0], "", answers[1], "", answers[2], ""]


def test_machines_get_one_object_a_line(cli, lines, trained):
    texts, answers = lines
    ended = cli("translate", trained, *texts, "--json", "--n-best", 2)
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert [one["text"] for one in told] == answers
    assert [one["source"] for one in told] == texts
    assert all(one["finish"] == "end" and one["tokens"][-1] == "<eos>" for one in told)
    assert all(len(one["others"]) == 1 and one["others"][0]["score"] <= one["score"] for one in told)
    ended = cli("translate", trained, texts[0], "--scores", "--n-best", 3)
    scores = [float(line.split("\t")[0]) for line in ended.out.splitlines()]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_the_search_is_changed_by_words(cli, trained):
    ended = cli("translate", trained, "1 2 3", "method=greedy", "max_ratio=0", "max_extra=1")
    assert ended.code == 0, ended.err
    assert len(ended.out.split()) == 1
    assert "1 of 1 translations ended at the maximal length" in ended.err, "nothing is cut in silence"
    ended = cli("translate", trained, "1 2 3", "beam=0")
    assert ended.code == 2
    assert "beam" in ended.err
    assert cli("translate", trained, "a=1 2 3").code == 0, "not every text with = is a setting"


def test_a_pipe_may_close_early(trained):
    text = "1 2 3\n" * 2000
    command = f"{sys.executable} -m transept translate {trained} method=greedy --window 8 | head -n 1"
    done = subprocess.run(["bash", "-c", command], input=text, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_scores_have_intervals_and_signatures(cli, trained):
    ended = cli("eval", trained)
    assert ended.code == 0, ended.err
    assert "scoring the test split" in ended.err
    for part in ("test: 20 pairs", "nats a token, perplexity", "tok:none", "chrF2", "exact match", "beam=3"):
        assert part in ended.out
    told = json.loads(cli("eval", trained, "--split", "valid", "--json", "method=greedy").out)
    assert told["pairs"] == 20
    assert told["search"]["method"] == "greedy"
    assert told["bleu"]["low"] <= told["bleu"]["value"] <= told["bleu"]["high"]
    events = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    made = next(event for event in events if event["event"] == "model")
    assert told["loss"] == pytest.approx(made["loss"], rel=1e-5), "what training measured of the same model"
    assert told["exact_match"]["value"] == made["exact_match"]


def test_other_files_are_scored(cli, trained, tmp_path):
    folder = trained.parent
    tsv = tmp_path / "pairs.tsv"
    sides = [(folder / f"test.{side}").read_text().splitlines() for side in ("src", "tgt")]
    tsv.write_text("".join(f"{one}\t{other}\n" for one, other in zip(*sides, strict=True)))
    out = tmp_path / "out.txt"
    two = json.loads(cli("eval", trained, "--data", folder / "test.src", "--data", folder / "test.tgt", "--json").out)
    one = json.loads(cli("eval", trained, "--data", tsv, "--json", "--out", out).out)
    test = json.loads(cli("eval", trained, "--split", "test", "--json").out)
    assert one["bleu"] == two["bleu"] == test["bleu"]
    assert one["loss"] == pytest.approx(test["loss"], rel=1e-6)
    assert len(out.read_text().splitlines()) == 20
    assert cli("eval", trained, "--data", tsv, "--split", "test").code == 2
    other = json.loads(cli("eval", trained, "--data", tsv, "--tokenize", "char", "--json").out)
    assert "tok:char" in other["bleu"]["signature"]


def test_a_model_away_from_its_run_needs_files(cli, own_run, tmp_path):
    model = (own_run / "model").rename(tmp_path / "alone")
    ended = cli("eval", model)
    assert ended.code == 2
    assert "--data" in ended.err


def test_a_run_is_shown(cli, trained):
    ended = cli("show", trained)
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in cli("show", trained, "--json").out.splitlines()]
    assert f"{sum(row.get('parameters', 0) for row in rows):,} parameters" in ended.out
    assert "decoder self: causal" in ended.out


def test_the_demo_from_end_to_end(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_verb, "PAIRS", 300)
    monkeypatch.setattr(demo_verb, "HELD_OUT", 15)
    words = ("model.depth=1", "model.width=32", "model.hidden=32", "train.stop=4u", "train.validate_every=2u")
    words += ("train.batch_tokens=512", "train.threads=1", "search.max_extra=1")
    ended = cli("demo", "--json", *words)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out.splitlines()[-1])
    assert set(told) == {"exact_match", "held_out_pairs", "seconds", "run"}
    assert told["run"] == "runs/demo"
    assert told["seconds"] > 0
    ended = cli("demo", *words)
    assert ended.code == 0, ended.err
    assert "runs/demo-2" in ended.out, "a demo writes over nothing"
    assert ended.out.count("✗") + ended.out.count("✓") == 12
    source = (tmp_path / "runs/demo/data/valid.tsv").read_text().split("\t")[0]
    assert cli("translate", "runs/demo", source).code == 0
    assert json.loads(cli("eval", "runs/demo", "--json").out)["pairs"] == 15
    assert cli("show", "runs/demo").code == 0
    card = (tmp_path / "runs/demo/model/README.md").read_text()
    assert 'model.translate("<2de> 5 March 2026")' in card, "its example has the tag that it needs"
    assert cli("export", "runs/demo", "out", "--to", "hf", "--verify").code == 0
    assert 'tokenizer("<2de> 5 March 2026", return_tensors="pt")' in (tmp_path / "out" / "README.md").read_text()


def test_python_sees_the_same(lines, trained):
    texts, answers = lines
    model = transept.load(trained)
    assert [str(answer) for answer in model.translate(texts)] == answers
    assert str(model.translate(texts[0])) == answers[0]
