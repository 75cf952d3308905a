"""A scene shows what was computed: weights as recorded, words that add up, and the texts that were read and written."""

import json
import re
import sys
import threading
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from transept.cli.main import app
from transept.data.foreign import read_tokenizer
from transept.decode.config import Search
from transept.decode.search import extend
from transept.errors import InvalidData, UsageError
from transept.families import linformer, memorizing, wikipedia
from transept.hub.directory import save
from transept.inspect.attribution import input_x_gradient, integrated_gradients, leave_one_out
from transept.inspect.contributions import contributed
from transept.inspect.cut import HeadAt, Link, effect
from transept.inspect.example import Choice, Example, Row
from transept.inspect.record import Made, Record, record
from transept.inspect.syntax import word_maps
from transept.inspect.words import merge
from transept.look import stage as stage_
from transept.look.reading import Read, side_of, written
from transept.look.scene import SMALL, Scene, Seen, Side, labelled
from transept.look.stage import KEPT, Stage
from transept.use.explain import source_row
from transept.use.loaded import load
from unit.hub.made import tokenizer
from unit.look.staged import TEXT, filler, seer, translator, writer
from unit.use.made import shaken, theirs


def seen(stage: Stage, number: int) -> Scene:
    return stage._found(number)[1]


def test_a_translation_is_shown_as_it_was_computed() -> None:
    stage = translator()
    model, tokenizer = stage.loaded.model, stage.loaded.tokenizer
    assert tokenizer is not None
    number = stage.open("a small house")
    told, scene = stage.scene(number), seen(stage, number)
    source, start = tokenizer.encode("a small house"), stage.loaded.demand_search().special.start([])
    made = stage.loaded.translate("a small house")
    assert list(told["target"]) == made.ids
    assert told["written"] == str(made)
    with torch.inference_mode(), record(model) as kept:
        out = model(torch.tensor([source]), torch.tensor([[*start, *made.ids[:-1]]]))
    assert [layer.name for layer in scene.layers] == list(kept)
    for layer in scene.layers:
        assert np.array_equal(layer.weights, kept[layer.name][0].numpy())
    shares = out.logits[0].softmax(-1)
    for row, choices in enumerate(scene.choices):
        assert [choice.id for choice in choices] == shares[row].topk(10).indices.tolist()
        assert choices[0].probability == pytest.approx(float(shares[row].max()), rel=1e-6)
    roles = {(layer.role, layer.rows, layer.columns) for layer in scene.layers}
    assert roles == {("encoder", "source", "source"), ("decoder", "target", "given"), ("cross", "target", "source")}
    for layer in scene.layers:
        sides = {side.name: len(side.texts) for side in scene.sides}
        assert layer.weights.shape[1:] == (sides[layer.rows], sides[layer.columns])


def test_a_forced_token_is_written_and_the_model_goes_on() -> None:
    stage = translator()
    first = stage.scene(stage.open("a small house"))
    other = next(choice[0] for choice in first["choices"][1] if choice[0] != first["target"][1])
    told = stage.scene(stage.open("a small house", [first["target"][0], other]))
    assert list(told["target"])[:2] == [first["target"][0], other]
    assert len(told["target"]) > 2


def test_a_text_that_is_written_on_and_one_that_is_only_read() -> None:
    stage = writer()
    told = stage.scene(stage.open("the cat", most=5))
    assert len(told["target"]) == 5
    assert len(told["choices"]) == len(told["sides"][0]["texts"])
    nothing = stage.scene(stage.open("the cat", most=0))
    assert list(nothing["target"]) == []
    told = filler().scene(filler().open(TEXT))
    assert told["choices"] == []
    assert told["sides"][0]["texts"] == ("[CLS]", *["the", "cat", "sat", "on", "the", "mat", "."], "[SEP]")
    assert told["sides"][0]["words"] == (None, 0, 1, 2, 3, 4, 5, 6, None)  # signs stand apart, as in inspect.words


def test_what_follows_forced_tokens_follows_the_tokens_themselves() -> None:
    stage = writer()
    loaded = stage.loaded
    begun = loaded.tokenizer.encode("the cat")
    settings = loaded.settings(method="greedy", max_ratio=0.0, max_extra=4, max_whole=None)
    special = loaded.demand_search().special
    again = 0
    for token in range(0, 60, 3):  # some of them no text of their own
        told = stage.scene(stage.open("the cat", [token], most=4))
        ((best, *_),) = extend(loaded.model, [[*begun, token]], settings, special)
        assert list(told["target"]) == [token, *best.tokens]
        again += loaded.tokenizer.encode(loaded.tokenizer.decode([*begun, token])) != [*begun, token]
    assert again > 0


