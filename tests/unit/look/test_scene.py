"""A scene shows what was computed: weights as recorded, words that add up, and the texts that were read and written."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from transept.data.foreign import read_tokenizer
from transept.errors import UsageError
from transept.inspect.align import cross_maps, standings
from transept.inspect.example import Example, Row
from transept.inspect.record import Made, Record, record
from transept.look.reading import Read, side_of, written
from transept.look.scene import Scene, Seen, Side, labelled
from transept.look.stage import KEPT, Stage
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
    assert told["sides"][0]["words"] == (None, 0, 1, 2, 3, 4, 5, 5, None)


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


def filler_example() -> Example:
    return Example(filler().loaded.model, Row.of([1, 2]))


def test_a_translation_opens_on_the_head_that_aligns() -> None:
    stage = translator()
    number = stage.open("a small house")
    scene = seen(stage, number)
    read = stage._found(number)[0]
    by_hand = loaded_pair(stage, read)
    maps = cross_maps(stage.loaded.model, [by_hand])  # type: ignore[arg-type]
    best = next(one.aligner for one in standings(maps) if one.aligner.when == "predicted")
    assert scene.first is not None
    layer, head = scene.first
    assert (scene.layers[layer].name, head) == (best.attention, best.head)
    assert all(len(layer.labels) == layer.shape[0] for layer in scene.layers)


def loaded_pair(stage: Stage, read: Read) -> tuple[Row, Row]:
    """The pair as the page groups it, with the last token that was written behind it."""
    _, target, _ = read.sides
    start = stage.loaded.demand_search().special.start([])
    words = [replace(one, tokens=tuple(at + 1 for at in one.tokens)) for one in target.grouped()]
    ids = torch.tensor([[*start, *read.target]])
    return read.example.source, Row(ids, ("", *target.texts), words)
