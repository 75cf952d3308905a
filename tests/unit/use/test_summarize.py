"""`summarize`: the words and the search that config.json has for summaries, as Hugging Face applies them."""

from pathlib import Path

import pytest
import torch
from transformers import MarianMTModel

from transept.decode.config import Search
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.hub.directory import save
from transept.use.loaded import Loaded, load
from unit.hub import made as hub
from unit.use.made import edit, theirs

TEXTS = ["the cat sees the house", "", "ein kleines Haus steht hier"]
OWN = {"prefix": "short: ", "num_beams": 3, "max_length": 14, "length_penalty": 2.0, "early_stopping": True}


def made(root: Path, **own: object) -> Loaded:
    save(root, hub.model(), tokenizer=hub.tokenizer(), generation=Search(method="greedy", max_ratio=0.0, max_extra=10))
    if own:
        edit(root / "config.json", task_specific_params={"summarization": own, "translation": {"prefix": "to: "}})
    return load(root)


def test_a_model_with_nothing_to_say_uses_its_own_search(tmp_path: Path) -> None:
    loaded = made(tmp_path / "m")
    assert loaded.summarize(TEXTS) == loaded.translate(TEXTS)
    assert loaded.summarize(TEXTS[0], beam=2) == loaded.translate(TEXTS[0], beam=2)
    assert loaded.summarize(TEXTS)[1] == ""


def test_the_settings_for_summaries_are_hugging_faces(tmp_path: Path) -> None:
    more = {"min_length": 6, "no_repeat_ngram_size": 2}
    loaded = made(tmp_path / "m", **OWN, **more)
    assert loaded.tokenizer is not None
    model = MarianMTModel.from_pretrained(tmp_path / "m")
    model.generation_config.max_length = None
    for text, ours in zip(TEXTS, loaded.summarize(TEXTS), strict=True):
        if not text:
            continue
        source = torch.tensor([loaded.tokenizer.encode(f"short: {text}")])
        settings = {key: value for key, value in (OWN | more).items() if key != "prefix"}
        (wanted,) = model.generate(source, **settings).tolist()
        assert ours == loaded.tokenizer.decode(wanted)
        assert ours.ids == wanted[1:][: len(ours.ids)]
    same = loaded.translate(f"short: {TEXTS[0]}", beam=3, stop="first", length_penalty=2.0, max_extra=13, min_length=6)
    assert len(same.ids) <= 13
    assert loaded.summarize(TEXTS[0], prefix="") != loaded.summarize(TEXTS[0])
    assert len(loaded.summarize(TEXTS[0], max_ratio=0.0, max_extra=4, min_length=0).ids) == 4


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="typical_p is 0.2"):
        made(tmp_path / "m", typical_p=0.2).summarize(TEXTS)
    with pytest.raises(InvalidData, match="text 5 has .* tokens"):
        made(tmp_path / "n").summarize(["a", "zq " * 2000], first=3)
    with pytest.raises(UsageError, match="cannot summarize: it is a decoder"):
        load(theirs("GPT2LMHeadModel")).summarize("a")