def test_a_model_writes_on_to_its_last_place() -> None:
    stage = writer()
    told = stage.scene(stage.open("the cat", most=10_000))
    longest = stage.loaded.longest
    rows = len(told["sides"][0]["texts"])
    assert rows == longest or told["target"][-1] in stage.loaded.demand_search().special.ends
    with pytest.raises(InvalidData, match=f"{longest + 1} tokens, and the model takes {longest}"):
        stage.open("the cat", [5] * (longest - 1))


def test_what_was_read_and_written_is_found_again_in_the_pieces() -> None:
    tokenizer = read_tokenizer(theirs("GPT2LMHeadModel"))
    assert tokenizer is not None
    text = "the naïve 猫 sat"
    pieces, words = written(tokenizer, tokenizer.encode(text))
    assert len(pieces) == len(words) == len(tokenizer.encode(text))
    assert [number for number in words if number is not None] == sorted(n for n in words if n is not None)
    assert words[0] == 0
    assert max(n for n in words if n is not None) == 3
    bert = read_tokenizer(theirs("BertForMaskedLM"))
    assert bert is not None
    (one,) = bert.encodings(["played cats"])
    side = side_of("text", bert, one, "played cats")
    assert side.texts == ("[CLS]", "play", "ed", "cat", "s", "[SEP]")
    assert side.words == (None, 0, 0, 1, 1, None)


def test_the_words_of_the_page_are_those_of_the_explanations() -> None:
    loaded, text = filler().loaded, "ada's cat played, and walked 2 dogs."
    (side,) = seen(filler(), filler().open(text)).sides
    assert [word.tokens for word in side.grouped()] == [word.tokens for word in loaded.explain(text).source.words]


def test_a_byte_is_never_far_from_the_share() -> None:
    shares = np.random.default_rng(0).dirichlet(np.full(40, 0.2), (3, 50)).astype(np.float32)
    kept = Record()
    kept.add("a", Made(torch.from_numpy(shares)[None]))
    layer = Seen("a", "encoder", 1, "text", "text", kept, shares.shape[1])
    bytes_ = np.frombuffer(layer.packed(), np.uint8).reshape(shares.shape)
    assert np.abs((bytes_ / 255.0) ** 2 - shares).max() < 0.004
    pairs = np.frombuffer(layer.packed(exact=True), "<u2")
    assert np.abs((pairs.reshape(shares.shape) / 65535.0) ** 2 - shares).max() < 2e-5


def test_a_picture_is_shown_by_its_places() -> None:
    stage, picture = seer()
    told = stage.scene(stage.open(str(picture)))
    (side,) = told["sides"]
    assert side["grid"] == (4, 4)
    assert len(side["texts"]) == 17
    assert side["texts"][:3] == ("class", "1, 1", "1, 2")
    assert told["picture"].startswith("data:image/png;base64,")
    assert told["answers"][0][0] == str(stage.loaded.see(str(picture)))


def test_the_oldest_scenes_go_and_what_is_not_there_is_named() -> None:
    stage = Stage(filler().loaded)
    numbers = [stage.open("a dog") for _ in range(KEPT + 2)]
    assert len(stage.told()["scenes"]) == KEPT
    with pytest.raises(UsageError, match=f"no scene {numbers[0]}; the last {KEPT}"):
        stage.scene(numbers[0])
    with pytest.raises(UsageError, match="2 attentions, and no number 2"):
        stage.packed(numbers[-1], 2)
    for members, backward in (([9], False), ([], True), ([0, -1], True)):
        with pytest.raises(UsageError, match=f"{4} {'columns' if backward else 'rows'}, not all of"):
            stage.looked(numbers[-1], 0, members, backward)


def test_what_was_named_stays_however_many_there_are(tmp_path: Path) -> None:
    stage, texts = Stage(filler().loaded), [f"a dog {'cat ' * (at % 5)}" for at in range(KEPT + 3)]
    named = [stage.open(text, named=True) for text in texts]
    for _ in range(KEPT + 1):
        stage.open("a dog")
    kept = [scene["id"] for scene in stage.told()["scenes"]]
    assert len(kept) == len(named) + KEPT
    assert kept[: len(named)] == named
    file = tmp_path / "all.html"
    told = ["look", str(stage.loaded.path), *texts, "--html", str(file)]
    found = CliRunner().invoke(app, told)
    assert found.exit_code == 0, found.output
    held = re.search(r'id="told">(.*?)</script>', file.read_text(encoding="utf-8"), re.S)
    assert held is not None
    assert [scene["title"] for scene in json.loads(held[1])["scenes"]] == texts


