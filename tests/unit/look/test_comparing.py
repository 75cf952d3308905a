"""Two scenes beside each other, and a film: the numbers are those of the models, and what cannot be is said."""

import json
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from transept.data.config import Vocabulary
from transept.data.subwords import Subwords
from transept.decode.config import Search
from transept.errors import InvalidData, UsageError
from transept.hub.directory import save
from transept.inspect.drift import drift
from transept.inspect.heads import report
from transept.inspect.record import record
from transept.inspect.words import merge
from transept.look import files
from transept.look import film as film_
from transept.look.comparing import names_of
from transept.look.film import Film, likely
from transept.look.stage import Stage
from transept.topology import Built
from transept.use.loaded import Loaded, load
from unit.hub.made import LINES, model
from unit.look.staged import TEXT, filler, seer, translator, writer

_ROOM = TemporaryDirectory()
UPDATES = (10, 20, 300)


@cache
def letters() -> Loaded:
    """A translator with a vocabulary of letters."""
    root = Path(_ROOM.name) / "letters"
    tokenizer = Subwords.train(LINES, Vocabulary(kind="characters", merges=0))
    save(root, model(3, vocab=tokenizer.vocab), tokenizer=tokenizer, generation=Search(max_ratio=0.0, max_extra=12))
    return load(root)


@cache
def other() -> Loaded:
    """A translator like `translator`, with other weights."""
    loaded = translator().loaded
    root = Path(_ROOM.name) / "other"
    save(root, model(7), tokenizer=loaded.tokenizer, generation=Search(beam=3, max_ratio=0.0, max_extra=12))
    return load(root)


def filmed(updates: tuple[int, ...] = UPDATES) -> tuple[Stage, list[int]]:
    """A stage with a film whose moments have weights of their own, and which of them were read."""
    asked: list[int] = []

    def model_at(update: int) -> Built:
        asked.append(update)
        return model(update)

    return Stage(translator().loaded, film=Film(updates, model_at)), asked


# ------------------------------------------------------------------ two models


def test_the_other_model_reads_what_the_first_one_wrote() -> None:
    stage = Stage(translator().loaded, other())
    told = stage.scene(stage.open("a small house"))
    twin = stage.scene(told["twin"])
    assert (told["of"], twin["of"], twin["twin"]) == (0, 1, None)
    assert twin["target"] == told["target"]
    assert twin["sides"] == told["sides"]
    read, scene = stage._found(told["twin"])
    with torch.no_grad(), record(other().model) as kept:
        logits = read.example.output().logits[0]
    for layer in scene.layers:
        assert np.array_equal(layer.weights, kept[layer.name][0].numpy())
    with torch.no_grad():
        wanted = logits.log_softmax(-1)[range(len(told["target"])), list(told["target"])].mean().exp()
    assert likely(read) == pytest.approx(float(wanted), rel=1e-5)
    page = stage.told()
    assert (page["model"], page["against"], page["film"]) == ("translator", "other", None)
    assert [one["of"] for one in page["scenes"]] == [0, 1]


def test_words_are_the_same_in_another_vocabulary() -> None:
    stage = Stage(translator().loaded, letters())
    told = stage.scene(stage.open("a small house", most=0))
    assert stage.scene(told["twin"])["target"] == ()
    own, theirs = (stage._found(number)[0].sides[0].grouped() for number in (told["id"], told["twin"]))
    assert [word.text for word in own if not word.special] == [word.text for word in theirs if not word.special]
    tokenizer = translator().loaded.tokenizer
    assert tokenizer is not None
    ids = tokenizer.encode("the cat sees")
    told = stage.scene(stage.open("a small house", ids, most=0))
    twin = stage.scene(told["twin"])
    assert len(twin["target"]) > len(ids)
    assert (told["written"], twin["written"]) == ("the cat sees", "the cat sees")
    end = letters().demand_search().special.eos
    assert twin["target"][-1] == end
    assert twin["target"].count(end) == 1


def test_models_that_read_otherwise_are_not_compared() -> None:
    with pytest.raises(UsageError, match="do not read and write alike"):
        Stage(translator().loaded, filler().loaded).open("a cat")
    shown, picture = seer()
    with pytest.raises(UsageError, match="do not read and write alike"):
        Stage(shown.loaded, filler().loaded).open(str(picture))
    for one, two in ((filler(), writer()), (writer(), filler())):  # the one writes, the other does not
        with pytest.raises(UsageError, match="do not read and write alike"):
            Stage(one.loaded, two.loaded).open("a cat")
    stage = Stage(filler().loaded, filler().loaded)
    with pytest.raises(InvalidData, match="62 tokens"):
        stage.open("cat " * 60)
    assert stage.told()["scenes"] == [], "nothing is half there"


