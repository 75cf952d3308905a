"""A scene shows what was computed: weights as recorded, words that add up, and the texts that were read and written."""

import numpy as np
import pytest
import torch

from transept.data.foreign import read_tokenizer
from transept.errors import UsageError
from transept.inspect.record import record
from transept.look.reading import side_of, written
from transept.look.scene import Scene, Seen
from transept.look.stage import KEPT, Stage
from unit.look.staged import TEXT, filler, seer, translator, writer
from unit.use.made import theirs


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
    bytes_ = np.frombuffer(Seen("a", "encoder", 1, "text", "text", shares).packed(), np.uint8).reshape(shares.shape)
    assert np.abs((bytes_ / 255.0) ** 2 - shares).max() < 0.004
    pairs = np.frombuffer(Seen("a", "encoder", 1, "text", "text", shares).packed(exact=True), "<u2")
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
