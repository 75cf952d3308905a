"""Import, export and the comparison that they end with."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from transept.decode.config import Search
from transept.errors import TranseptError, UsageError
from transept.hub.card import Record, read_card
from transept.hub.directory import read, save
from transept.hub.export import export_hf, import_hf
from transept.hub.generation import Generation
from transept.hub.use import BEGIN, END
from transept.hub.verify import Check, Report, verify
from unit.hub.made import directory, model, tokenizer


def test_a_model_is_exported_and_compared(tmp_path: Path) -> None:
    report = export_hf(directory(tmp_path), tmp_path / "out")
    assert report is not None
    assert report.good
    assert 0 < report.largest < 1e-5
    assert [check.name.split(":")[0] for check in report.checks[1:]] == [
        "encoder states",
        "states",
        "output",
        "greedy",
        "beam of 5",
    ]
    assert "equal to Hugging Face" in str(report)
    assert read(tmp_path / "out").tokenizer is not None


@pytest.mark.parametrize("embeddings", ["tied", "separate"])
@pytest.mark.parametrize(
    "search",
    [
        Search(beam=4, stop="first"),
        Search(beam=3, stop="exact", length_penalty=0.4),
        Search(penalty="wu"),
        Search(beam=2),
    ],
)
def test_the_search_of_the_directory_is_the_one_compared(search: Search, embeddings: str, tmp_path: Path) -> None:
    save(tmp_path / "m", model(embeddings=embeddings), generation=search)
    assert verify(tmp_path / "m").good
    assert verify(tmp_path / "m", seed=1).good


def test_short_models_are_compared_within_their_length(tmp_path: Path) -> None:
    save(tmp_path / "m", model(), generation=Generation(longest=6))
    assert verify(tmp_path / "m").good


def test_what_was_imported_is_compared_with_its_source(tmp_path: Path) -> None:
    source = directory(tmp_path)
    (source / "transept.json").unlink()
    assert import_hf(source, tmp_path / "in", check=False) is None
    report = import_hf(source, tmp_path / "in", overwrite=True)
    assert report is not None
    assert report.good
    with pytest.raises(UsageError, match="already"):
        import_hf(source, tmp_path / "in")


def test_a_failed_comparison_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, good = directory(tmp_path), save(tmp_path / "good", model(seed=1))
    before = {path.name: path.read_bytes() for path in good.iterdir()}
    bad = Report(Path(), [Check("logits", 1.0, 1e-5)])
    monkeypatch.setattr("transept.hub.export.verify", lambda *given: bad)
    for write in (export_hf, import_hf):
        with pytest.raises(TranseptError, match=f"{good}: DIFFERENT"):
            write(source, good, overwrite=True)
        with pytest.raises(TranseptError, match="DIFFERENT"):
            write(source, tmp_path / "new")
        assert {path.name: path.read_bytes() for path in good.iterdir()} == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "model"]


def test_a_card_that_is_made_has_the_name_of_the_directory(tmp_path: Path) -> None:
    source = directory(tmp_path)
    (source / "README.md").unlink()
    export_hf(source, tmp_path / "out", check=False)
    assert "\n# out\n" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("key", ["model.decoder.layers.1.fc2.bias", "model.shared.weight", "final_logits_bias"])
def test_a_difference_is_found(key: str, tmp_path: Path) -> None:
    """Two directories whose weights differ in one tensor do not pass for one model."""
    one = save(tmp_path / "one", model(head_bias=True))
    other = save(tmp_path / "other", model(head_bias=True))
    state = load_file(other / "model.safetensors")
    state[key] += 0.05 * torch.randn_like(state[key])
    save_file(state, other / "model.safetensors", {"format": "pt"})
    report = verify(one, other)
    assert not report.good
    assert "DIFFERENT" in str(report)
    with pytest.raises(TranseptError, match="output: largest difference .* more than"):
        report.demand()


def test_a_tensor_that_they_cannot_place_is_found(tmp_path: Path) -> None:
    one = save(tmp_path / "one", model())
    other = save(tmp_path / "other", model())
    state = load_file(other / "model.safetensors")
    state["model.decoder.layers.1.fc3.bias"] = torch.ones(3)
    save_file(state, other / "model.safetensors", {"format": "pt"})
    report = verify(one, other)
    assert [check.difference for check in report.checks if not check.good] == [1]


def test_a_report_is_as_good_as_its_worst_check() -> None:
    fine, bad = Check("a", 1e-6, 1e-5), Check("b", 1.0)
    assert Report(Path(), [fine]).good
    assert not Report(Path(), [fine, bad]).good
    assert not Report(Path(), [Check("nan", float("nan"), 1e-5)]).good
    assert Report(Path(), [fine, bad]).largest == 1e-6


@pytest.mark.parametrize(
    ("word", "value", "remedy"), [("norm", "before", "norm: after"), ("kv_heads", 1, "kv_heads: null")]
)
def test_what_they_cannot_say_is_refused_with_the_word(word: str, value: object, remedy: str, tmp_path: Path) -> None:
    root = directory(tmp_path, **{word: value})
    with pytest.raises(UsageError, match=rf"Marian cannot say this model[\s\S]*Train it with {remedy}"):
        export_hf(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="Marian cannot say this model"):
        verify(root)


def test_the_command_that_installs_the_oracle_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = directory(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TranseptError, match=r"pip install 'transept\[hf\]'"):
        verify(root)


def test_the_card_comes_along(tmp_path: Path) -> None:
    source = save(tmp_path / "m", model(), tokenizer=tokenizer(), card="# Mine\n\nUnder a licence.\n")
    export_hf(source, tmp_path / "out", check=False)
    assert (tmp_path / "out" / "README.md").read_text() == "# Mine\n\nUnder a licence.\n"


def test_a_search_that_they_do_not_know_is_compared_as_far_as_they_do(tmp_path: Path) -> None:
    """Wu's penalty has no word there: both divide by the length, and the report says what was not compared."""
    save(tmp_path / "m", model(), generation=Search(penalty="wu", length_penalty=0.6, max_ratio=0.0, max_extra=9))
    report = verify(tmp_path / "m")
    assert report.good, str(report)
    assert [note for note in report.notes if "knows no Wu penalty" in note]
    assert "not compared: it knows no Wu penalty" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["notes"] == list(report.notes)