def test_scenes_are_read_while_others_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_, "KEPT", 4)
    stage, wrong, done = Stage(filler().loaded, filler().loaded), list[str](), threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                scenes = {scene["id"]: scene for scene in stage.told()["scenes"]}
            except Exception as error:
                wrong.append(repr(error))
                return
            twins = {scene["twin"] for scene in scenes.values() if not scene["of"]}
            if twins != {number for number, scene in scenes.items() if scene["of"]}:
                wrong.append(f"halves of pairs: {sorted(scenes)}, {twins}")

    readers = [threading.Thread(target=look) for _ in range(3)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for reader in readers:
            reader.start()
        for _ in range(30):
            stage.open("a dog")
    finally:
        done.set()
        sys.setswitchinterval(before)
        for reader in readers:
            reader.join()
    assert wrong == []
    assert len(stage.told()["scenes"]) == 4


def test_a_scene_keeps_what_was_asked_and_no_map() -> None:
    """Memory grows with the text, not with its square."""
    stage = translator()
    scene = seen(stage, stage.open("a small house"))
    for layer in scene.layers:
        assert not any(isinstance(piece, Made) for piece in layer.kept._of(layer.name))
        few = [0, layer.size - 1]
        assert np.allclose(layer.some(few), layer.weights[:, few], rtol=1e-5, atol=1e-6)


def test_blocks_that_share_weights_are_each_a_layer() -> None:
    loaded = copy(filler().loaded)
    spec = replace(loaded.spec, stack=replace(loaded.spec.stack, weights=1))  # type: ignore[attr-defined,type-var]
    torch.manual_seed(0)
    loaded.spec, loaded.model = spec, shaken(spec.build().eval(), scale=0.3)
    stage = Stage(loaded)
    number = stage.open(TEXT)
    scene, told = seen(stage, number), stage.scene(number)
    tokens = len(told["sides"][0]["texts"])
    assert [(one["number"], one["shared"], one["shape"]) for one in told["layers"]] == [
        (1, True, (4, tokens, tokens)),
        (2, True, (4, tokens, tokens)),
    ]
    first, second = (one.weights for one in scene.layers)
    assert not np.allclose(first, second, atol=1e-4)
    np.testing.assert_allclose(second[:, [2]], scene.layers[1].some([2]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second.sum(-1), 1, rtol=1e-5, atol=0)


def test_heads_are_called_by_what_they_do_and_the_best_comes_first() -> None:
    """A head made to look at the word before is called so; one that aligns is what the page opens on."""
    tokens = ("the", "cat", "s", "sat", ".", "</s>")
    side = Side("text", tokens, (0, 1, 1, 2, 3, None))
    assert [word.text for word in side.grouped()] == ["the", "cats", "sat", ".", "</s>"]
    back = torch.zeros(6, 6)
    back[range(6), [0, 0, 0, 1, 3, 4]] = 1.0
    even = torch.full((6, 6), 1 / 6)
    kept = Record()
    kept.add("a", Made(torch.stack([even, back])[None]))
    layer = Seen("a", "encoder", 1, "text", "text", kept, 6)
    read = Read("", (side,), filler_example())
    (found,), first = labelled([layer], read)
    assert found.labels == ("broad", "previous word")
    assert first == (0, 1)
    marked = Side("text", ("[CLS]", "the", "cat", ".", "[SEP]"), (None, 0, 1, 2, None))
    columns = [torch.eye(5)[[at] * 5] for at in (0, 4)]
    for side, labels in (
        (marked, ("ends and marks", "ends and marks")),
        (replace(marked, words=(5, 0, 1, 2, None)), ("first word", "ends and marks")),  # nothing is put before it
    ):
        kept = Record()
        kept.add("a", Made(torch.stack(columns)[None]))
        ((found,), _) = labelled([Seen("a", "encoder", 1, "text", "text", kept, 5)], Read("", (side,), read.example))
        assert found.labels == labels


def filler_example() -> Example:
    return Example(filler().loaded.model, Row.of([1, 2]))


def test_a_translation_opens_on_the_head_that_aligns() -> None:
    """Of two heads that are as sharp, that one which looks at what the written words are made of."""
    stage = translator()
    number = stage.open("a small house")
    scene, read = seen(stage, number), stage._found(number)[0]
    assert scene.first is not None
    layer, head = scene.first
    assert scene.layers[layer].role == "cross"
    assert 0 <= head < scene.layers[layer].shape[0]
    assert all(len(one.labels) == one.shape[0] for one in scene.layers)
    source, target, _ = read.sides
    words = [word for word in source.grouped() if not word.special]
    spoken = [word for word in target.grouped() if not word.special]
    brought = contributed(read.example)["decoder"][-1][:, -len(source.texts) :]
    total = merge(brought, spoken, words).sum(0)
    assert len(words) == 3
    kept = Record()
    for one in scene.layers:
        maps = one.map().clone()
        if one.role == "cross":
            maps[:] = 1 / len(source.texts)
            if one.number == 2:
                for own, at in enumerate((total.argmin(), total.argmax())):
                    maps[own] = torch.eye(len(source.texts))[words[int(at)].tokens[0]]
        kept.add(one.name, Made(maps[None]))
    made = [replace(one, kept=kept) for one in scene.layers]
    first = labelled(made, read)[1]
    assert first is not None
    assert (made[first[0]].role, made[first[0]].number, first[1]) == ("cross", 2, 1)


def test_a_cut_and_a_why_are_those_of_python() -> None:
    stage = translator()
    number = stage.open("a small house")
    scene, read = seen(stage, number), stage._found(number)[0]
    model = stage.loaded.model
    at = next(i for i, one in enumerate(scene.layers) if one.role == "cross")
    name = scene.layers[at].name
    start = stage.loaded.demand_search().special.start([])
    tokens = list(read.target)
    by_hand = Example(model, source_row(stage.loaded, "a small house"), Row.of([*start, *tokens[:-1]]))
    choices = [Choice(token, len(start) - 1 + k) for k, token in enumerate(tokens)]
    for asked, cuts in (
        ({"layer": at, "head": 1}, [HeadAt(name, 1)]),
        ({"layer": at, "head": 0, "queries": [2], "keys": [0, 1]}, [Link(name, 2, 0, 0), Link(name, 2, 1, 0)]),
        ({"layer": at, "head": None, "queries": [2], "keys": [3]}, [Link(name, 2, 3)]),
    ):
        told = stage.cut(number, asked)
        for k, choice in enumerate(choices):
            found = effect(model, lambda choice=choice: by_hand.probability(choice), *cuts)
            assert told["before"][k] == pytest.approx(float(found.before), rel=1e-4, abs=1e-7)
            assert told["after"][k] == pytest.approx(float(found.after), rel=1e-4, abs=1e-7)
        assert told["before"] != told["after"]
    for method, find in (
        ("leave-one-out", leave_one_out),
        ("gradient", input_x_gradient),
        ("integrated", partial(integrated_gradients, steps=200)),
    ):
        told = stage.why(number, 4, method)
        wanted = find(by_hand, choices[4])
        for side, own in (("source", "source"), ("given", "target")):
            np.testing.assert_allclose(told["sides"][side], wanted.tokens[own].numpy(), rtol=1e-3, atol=1e-5)
        assert (told["apart"] is None) == (wanted.error is None)
    shares = stage.why(number, 4, "attention")["sides"]
    assert sum(shares["source"]) == pytest.approx(1, abs=1e-4)
    assert sum(shares["given"]) == pytest.approx(1, abs=1e-4)
    assert shares["given"][6:] == [0] * (len(tokens) - 6)  # what comes later brings nothing


def test_a_class_is_explained_and_what_has_no_choice_is_not() -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    number = stage.open(str(picture))
    told = stage.why(number, 0, "leave-one-out")
    assert len(told["sides"]["picture"]) == 17
    assert told["probability"] == pytest.approx(stage.scene(number)["answers"][0][1], rel=1e-4)
    moved = stage.cut(number, {"layer": 0, "head": 0})
    assert moved["before"][0] == pytest.approx(told["probability"], rel=1e-4)
    assert moved["instead"] == [None] * len(moved["before"])
    stage = filler()
    number = stage.open(TEXT)
    with pytest.raises(UsageError, match="writes no text or class"):
        stage.cut(number, {"layer": 0, "head": 0})
    with pytest.raises(UsageError, match="0 outputs can be explained"):
        stage.why(number, 0, "gradient")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"layer": 99, "head": 0}, "no number 99"),
        ({"layer": [], "head": 0}, "none was named"),
        ({"layer": 0}, "a head, or of the links"),
        ({"layer": 0, "head": 9}, "heads of"),
        ({"layer": 0, "head": "0"}, "a head is a number"),
        ({"layer": 0, "queries": [0], "keys": []}, "not 0"),
        ({"layer": 0, "queries": [0], "keys": 3}, "a list of tokens"),
        ({"layer": 0, "queries": [0], "keys": [99]}, "not all of"),
        ({"layer": 0, "queries": [True], "keys": [0]}, "not all of"),
    ],
)
def test_a_cut_that_cannot_be_is_told(asked: dict[str, object], told: str) -> None:
    stage = translator()
    number = stage.open("a small house")
    with pytest.raises(UsageError, match=told):
        stage.cut(number, asked)
    with pytest.raises(UsageError, match="no method is called 'gradients'.*gradient"):
        stage.why(number, 0, "gradients")