def test_one_that_writes_on_is_compared_by_the_same_tokens() -> None:
    stage = Stage(writer().loaded, writer().loaded)
    told = stage.scene(stage.open("the cat", most=4))
    assert stage.scene(told["twin"])["target"] == told["target"]
    assert np.array_equal(stage.weights(told["id"], 1), stage.weights(told["twin"], 1))


def test_names_tell_two_models_apart(tmp_path: Path) -> None:
    for one, two, told in (
        ("a/model", "b/model", ("a", "b")),
        ("x/a", "y/a", ("x/a", "y/a")),
        ("run", "run/checkpoints/00002380", ("run", "run, update 2,380")),
        ("r/a/model", "s/a/model", ("r/a", "s/a")),
        ("r/a/checkpoints/00000010", "s/a/checkpoints/00000010", ("r/a, update 10", "s/a, update 10")),
        ("r/a", "r/a/model", ("r/a", "a/model")),
        ("a", "a", ("a", "a (again)")),
    ):
        assert names_of(tmp_path / one, tmp_path / two) == told
    assert names_of(Path("/b/a"), Path("/a")) == ("b/a", "/a")


# ------------------------------------------------------------------ two texts


def test_vectors_of_a_word_are_compared_as_in_python() -> None:
    stage = Stage(filler().loaded)
    one, two = stage.open(TEXT), stage.open("a dog sees cats in paris")
    examples = [stage.loaded.explain(text) for text in (TEXT, "a dog sees cats in paris")]
    wanted = drift(examples[0], examples[0].source.words, examples[1], examples[1].source.words)
    found = stage.drift(one, 1, [2], two, [4, 5])["cosines"]
    np.testing.assert_allclose(found, wanted[:, 2, 4], rtol=0, atol=1e-6)
    torch.testing.assert_close(stage.drifts(one, 0, two, False), wanted, rtol=0, atol=1e-6)
    assert stage.drifts(one, 0, two, True).shape == (3, 9, 9)
    for members, message in (([9], "9 tokens"), ([], "9 tokens"), ([-1], "9 tokens")):
        with pytest.raises(UsageError, match=message):
            stage.drift(one, 0, members, two, [0])


def test_each_role_has_the_vectors_of_its_own_stack() -> None:
    stage = Stage(translator().loaded)
    one, two = stage.open("a small house"), stage.open("the cat sees the house")
    layers = stage.scene(one)["layers"]
    roles = {layer["role"]: at for at, layer in enumerate(layers)}
    examples = [stage._found(number)[0].example for number in (one, two)]
    for role, trunk in (("encoder", "encoder"), ("decoder", "decoder"), ("cross", "decoder")):
        words = [stage._found(n)[0].sides[0 if role == "encoder" else 1].grouped() for n in (one, two)]
        wanted = drift(examples[0], words[0], examples[1], words[1], trunk)
        torch.testing.assert_close(stage.drifts(one, roles[role], two, False), wanted, rtol=0, atol=1e-6)


def test_vectors_of_two_models_are_not_compared() -> None:
    stage = Stage(translator().loaded, other())
    number = stage.open("a small house")
    with pytest.raises(UsageError, match="no common space"):
        stage.drift(number, 0, [0], number + 1, [0])


# ------------------------------------------------------------------ a film


def test_a_moment_has_the_maps_of_its_weights_and_loads_them_once() -> None:
    stage, asked = filmed()
    number, second = stage.open("a small house"), stage.open("the cat sees")
    told = stage.scene(number)
    read, scene = stage._found(number)
    for update in UPDATES:
        moment = stage.moment(number, update).told()
        built = model(update)
        with torch.no_grad(), record(built) as kept:
            logits = built(read.example.source.inputs, read.example.target.inputs).logits[0].log_softmax(-1)  # type: ignore[union-attr]
        for at, layer in enumerate(scene.layers):
            wanted = kept[layer.name][0].numpy()
            found = np.frombuffer(stage.frame(number, update, at), "<u2").reshape(wanted.shape)
            np.testing.assert_allclose((found / 65535.0) ** 2, wanted, rtol=0, atol=2e-5)
        wanted = logits[range(len(told["target"])), list(told["target"])].mean().exp()
        assert moment["probability"] == pytest.approx(float(wanted), rel=1e-5)
        encoder = kept["encoder.blocks.0.attention"][0]
        words = read.sides[0].grouped()
        maps = merge(encoder, words, words)
        parked = [i for i, word in enumerate(words) if word.special or word.is_sign]
        reports = [report([one], [[word.text for word in words]], None, [parked]) for one in maps]
        assert moment["labels"][0] == tuple(one.label for one in reports)
        np.testing.assert_allclose(moment["scores"][0], [one.interest for one in reports], rtol=0, atol=1e-6)
    assert asked == list(UPDATES)
    stage.moment(number, 20)
    assert asked == list(UPDATES), "what was seen is kept"
    stage.moment(second, 20)
    stage.moment(number, 300)
    assert asked == [*UPDATES, 20]
    assert stage.told()["film"] == UPDATES