def test_a_title_that_is_the_directorys_name_follows_it(tmp_path: Path) -> None:
    source = save(tmp_path / "old", model(), tokenizer=tokenizer())
    export_hf(source, tmp_path / "new", check=False)
    text = (tmp_path / "new" / "README.md").read_text()
    assert "\n# new\n" in text
    assert "# old" not in text
    run = tmp_path / "runs"
    save(run / "model", model(), card=Record("A title of its own"))
    export_hf(run, tmp_path / "out", check=False)
    assert "\n# A title of its own\n" in (tmp_path / "out" / "README.md").read_text()


def test_words_on_use_are_made_again_for_the_place(tmp_path: Path) -> None:
    """A model that Hugging Face could not say, changed into one that it can, is not said to be unreadable there."""
    one = save(tmp_path / "one", model(norm="before"), tokenizer=tokenizer(), card=Record("x", example="my <b> text"))
    card = read_card(one)
    assert card is not None
    assert "Transept alone reads it" in card.text
    save(tmp_path / "other", model(), tokenizer=tokenizer(), card=card)
    text = (tmp_path / "other" / "README.md").read_text()
    assert "Transept alone reads it" not in text
    assert "MarianMTModel.from_pretrained" in text
    assert text.count('"my <b> text"') == 3
    save(tmp_path / "bare", model(), card="# Theirs\n\nWords of theirs.\n")
    export_hf(tmp_path / "bare", tmp_path / "back", check=False)
    assert (tmp_path / "back" / "README.md").read_text() == "# Theirs\n\nWords of theirs.\n"


def test_words_on_use_of_the_first_version_are_made_again_too(tmp_path: Path) -> None:
    one = save(tmp_path / "one", model(norm="before"), tokenizer=tokenizer(), card=Record("x", notes=["Mine."]))
    path = one / "README.md"
    text = path.read_text()
    for mark in (BEGIN, END):
        text = text.replace(f"{mark}\n", "").replace(f"\n{mark}", "")
    path.write_text(text)
    card = read_card(one)
    assert card is not None
    assert BEGIN not in card.text
    save(tmp_path / "other", model(), tokenizer=tokenizer(), card=card)
    text = (tmp_path / "other" / "README.md").read_text()
    assert text.count("## Use") == text.count(BEGIN) == 1
    assert "MarianMTModel.from_pretrained" in text
    assert "## Notes\n\n- Mine." in text