def test_a_small_picture_has_the_largest_share_of_each_place_and_the_entropy_of_all() -> None:
    weights = torch.rand(3, 300, 230, generator=torch.Generator().manual_seed(0)).softmax(-1)
    kept = Record()
    kept.add("one", Made(weights[None]))
    one = Seen("one", "encoder", 1, "text", "text", kept, 300)
    assert one.told()["small"] == (SMALL, SMALL)
    found = one.small()
    entropy = -(weights * weights.log()).sum(-1).mean(-1) / np.log(230)
    np.testing.assert_allclose(np.frombuffer(found[:12], "<f4"), entropy.numpy(), rtol=1e-5)
    shares = np.frombuffer(found[12:], "u1").reshape(3, SMALL, SMALL)
    for head, row, column in ((0, 0, 0), (1, 50, 7), (2, SMALL - 1, SMALL - 1)):
        rows = slice(row * 300 // SMALL, -(-(row + 1) * 300 // SMALL))
        columns = slice(column * 230 // SMALL, -(-(column + 1) * 230 // SMALL))
        assert shares[head, row, column] == round(255 * float(weights[head, rows, columns].max()) ** 0.5)


def test_a_small_map_is_told_whole() -> None:
    stage = filler()
    assert all(layer["small"] is None for layer in stage.scene(stage.open(TEXT))["layers"])


UNSEEN = {
    "wikipedia": "is not shown: it looks at keys that are made of several tokens.",
    "memorizing": "also mixes in what it finds in segments before, which is not shown.",
}


@pytest.mark.parametrize(("name", "shown"), [("wikipedia", ["stack.blocks.0.attention"]), ("memorizing", 2)])
def test_attentions_that_look_at_no_single_tokens_are_named_and_left_out(
    tmp_path: Path, name: str, shown: list[str] | int
) -> None:
    """A shortened key is no token, and what is remembered is not in the map: neither is shown as if it were."""
    family = {"wikipedia": wikipedia, "memorizing": memorizing}[name]
    torch.manual_seed(0)
    model = family.declare(**family.TOY | {"vocab": 300}).build().eval()
    save(tmp_path / name, model, tokenizer=tokenizer(), generation=Search(method="greedy", max_ratio=0.0, max_extra=6))
    stage = Stage(load(tmp_path / name))
    told = stage.scene(stage.open("a small house"))
    names = [layer["name"] for layer in told["layers"]]
    assert names == shown or len(names) == shown
    for layer in told["layers"]:
        assert layer["shape"][2] == len(next(s for s in told["sides"] if s["name"] == layer["columns"])["texts"])
    (said,) = told["unseen"]
    assert said == f"stack.blocks.1.attention {UNSEEN[name]}"


def test_a_model_without_any_view_says_why(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = linformer.declare(**linformer.TOY | {"vocab": 300}).build().eval()
    save(tmp_path / "linformer", model, tokenizer=tokenizer())
    stage = Stage(load(tmp_path / "linformer"))
    with pytest.raises(UsageError, match="no attention of this model has a view.*by the core LowRank"):
        stage.open("a small house")
    with pytest.raises(UsageError, match="by the core LowRank: it has no map of words"):
        word_maps(stage.loaded.explain("a small house"))


def test_tokens_that_were_written_are_explained_as_they_are() -> None:
    loaded = translator().loaded
    ids = loaded.translate("a small house").ids
    one = loaded.explain("a small house", target=ids[:-1])
    assert one.target is not None
    assert one.target.inputs.tolist() == [[loaded.start, *ids[:-1]]]
    number = translator().open("a small house")
    read = translator()._found(number)[0]
    assert torch.equal(one.logits(), read.example.logits())
    gpt = writer().loaded
    more = gpt.explain("the cat", target=[5, 6])
    assert more.source.inputs[0].tolist()[-2:] == [5, 6]
    assert more.source.inputs[0].tolist()[:-2] == gpt.explain("the cat").source.inputs[0].tolist()
    with pytest.raises(UsageError, match="writes no target") as refused:
        gpt.explain("the cat", target="sat")
    assert "target=" in str(refused.value.remedy)
    with pytest.raises(InvalidData, match="not in the vocabulary"):
        loaded.explain("a small house", target=[9999])
