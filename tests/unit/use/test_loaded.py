"""`load` and `translate`: one text or many, prefixes, changed settings, and what is refused."""

import json
from pathlib import Path

import pytest
import torch

from transept.decode.config import Search
from transept.decode.search import search
from transept.errors import InvalidData, UsageError
from transept.hub.directory import read, save
from transept.hub.generation import Generation
from transept.models import Model
from transept.use.loaded import Loaded, load
from transept.use.opened import changed
from transept.use.text import Text
from unit.hub.made import directory, edit, model, tokenizer

TEXTS = ["a small house", "the cat sees the house", "ein Haus"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    root = tmp_path_factory.mktemp("loaded") / "m"
    save(root, model(), tokenizer=tokenizer(), generation=Search(beam=3, max_ratio=0.0, max_extra=12))
    return load(root)


def test_one_text_and_many(loaded: Loaded) -> None:
    many = loaded.translate(TEXTS)
    assert isinstance(many, list)
    assert [loaded.translate(text) for text in TEXTS] == many
    assert all(type(one) is Text for one in many)
    assert loaded.translate([]) == []


def test_a_translation_is_its_text_and_tells_how_it_came_about(loaded: Loaded) -> None:
    words = tokenizer()
    (found,) = search(loaded.model, [words.encode(TEXTS[0])], loaded.generation.search, loaded.generation.special)
    made = loaded.translate(TEXTS[0])
    assert made == words.decode(found[0].tokens) == str(made) == made.text
    assert type(made.text) is str
    assert json.loads(json.dumps({"out": made}))["out"] == made.text
    assert (made.ids, made.logprobs, made.score, made.finish) == (
        found[0].tokens,
        found[0].logprobs,
        found[0].score,
        found[0].finish,
    )
    assert made.tokens == words.tokens(found[0].tokens)
    assert len(made.tokens) == len(made.logprobs) == 12
    assert made.finish == "length"


def test_settings_are_changed_for_one_call(loaded: Loaded) -> None:
    before = loaded.generation
    assert len(loaded.translate(TEXTS[0], max_extra=4).ids) == 4
    best = loaded.translate(TEXTS[0], beam=4, n_best=4)
    assert len(best.others) == 3
    scores = [best.score, *(other.score for other in best.others)]
    assert scores == sorted(scores, reverse=True)
    assert loaded.translate(TEXTS[0]).others == []
    drawn = [loaded.translate(TEXTS[0], method="sample", temperature=3.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert loaded.generation == before


def test_a_translation_may_have_to_begin_so(loaded: Loaded) -> None:
    forced = loaded.translate(TEXTS, begin=["das ", "", "die Katze"])
    assert [one.text.startswith(start) for one, start in zip(forced, ["das ", "", "die Katze"], strict=True)] == [
        True
    ] * 3
    assert forced[1] == loaded.translate(TEXTS[1])
    assert loaded.translate(TEXTS[0], begin="das ") == forced[0]
    with pytest.raises(UsageError, match="3 texts need as many beginnings"):
        loaded.translate(TEXTS, begin=["das "])


def test_blank_stays_blank(loaded: Loaded) -> None:
    assert loaded.translate(["", " \t", TEXTS[0]]) == ["", "", loaded.translate(TEXTS[0])]
    assert loaded.translate("").finish == "end"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baem": 3}, "there is no search setting 'baem'. Did you mean 'beam'"),
        ({"beam": 0}, "beam: Input should be greater"),
        ({"beam": "3"}, "beam: Input should be a valid integer"),
        ({"temperature": 0.5, "method": "beam"}, "temperature is 0.5, but beam draws nothing"),
        ({"temperature": 0.5, "beam": 2}, "temperature is 0.5, but beam draws nothing"),
        ({"beam": 2, "method": "greedy"}, "beam is of a beam, and the method is greedy"),
        ({"n_best": 2, "method": "greedy"}, "n_best is 2, but greedy finds one"),
        ({"n_best": 9}, "n_best is 9, more than the beam of 3"),
    ],
)
def test_a_wrong_setting_is_refused(loaded: Loaded, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        loaded.translate(TEXTS[0], **changes)


def test_a_text_that_is_too_long_is_refused_by_number_and_length(tmp_path: Path) -> None:
    save(tmp_path / "m", model(), tokenizer=tokenizer(), generation=Generation(longest=20))
    assert json.loads((tmp_path / "m" / "tokenizer_config.json").read_text())["model_max_length"] == 20
    short = load(tmp_path / "m")
    long = "zzzzz qqqqq xxxxx wwwww"
    count = len(tokenizer().encode(long))
    with pytest.raises(InvalidData, match=rf"text 2 has {count} tokens, and the model takes 20 \(it begins 'zzzzz"):
        short.translate(["a cat", long])
    fits = tokenizer().decode(tokenizer().encode(long)[:19])
    assert len(tokenizer().encode(fits)) == 20
    short.translate(fits, max_extra=2, max_ratio=0.0)


def test_a_model_without_a_tokenizer_reads_no_text(tmp_path: Path) -> None:
    save(tmp_path / "m", model())
    with pytest.raises(InvalidData, match=r"no tokenizer.json[\s\S]*token ids"):
        load(tmp_path / "m").translate("a")


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    spec = model(norm="before").spec
    single = Model(spec.width, spec.embed, spec.encoder, spec.head)
    save(tmp_path / "m", single.build(), tokenizer=tokenizer())
    found = load(tmp_path / "m")
    assert found.spec == single
    with pytest.raises(UsageError, match=r"this model cannot translate: it is an encoder that reads text") as caught:
        found.translate("a")
    assert caught.value.remedy == f"It can fill, embed: `transept fill {tmp_path / 'm'}`."
    assert found.verbs == ("fill", "embed")


def test_a_setting_of_one_method_asks_for_that_method(loaded: Loaded) -> None:
    assert loaded.settings(temperature=0.7).method == "sample"
    assert loaded.settings(top_p=0.9, n_best=2).n_best == 2
    greedy = changed(Search(method="greedy"), {"beam": 3})
    assert (greedy.method, greedy.beam) == ("beam", 3)
    drawn = Search(method="sample", temperature=0.7, n_best=3)
    assert changed(drawn, {"method": "greedy"}) == Search(method="greedy")
    assert changed(drawn, {"top_k": 4}).temperature == 0.7


def test_familiar_names(loaded: Loaded, tmp_path: Path) -> None:
    loaded.save_pretrained(tmp_path / "copy")
    again = Loaded.from_pretrained(tmp_path / "copy")
    assert again.spec == loaded.spec
    assert again.generation == loaded.generation
    assert again.translate(TEXTS) == loaded.translate(TEXTS)
    assert (tmp_path / "copy" / "README.md").read_text() == (loaded.path / "README.md").read_text()
    with pytest.raises(UsageError, match="already"):
        loaded.save_pretrained(tmp_path / "copy")


def test_a_run_is_loaded_like_a_model(tmp_path: Path) -> None:
    save(tmp_path / "run" / "model", model(), tokenizer=tokenizer())
    assert load(tmp_path / "run").path == tmp_path / "run" / "model"


def test_the_model_is_an_ordinary_module(tmp_path: Path) -> None:
    found = load(directory(tmp_path), dtype=torch.float64)
    assert isinstance(found.model, torch.nn.Module)
    assert not found.model.training
    assert {p.dtype for p in found.model.parameters()} == {torch.float64}
    assert {p.dtype for p in read(tmp_path / "model").model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("device", "part"),
    [("foo", "no device 'foo'"), ("cuda:97", "no cuda:97 here"), ("mps", "float64"), ("cudaa", "Did you mean 'cuda'")],
)
def test_a_device_that_is_absent_is_refused(device: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{part}[\\s\\S]*Here there are: auto, cpu"):
        load(directory(tmp_path), device=device)


def test_auto_never_takes_what_lacks_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert load(directory(tmp_path), device="auto").model.spec == load(tmp_path / "model").model.spec


def test_the_search_that_was_saved_is_the_one_used(tmp_path: Path) -> None:
    root = directory(tmp_path)
    assert load(root).generation.search == Search()
    edit(root / "generation_config.json", num_beams=2, early_stopping=True)
    assert load(root).generation.search == Search(beam=2, stop="first")
