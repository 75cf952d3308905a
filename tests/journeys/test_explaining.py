"""A person asks why: which word stands for which, what the layers know, what a model is without its idle heads."""

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

import transept
from transept.data.dates import make_dates
from transept.inspect.align import Aligner, CrossMaps, align, gold, recall
from transept.inspect.cut import HeadAt, cut
from transept.inspect.example import Row
from transept.inspect.words import words_of
from transept.use.explain import fielded
from unit.use.made import theirs

TREES = """\
# text = the cat sat on the mat .
1\tthe\tthe\tDET\t_\t_\t2\tdet\t_\t_
2\tcat\tcat\tNOUN\t_\t_\t3\tnsubj\t_\t_
3\tsat\tsit\tVERB\t_\t_\t0\troot\t_\t_
4\ton\ton\tADP\t_\t_\t6\tcase\t_\t_
5\tthe\tthe\tDET\t_\t_\t6\tdet\t_\t_
6\tmat\tmat\tNOUN\t_\t_\t3\tobl\t_\t_
7\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_

"""


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    file = tmp_path / "trees.conllu"
    file.write_text(TREES * 24)
    return file


def test_a_person_aligns_a_pair_and_files(cli, trained, tmp_path):
    ended = cli("align", trained, "1 2 3", "3 2 1")
    assert ended.code == 0, ended.err
    found = dict(line.split("\t")[:2] for line in ended.out.splitlines())
    assert found == {"3": "3", "2": "2", "1": "1"}  # the model says three digits backwards
    assert "found by itself from 20 pairs" in ended.err
    told = json.loads(cli("align", trained, "4 5 6", "--json").out)
    assert told["source_words"] == ["4", "5", "6"]
    assert all(0 <= weight <= 1 for *_, weight in told["links"])
    files = [trained.parent / f"test.{side}" for side in ("src", "tgt")]
    right = tmp_path / "gold.txt"
    right.write_text("0-2 1-1 2-0\n" * 20)
    ended = cli("align", trained, "--data", files[0], "--data", files[1], "--gold", right, "--heads")
    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 20
    assert "alignment error rate 0.0" in ended.err
    picture = tmp_path / "map.svg"
    assert cli("align", trained, "1 2 3", "--figure", picture).code == 0
    assert picture.read_bytes().startswith(b"<?xml")


def test_what_cannot_be_aligned_is_said(cli, trained, tmp_path):
    for words, code, message in (
        (["1 2 3", "3 2 1", "--head", "decoder.blocks.0.cros:0"], 2, "no head that looks at the source"),
        (["1 2 3", "3 2 1", "--head", "nonsense"], 2, "is no head"),
        ([], 2, "a text and its translation, or"),
        (["1 2 3", "--figure", tmp_path / "a.gif"], 2, "a figure is one of png"),
        (["1 2 3", "--gold", tmp_path / "gold"], 2, "--gold has a line for each pair"),
    ):
        ended = cli("align", trained, *words)
        assert ended.code == code, ended.err
        assert message in ended.err
    ended = cli("align", theirs("BertForMaskedLM"), "the cat", "the dog")
    assert ended.code == 2 and "only a model that reads a text and writes another" in ended.err


