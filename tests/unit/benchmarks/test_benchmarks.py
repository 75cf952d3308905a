"""The benchmarks at toy size, in one process: what they give to both sides, what they compare, what they print."""

import importlib
import json
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from transept.families import bert
from transept.families.transformer import SIZES
from transept.hub.directory import save

SCRIPTS = Path(__file__).parents[3] / "benchmarks"
TOY = {"width": 32, "hidden": 48, "heads": 4, "depth": 1, "dropout": 0.1}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setitem(SIZES, "toy", TOY)

    def found(name: str) -> ModuleType:
        return importlib.import_module(name)

    return found


def test_made_up_texts_have_the_lengths_of_multi30k(script):
    texts = script("texts").made_up(2000, 50)
    logs = np.log(texts.train.lengths)
    np.testing.assert_allclose(logs.mean(0), [2.648, 2.645], rtol=0, atol=0.03)
    np.testing.assert_allclose(logs.std(0), [0.285, 0.315], rtol=0, atol=0.05)
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.858, abs=0.05)
    assert len(texts.test) == 50
    assert int(texts.train.ids.max()) < texts.vocab
    # A target of n words and its source are of the classes n, n-1 ... 1 and n, n ... n.
    each = 9996 // 60
    target, source = ((side(0) - 4) // each for side in (texts.train.target, texts.train.source))
    assert target[:-1].tolist() == list(range(len(target) - 1, 0, -1))
    assert set(source[:-1].tolist()) == {len(target) - 1}


def test_batches_survive_the_file(script, tmp_path):
    train, texts = script("train_translation"), script("texts").made_up(60, 1)
    batches = texts.batches(256, 4)
    train.write_batches(tmp_path / "batches.safetensors", batches)
    for ours, theirs in zip(batches, train.read_batches(tmp_path / "batches.safetensors"), strict=True):
        assert torch.equal(ours.source, theirs.source)
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(ours.target_valid, theirs.target_valid)


def test_training_sides_begin_at_one_loss_and_learn(script, tmp_path):
    train, peers = script("train_translation"), script("peers")
    batches = script("texts").made_up(60, 1).batches(256, 3)
    train.write_batches(tmp_path / "batches.safetensors", batches)
    (tmp_path / "settings.json").write_text(json.dumps({"warm_up": 1}))
    save(tmp_path / "model", train.new_model("toy", 10_000))
    rows = []
    for side in train.sides():
        if side.role == "extra":  # malloc's setting would stay with the tests
            continue
        side.options["keep"] = False
        for figure in train.work(side, tmp_path):
            assert figure.value > 0
            rows.append(peers.Row(side.who, f"{side.how} {figure.how}", side.role, side.format, facts=figure.facts))
    assert len(rows) == 2 + 4 * 2
    train.check(rows)
    assert all(row.facts["loss"] < row.facts["first loss"] for row in rows)
    rows[0].facts["first loss"] *= 1.001
    with pytest.raises(SystemExit, match="begins at a loss"):
        train.check(rows)


@pytest.mark.parametrize("family", ["lstm", "bahdanau"])
def test_recurrent_sides_begin_at_one_loss_and_learn(script, tmp_path, family):
    train, texts = script("train_recurrent"), script("texts").made_up(60, 1)
    module = train.all_families()[family]
    toy = {key: value for key, value in module.TOY.items() if key != "vocab"}
    train.write_batches(tmp_path / "batches.safetensors", texts.batches(256, 3))
    (tmp_path / "settings.json").write_text(json.dumps({"warm_up": 1, "family": family}))
    torch.manual_seed(0)
    save(tmp_path / "model", module.declare(vocab=texts.vocab, **toy).build())
    rows = []
    for side in train.sides(family):
        if side.role == "extra":  # malloc's setting would stay with the tests
            continue
        side.options["keep"] = False
        (figure,) = train.work(side, tmp_path)
        rows.append(script("peers").Row(side.who, side.how, side.role, side.format, facts=figure.facts))
    assert len(rows) == {"lstm": 6 if train.runs_lstm_in_bfloat16() else 4, "bahdanau": 4}[family]
    train.check(rows)
    assert all(row.facts["loss"] < row.facts["first loss"] for row in rows)


def test_masked_sides_begin_at_one_loss_and_take_the_same_steps(script, tmp_path, monkeypatch):
    """Without dropout a plain loop, their Trainer and ours have one mean loss: the same batches in the same order."""
    pytest.importorskip("accelerate", reason="accelerate is not installed, and their Trainer needs it")
    train, peers = script("train_language"), script("peers")
    sizes = {"width": 16, "hidden": 32, "heads": 2, "depth": 1, "length": 16, "dropout": 0.0, "attention_dropout": 0.0}
    monkeypatch.setitem(bert.SIZES, "toy", sizes)
    model, shape = train.new_model("masked", "toy", 16)
    train.write_batches(tmp_path / "batches.safetensors", train.made_up("masked", 6, 16, 5))
    (tmp_path / "settings.json").write_text(json.dumps({"warm_up": 0, "task": "masked", "shape": shape}))
    save(tmp_path / "model", model)
    rows = []
    for side in train.sides("masked"):
        for figure in train.work(side, tmp_path):
            assert figure.value > 0
            rows.append(peers.Row(side.who, f"{side.how} {figure.how}", side.role, side.format, facts=figure.facts))
    assert len(rows) == 2 * (1 + 2 * 2 * 2) and {row.who for row in rows} == {
        peers.OURS,
        peers.HUGGING_FACE,
        train.TRAINER,
    }
    train.check(rows)
    losses = {row.facts["loss"] for row in rows if row.format == "float32"}
    assert max(losses) == pytest.approx(min(losses), rel=1e-4)
    assert all(row.facts["loss"] != pytest.approx(row.facts["first loss"], rel=1e-3) for row in rows)


def test_translating_sides_say_the_same(script, tmp_path):
    translate, peers = script("translate"), script("peers")
    given = script("texts").made_up(200, 12)
    model = translate.new_model("toy", given.vocab, dropout=0.0)
    with torch.no_grad():  # an end that comes, after some steps
        model.embed.table.weight[translate.SPECIAL.eos].add_(0.2)
    save(tmp_path / "model", model, generation=translate.Generation(translate.Search(beam=5), translate.SPECIAL))
    from transformers import MarianMTModel

    theirs = MarianMTModel.from_pretrained(tmp_path / "model")
    ours = translate.decode_ours(model, given.test)
    rows = [
        peers.Row(peers.OURS, "float32", "ours", "float32", [2.0], facts={"answers": ours}),
        peers.Row(
            peers.HUGGING_FACE,
            "float32",
            "peer",
            "float32",
            [1.0],
            facts={"answers": translate.decode_theirs(theirs, 5, given.test)},
        ),
    ]
    wrong = [[*ours[0][:-1], 7, ours[0][-1]], *ours[1:]]
    rows.append(peers.Row(peers.OURS, "wrong", "extra", "float32", [1.0], facts={"answers": wrong}))
    translate.compare(rows, model, given.test)
    assert [row.facts["equal"] for row in rows] == [12, 12, 11]
    assert rows[2].facts["furthest"] > 1e-3
    assert all("answers" not in row.facts for row in rows)


def test_scores_are_those_of_the_search(script):
    translate = script("translate")
    given = script("texts").made_up(20, 6)
    model = translate.new_model("toy", given.vocab, dropout=0.0).eval()
    settings = translate.Search(beam=3, max_ratio=0.0, max_extra=9)
    found = [best[0] for best in translate.search(model, given.test, settings, translate.SPECIAL)]
    scored = translate.scored(model, given.test, [best.tokens for best in found], batch=4)
    torch.testing.assert_close(scored, torch.tensor([best.score for best in found]), rtol=1e-4, atol=1e-4)


def test_ctranslate2_says_the_same(script, tmp_path):
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    translate, ctranslate = script("translate"), script("ctranslate")
    given = script("texts").made_up(20, 8)
    model = translate.new_model("toy", given.vocab, dropout=0.0)
    save(tmp_path / "model", model, generation=translate.Generation(translate.Search(beam=5), translate.SPECIAL))
    assert ctranslate.convert(tmp_path / "model", tmp_path / "other")
    decode = ctranslate.decode_ctranslate2(tmp_path / "other", "float32", beam=1, limit=6)
    settings = translate.Search(method="greedy", max_ratio=0.0, max_extra=6)
    ours = [best[0].tokens for best in translate.search(model, given.test, settings, translate.SPECIAL)]
    assert decode(given.test) == ours


def test_ratios_are_to_the_best_peer_of_the_same_round(script, monkeypatch, capsys):
    peers = script("peers")
    figures = {"ours": [30.0, 80.0, 20.0], "slow": [5.0, 9.0, 6.0], "fast": [10.0, 20.0, 11.0], "extra": [90.0] * 3}
    taken = {name: iter(values) for name, values in figures.items()}
    monkeypatch.setattr(peers, "run", lambda script, side, folder: [peers.Figure(next(taken[side.how]), "way")])
    roles, formats = {"ours": "ours", "extra": "extra"}, {"ours": "int8", "slow": "int8"}
    sides = [
        peers.Side("somebody", name, roles.get(name, "peer"), formats.get(name, "float32"), {}) for name in figures
    ]
    rows = {row.how: row for row in peers.measure(Path(), sides, Path(), rounds=3)}
    assert rows["ours, way"].ratios == [3.0, 4.0, 20 / 11]
    assert rows["ours, way"].ratio == 3.0
    assert rows["ours, way"].value == 30.0
    assert peers.best(rows.values()).how == "fast, way"

    machine = peers.machine()
    peers.show("toy", "A question", "things/s", list(rows.values()), {"size": "toy"}, machine)
    told = capsys.readouterr().out
    assert "ours, way: 3.00 times somebody, fast, way (1.82 to 4.00 over the rounds)\n" in told
    assert "ours, way: 6.00 times somebody, slow, way (3.33 to 8.89 over the rounds), its best in int8\n" in told
    assert machine["torch"] in told
    peers.show_json("toy", "things/s", list(rows.values()), {"size": "toy"}, machine)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 4
    assert {"benchmark": "toy", "unit": "things/s", "ratio": 3.0, "baseline": "somebody, fast, way"}.items() <= lines[
        0
    ].items()


def test_a_side_that_fails_is_told(script, tmp_path):
    peers = script("peers")
    (tmp_path / "fails.py").write_text("raise RuntimeError('no such thing')")
    with pytest.raises(SystemExit, match=r"(?s)somebody, somehow failed:.*no such thing"):
        peers.run(tmp_path / "fails.py", peers.Side("somebody", "somehow", "peer", "float32", {}), tmp_path)
    echo = tmp_path / "echoes.py"
    echo.write_text("""print('noise\\n[{"value": 2.0, "how": "so", "facts": {}}]')""")
    run = partial(peers.run, echo)
    assert run(peers.Side("somebody", "somehow", "peer", "float32", {}), tmp_path) == [peers.Figure(2.0, "so", {})]


def test_trees_reach_attention_where_they_are_given(script, monkeypatch):
    """On made-up trees: distances in the tree name the word asked for, and the sequence says nothing of it."""
    trees = script("structural_positions")
    sentences = trees.made_up(500, 1), trees.made_up(50, 2)
    data = trees.prepared(*sentences, 400)
    assert sum(int(batch.valid.sum()) for batch in data.dev) == sum(len(s.words) for s in sentences[1])
    for batch in data.dev:
        assert int((batch.heads == 0).sum()) == len(batch.words)  # one root a sentence
        assert batch.tree.shape == (*batch.words.shape, 3)
    assert data.floor[1] == 1.0
    assert data.floor[0] < 0.3
    found = {}
    for positions in ("sinusoid", "tree(3)"):
        model = trees.built(data, positions, trees.TOY)
        trees.learn(model, data, 8, 1e-2)
        found[positions] = trees.measured(model, data.dev)[0]
    assert found["sinusoid"] < 0.35
    assert found["tree(3)"] > found["sinusoid"] + 0.3
    monkeypatch.setattr("sys.argv", ["structural_positions.py"])
    with pytest.raises(SystemExit, match="names no treebank"):
        trees.main()