def test_little_is_held_of_a_long_film(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, asked = filmed()
    number = stage.open("a small house")
    size = film_.size_of(stage.moment(number, 10))
    monkeypatch.setattr(film_, "ROOM", 2 * size)
    for update in (20, 300, 20, 10):
        stage.moment(number, update)
    assert stage.film is not None
    assert sum(map(film_.size_of, stage.film._kept.values())) <= 2 * size
    assert asked == [10, 20, 300, 10], "the one that was asked for longest ago went"


def test_a_checkpoint_that_gives_no_numbers_is_told() -> None:
    def model_at(update: int) -> Built:
        made = model(update)
        if update == 20:
            next(made.parameters()).data.fill_(float("nan"))
        return made

    stage = Stage(translator().loaded, film=Film(UPDATES, model_at))
    number = stage.open("a small house")
    with pytest.raises(UsageError, match="nan, not a number"):
        stage.moment(number, 20)
    text, left = files.alone(stage)
    assert [one for one in left if "nan" in one] == [
        f"update 20 of scene {number}: what the model makes of this is nan, not a number"
    ]
    assert "NaN" not in text


def test_what_no_film_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, asked = filmed()
    number = stage.open("a small house")
    with pytest.raises(UsageError, match="no checkpoint of update 15"):
        stage.moment(number, 15)
    with pytest.raises(UsageError, match="attentions"):
        stage.frame(number, 10, 99)
    with pytest.raises(UsageError, match="no film"):
        translator().moment(translator().open("a"), 10)
    monkeypatch.setattr(film_, "LABELLED", 10)
    with pytest.raises(UsageError, match="Take a shorter text"):
        stage.moment(number, 20)
    assert asked == []
    stage = Stage(translator().loaded, other(), filmed()[0].film)
    with pytest.raises(UsageError, match="no film"):
        stage.moment(stage.open("a small house") + 1, 10)


# ------------------------------------------------------------------ in one file


def held(text: str) -> dict[str, object]:
    found = re.search(r'id="told">(.*?)</script>', text, re.S)
    assert found is not None
    told: dict[str, object] = json.loads(found[1])
    return told


def test_the_file_takes_as_many_moments_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = tuple(range(1, 10))
    stage, asked = filmed(updates)
    number = stage.open("a small house")
    sizes = sum(2 * np.prod(layer["shape"]) for layer in stage.scene(number)["layers"])
    monkeypatch.setattr(files, "ROOM", int(sizes * 4.5))  # the scene itself, and three moments
    text, left = files.alone(stage)
    told = held(text)
    (scene,) = told["scenes"]  # type: ignore[misc]
    assert list(scene["film"]) == ["1", "5", "9"]
    assert left == [f"update {update} of scene {number}" for update in (3, 7, 2, 4, 6, 8)]
    assert sorted(asked) == [1, 5, 9], "what has no room is not read"


def test_a_moment_that_cannot_be_read_is_left_out_and_told() -> None:
    def model_at(update: int) -> Built:
        if update == 20:
            raise InvalidData("model.safetensors is not what was written")
        return model(update)

    stage = Stage(translator().loaded, film=Film(UPDATES, model_at))
    stage.open("a small house")
    text, left = files.alone(stage)
    assert left == ["update 20 of scene 1: model.safetensors is not what was written"]
    assert list(held(text)["scenes"][0]["film"]) == ["10", "300"]  # type: ignore[index]


def test_the_moments_of_a_film_are_spread() -> None:
    assert files.spread((1, 2)) == [1, 2]
    assert files.spread((1, 2, 3, 4, 5)) == [1, 5, 3, 2, 4]
    for count in range(2, 40):
        assert sorted(files.spread(range(count))) == list(range(count))