def test_a_person_prunes_a_run(cli, trained, tmp_path):
    data = ["--data", trained.parent / "valid.src", "--data", trained.parent / "valid.tgt"]
    out, picture = tmp_path / "smaller", tmp_path / "heads.png"
    ended = cli("prune", trained, out, "--heads", 2, *data, "--figure", picture, "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    whole, smaller = transept.load(trained), transept.load(out)
    assert told["heads"] == 4 and sum(map(len, told["removed"].values())) == 2
    assert told["parameters"] == [sum(p.numel() for p in m.model.parameters()) for m in (whole, smaller)]
    source, target = torch.tensor([[5, 6, 7, 2]]), torch.tensor([[1, 7, 6]])
    gone = [HeadAt(name, head) for name, heads in told["removed"].items() for head in heads]
    with cut(whole.model, *gone), torch.no_grad():
        wanted = whole.model(source, target).logits
        assert_close(smaller.model(source, target).logits, wanted, rtol=1e-5, atol=1e-5)
    assert smaller.translate("1 2 3")
    assert picture.read_bytes().startswith(b"\x89PNG")
    ended = cli("prune", trained, out, "--heads", 1, *data)
    assert ended.code == 2 and "a model is in this directory already" in ended.err
    for heads, message in (("9", "each attention keeps one"), ("x", "a number or a share"), ("0%", "cuts nothing")):
        ended = cli("prune", trained, tmp_path / "other", "--heads", heads, *data)
        assert ended.code == 2 and message in ended.err, ended.err


@pytest.mark.parametrize("kind", ["GPT2LMHeadModel", "BertForSequenceClassification"])
def test_models_of_others_lose_heads_and_say_where_they_go(cli, tmp_path, kind):
    texts = tmp_path / "texts.txt"
    texts.write_text("the cat sat on the mat.\nada lived in london\n")
    model = theirs(kind, ("good", "bad")) if "Class" in kind else theirs(kind)
    ended = cli("prune", model, tmp_path / "out", "--heads", "25%", "--data", texts)
    assert ended.code == 0, ended.err
    assert "a model of Transept's own" in ended.err
    assert transept.load(tmp_path / "out").spec != transept.load(model).spec


def test_a_classifier_is_pruned_by_the_labels_of_a_table(cli, tmp_path):
    model = theirs("BertForSequenceClassification", ("good", "bad"))
    table, texts = tmp_path / "t.csv", tmp_path / "t.txt"
    table.write_text("Text,Label\nthe cat sat on the mat.,bad\nada lived in london,good\n")
    texts.write_text("the cat sat on the mat.\nada lived in london\n")
    told = {}
    for name, data in (("labels", table), ("own", texts)):
        ended = cli("prune", model, tmp_path / name, "--heads", 1, "--data", data, "--json")
        assert ended.code == 0, ended.err
        told[name] = json.loads(ended.out)
        assert told[name]["texts"] == 2
    assert (told["labels"]["against"], told["own"]["against"]) == ("the labels", "what the whole model answers")
    loaded = transept.load(model)
    logits = [loaded.explain(text).logits().detach() for text in texts.read_text().splitlines()]
    for name, right in (("labels", [1, 0]), ("own", [int(one.argmax()) for one in logits])):
        wanted = sum(-float(one.log_softmax(-1)[own]) for one, own in zip(logits, right, strict=True)) / 2
        assert_close(told[name]["loss"][0], wanted, rtol=1e-4, atol=1e-5)
    smaller = transept.load(tmp_path / "own")
    after = [smaller.explain(text).logits().detach() for text in texts.read_text().splitlines()]
    wanted = sum(-float(b.log_softmax(-1)[a.argmax()]) for a, b in zip(logits, after, strict=True)) / 2
    assert_close(told["own"]["loss"][1], wanted, rtol=1e-4, atol=1e-5)
    for text, message in (
        ("Text,Label\nthe cat,fine\n", f"{table}:2: the label 'fine' is none of the model's classes"),
        ("txet,Label\nthe cat,bad\n", "no column is called text or sentence"),
    ):
        table.write_text(text)
        ended = cli("prune", model, tmp_path / "none", "--heads", 1, "--data", table)
        assert ended.code == 3 and message in ended.err and "data." not in ended.err, ended.err


def test_a_number_is_held_to_the_right_one(cli, tmp_path):
    model = theirs("BertForSequenceClassification", ("score",))
    table, texts = tmp_path / "t.csv", tmp_path / "t.txt"
    table.write_text("text,score\nthe cat sat on the mat.,2.5\nada lived in london,-1\n")
    texts.write_text("the cat sat on the mat.\nada lived in london\n")
    ended = cli("prune", model, tmp_path / "out", "--heads", 1, "--data", table, "--json")
    assert ended.code == 0, ended.err
    loaded = transept.load(model)
    found = [float(loaded.explain(text).logits().detach()) for text in texts.read_text().splitlines()]
    wanted = ((found[0] - 2.5) ** 2 + (found[1] + 1) ** 2) / 2
    assert_close(json.loads(ended.out)["loss"][0], wanted, rtol=1e-4, atol=1e-5)
    ended = cli("prune", model, tmp_path / "none", "--heads", 1, "--data", texts)
    assert ended.code == 2 and "this model gives a number, whose loss needs the right one" in ended.err


def test_what_reads_no_text_is_neither_probed_nor_pruned_by_texts(cli, trees, tmp_path):
    from transept.data.pictures import Preparation
    from transept.families import vit, wav2vec2
    from transept.hub.directory import save
    from transept.hub.processor import Hearing

    (tmp_path / "texts.txt").write_text("the cat sat\n")
    for family, how, does in ((wav2vec2, Hearing(16_000), "listens"), (vit, Preparation((8, 8)), "sees")):
        model = save(tmp_path / does, family.declare(**family.TOY).build(), processor=how)
        for words in (("probe", model, trees), ("prune", model, tmp_path / "out", "--heads", 1, "--data", "texts.txt")):
            ended = cli(*words)
            assert ended.code == 2, ended.err
            assert f"{model}: this model {does}, and {words[0]} needs one that reads text" in ended.err


def test_an_even_llama_goes_back_to_hugging_face(cli, tmp_path):
    from transept.families import llama
    from transept.hub.directory import save

    torch.manual_seed(0)
    whole = transept.load(theirs("GPT2LMHeadModel"))
    spec = llama.declare(**llama.TOY | {"vocab": whole.tokenizer.vocab, "heads": 4, "kv_heads": 2, "head_width": 8})
    model = save(tmp_path / "llama", spec.build(), tokenizer=whole.tokenizer)
    texts = tmp_path / "texts.txt"
    texts.write_text("the cat sat on the mat.\n")
    ended = cli("prune", model, tmp_path / "out", "--heads", "50%", "--even", "--data", texts, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["hugging_face"] is True
    import transformers

    there = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        ours = transept.load(tmp_path / "out").model(ids).logits
        assert_close(there(ids).logits, ours, rtol=1e-4, atol=1e-5)
    assert there.config.num_attention_heads == 2 and there.config.num_key_value_heads == 1


def test_a_person_probes_a_model(cli, trees, tmp_path):
    bert = theirs("BertForMaskedLM")
    picture = tmp_path / "layers.png"
    ended = cli("probe", bert, trees, "--json", "--figure", picture)
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert [row["layer"] for row in rows] == [0, 1, 2]
    assert rows[0]["accuracy"] == 1.0  # the sentences are all the same
    assert all(abs(row["selectivity"] - (row["accuracy"] - row["control"])) < 1e-9 for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")
    drawn = tmp_path / "heads.svg"
    ended = cli("probe", bert, trees, "--of", "heads", "--figure", drawn)
    assert ended.code == 0, ended.err
    assert b"<svg" in drawn.read_bytes()
    assert drawn.read_bytes() != picture.read_bytes()
    assert ended.out.splitlines()[0].split()[:2] == ["relation", "count"]
    assert {line.split()[0] for line in ended.out.splitlines()[1:]} >= {"all", "det"}
    assert cli("probe", bert, trees, "--of", "relations", "--hidden", 8, "--limit", 6).code == 0
    broken = tmp_path / "broken.conllu"
    broken.write_text("1\tthe\n")
    ended = cli("probe", bert, broken)
    assert ended.code == 3 and "broken.conllu:1" in ended.err


def test_fields_of_dates_are_known_on_both_sides():
    for pair in make_dates(200, 5, 20).train:
        for name, ((a, b), (c, d)) in pair.fields.items():
            one, other = pair.source[a:b], pair.target[c:d]
            assert one.strip() == one and other.strip() == other and one and other
            if name in ("day", "year"):
                assert int(one) == int(other), pair  # whatever the script of the digits
    assert {name for pair in make_dates(200, 5, 20).train for name in pair.fields} == {
        "weekday",
        "day",
        "month",
        "year",
    }


def test_what_is_explained_is_what_the_model_reads(trained):
    model = transept.load(trained)
    one = model.explain("1 2 3", "3 2 1")
    assert [word.text for word in one.source.words if not word.special] == ["1", "2", "3"]
    said = one.predicted(next(at for at, word in enumerate(one.target.tokens) if "3" in word))
    assert one.probability(said).item() > 0.5
    bert = transept.load(theirs("BertForMaskedLM")).explain(("the cat sat", "a dog"))
    assert bert.more["segments"].sum() > 0
    assert [word.text for word in bert.source.words] == ["[CLS]", "the", "cat", "sat", "[SEP]", "a", "dog", "[SEP]"]


def lettered(text: str, fields: list[tuple[int, int]], opened: bool) -> Row:
    """A text with a token for each letter, and its fields as words."""
    spans = [(at, at + 1) for at in range(len(text))]
    names, places = list(text), spans
    names, places = (["<", *names], [(0, 0), *places]) if opened else ([*names, ">"], [*places, (0, 0)])
    return Row(
        torch.zeros(1, len(names), dtype=torch.long), names, words_of(text, places, names, fielded(text, fields))
    )


def test_date_pairs_measure_an_aligner():
    """Maps that look at the right field while a letter is written get all right; a place to the right, little."""
    pairs, golden = make_dates(80, 3, 5).train, []
    maps = CrossMaps([])
    for pair in pairs:
        ones, others = zip(*pair.fields.values(), strict=True)
        source, target = lettered(pair.source, list(ones), False), lettered(pair.target, list(others), True)
        right = torch.zeros(len(target.tokens), len(source.tokens))
        for (a, b), (c, d) in pair.fields.values():
            right[c:d, a:b] = 1 / (b - a)  # the row before a letter writes it: its number is the letter's
        maps.pairs.append((source, target))
        maps.whole["cross"].append(torch.stack([right, right.roll(1, 1)]))
        golden.append(gold(pair.fields.values(), source, target))
    for head, low, high in ((0, 1.0, 1.0), (1, 0.0, 0.9)):
        found = [align(maps.of(Aligner("cross", head), at), *pair) for at, pair in enumerate(maps.pairs)]
        assert low <= recall(found, golden) <= high
