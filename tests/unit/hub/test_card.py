"""Model cards: what the record says, nothing more, and code that runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from transept.hub.card import Measure, Record, Text, draw, read_card, write_card
from transept.hub.directory import save
from unit.hub.made import model, tokenizer

CURVE = [{"update": 100, "loss": 3.0, "bleu": 5.0}, {"update": 200, "loss": 2.5, "bleu": 9.5}]
RECORD = Record(
    title="en→de · transformer:tiny",
    does="It translates en into de.",
    languages=("en", "no"),
    facts={"title": "not shown twice", "vocabulary": "300 tokens, bytes"},
    texts=[Text("train", "train.en, train.de", 29_000)],
    measures=[
        Measure("bleu", "test.en", 40.123, 39.0, 41.2, "nrefs:1|case:lc|tok:none"),
        Measure("loss", "valid", 1.5),
    ],
    curve=CURVE,
    score="bleu",
    samples=[("a | b <script>alert(1)</script>", "ein\nHaus")],
    command="transept train runs/x/config.yaml",
    recipe="task: translation\n",
    versions={"torch": "2.13"},
    notes=["One thing more."],
)


def test_a_card_says_what_the_record_says() -> None:
    card = write_card(RECORD, model().spec, 15_616, "MarianMTModel", tokenizer())
    head, body = card.text.split("---\n")[1:3]
    assert yaml.safe_load(head) == {"language": ["en", "no"], "library_name": "transformers", "tags": ["transept"]}
    for words in (
        "# en→de · transformer:tiny",
        "15,616 parameters",
        "It translates en into de.",
        "- vocabulary: 300 tokens, bytes",
        r"| bleu | test.en | 40.12 | 39.00 to 41.20 | `nrefs:1\|case:lc\|tok:none` |",
        "| loss | valid | 1.50 |  |  |",
        "| train | train.en, train.de | 29,000 pairs |",
        "![bleu and loss on the validation data](curve.png)",
        "transept train runs/x/config.yaml",
        "task: translation",
        "torch 2.13",
        "- One thing more.",
        "MarianMTModel.from_pretrained",
        "## Licence\n\nNot stated yet",
    ):
        assert words in body, words
    assert "not shown twice" not in body
    assert card.pictures["curve.png"].startswith(b"\x89PNG")


def test_a_card_claims_their_search_only_where_it_is_the_same() -> None:
    same = write_card(RECORD, model().spec, 1, "MarianMTModel", tokenizer()).text
    other = write_card(RECORD, model().spec, 1, "MarianMTModel", tokenizer(), ["it knows no Wu penalty"]).text
    claim = "takes the search from `generation_config.json`"
    assert claim in same
    assert claim not in other
    assert "does not search quite as Transept does: it knows no Wu penalty." in other


def test_what_is_unknown_is_left_out() -> None:
    card = write_card(Record("x"), model(norm="before").spec, 1, None, None)
    assert not card.pictures
    for absent in ("## Results", "## Examples", "## Training", "## Notes", "from_pretrained", "translate", "language:"):
        assert absent not in card.text
    assert "Transept alone reads it" in card.text
    assert "None" not in card.text


def test_a_sample_cannot_break_its_table_or_the_page() -> None:
    text = write_card(RECORD, model().spec, 1, None, tokenizer()).text
    (row,) = [line for line in text.splitlines() if "alert" in line and line.startswith("|")]
    assert row == r"| a \| b &lt;script>alert(1)&lt;/script> | ein Haus |"


def test_a_curve_needs_two_points() -> None:
    assert draw(CURVE[:1], "bleu") is None
    assert draw([{"update": 1, "loss": float("nan")}, {"update": 2, "loss": 1.0}], "loss") is None
    assert draw([], "bleu") is None
    assert draw([{"update": 1, "loss": 1.0}, {"update": 2, "loss": 1.0, "bleu": 3.0}], "bleu") is not None


def test_a_card_is_kept_with_its_pictures(tmp_path: Path) -> None:
    save(tmp_path / "m", model(), tokenizer=tokenizer(), card=RECORD)
    kept = read_card(tmp_path / "m")
    assert kept is not None
    assert kept.pictures == {"curve.png": (tmp_path / "m" / "curve.png").read_bytes()}
    save(tmp_path / "again", model(), tokenizer=tokenizer(), card=kept)
    assert read_card(tmp_path / "again") == kept
    (tmp_path / "bare").mkdir()
    assert read_card(tmp_path / "bare") is None
    save(tmp_path / "words", model(), card="Mine.\n")
    assert (tmp_path / "words" / "README.md").read_text() == "Mine.\n"


def test_a_picture_from_elsewhere_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "README.md").write_text("![a](../secret.png) ![b](https://x/y.png) ![c](out.png) ![d](gone.png)")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "m" / "out.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ValueError, match="outside of the model directory"):
        read_card(tmp_path / "m")
    (tmp_path / "m" / "out.png").unlink()
    kept = read_card(tmp_path / "m")
    assert kept is not None
    assert kept.pictures == {}


def test_the_code_of_a_card_runs(tmp_path: Path) -> None:
    save(tmp_path / "m", model(), tokenizer=tokenizer(), card=RECORD)
    blocks = (tmp_path / "m" / "README.md").read_text().split("```python\n")[1:]
    assert len(blocks) == 2
    for block in blocks:
        code = block.split("```")[0].replace("PATH/TO/THIS/DIRECTORY", str(tmp_path / "m"))
        exec(code.replace("generate(", "generate(max_length=8, "), {})


def test_a_card_shows_a_pair_of_texts_as_a_pair_and_keeps_it(tmp_path: Path) -> None:
    from transept.data.foreign import read_tokenizer
    from transept.hub.card import fitted
    from unit.data.test_foreign import word_pieces
    from unit.hub.test_kinds import built

    (tmp_path / "files").mkdir()
    words, made = read_tokenizer(word_pieces(tmp_path / "files")), built("bert", head="classes")
    save(tmp_path / "m", made, tokenizer=words, card=Record("x", samples=[('it\'s "a"\tb, c', "1.5")]))
    text = (tmp_path / "m" / "README.md").read_text()
    assert r"""model.classify(("it's \"a\"", "b, c"))""" in text
    assert "`printf '%s\\t%s\\n' 'it'\"'\"'s \"a\"' \"b, c\" | transept classify PATH/TO/THIS/DIRECTORY --pair`" in text
    for block in text.split("```python\n")[1:3]:
        exec(block.split("```")[0].replace("PATH/TO/THIS/DIRECTORY", str(tmp_path / "m")), {})
    kept = read_card(tmp_path / "m")
    assert kept is not None and fitted(kept, made.spec, "BertForSequenceClassification", words) == kept


def test_the_demos_card_shows_a_date_with_its_tag(tmp_path: Path) -> None:
    from transept.data.config import Vocabulary
    from transept.data.dates import EXAMPLE, TAGS
    from transept.data.subwords import Subwords

    tagged = Subwords.train(["5 March 2026"], Vocabulary(kind="bytes", merges=3, special=list(TAGS)))
    spec = model(vocab=tagged.vocab).spec
    text = write_card(Record("x", example=EXAMPLE), spec, 1, None, tagged).text
    assert 'print(model.translate("<2de> 5 March 2026"))' in text
    assert '`transept translate PATH/TO/THIS/DIRECTORY "<2de> 5 March 2026"`' in text
    assert 'model.translate("<2ar> A text.")' in write_card(Record("x"), spec, 1, None, tagged).text


@pytest.mark.parametrize(
    ("family", "changes", "shown"),
    [
        ("bert", {"head": "classes"}, 'print(model.classify("A text."))'),
        ("bert", {"head": "masked"}, 'print(model.fill("A [MASK] text."))'),
        ("bert", {"head": "tags"}, 'print(model.tag("A text."))'),
        ("bert", {"head": "spans"}, 'print(model.answer("Who wrote this?", "A stranger wrote this."))'),
        ("bert", {"head": "pooled"}, 'print(model.embed("A text."))'),
        ("vit", {}, 'print(model.see("picture.png"))'),
        ("wav2vec2", {"vocab": 32}, 'print(model.transcribe("speech.wav"))'),
        ("gpt2", {"vocab": 420}, 'print(model.generate("A text that"))'),
    ],
)
def test_every_kind_of_model_is_shown_by_its_verb(
    family: str, changes: dict[str, Any], shown: str, tmp_path: Path
) -> None:
    from transept.data.foreign import read_tokenizer
    from unit.data.test_foreign import gpt2, letters, word_pieces
    from unit.hub.test_kinds import built

    maker = {"bert": word_pieces, "gpt2": gpt2, "wav2vec2": letters}.get(family)
    (tmp_path / "files").mkdir()
    words = read_tokenizer(maker(tmp_path / "files")) if maker else None
    save(tmp_path / "m", built(family, **changes), tokenizer=words)
    text = (tmp_path / "m" / "README.md").read_text()
    assert shown in text
    assert f"transept {shown.split('.')[1].split('(')[0]} PATH/TO/THIS/DIRECTORY" in text
    ours = text.split("```python\n")[1].split("```")[0].replace("PATH/TO/THIS/DIRECTORY", str(tmp_path / "m"))
    if family not in ("vit", "wav2vec2"):  # whose pictures and sounds are not here
        exec(ours, {})
    theirs = text.split("```python\n")[2].split("```")[0].replace("PATH/TO/THIS/DIRECTORY", str(tmp_path / "m"))
    exec(theirs.replace("generate(", "generate(max_length=8, "), {})
