"""`tag`: words with labels and places as Hugging Face's token-classification, and spans of B- and I-."""

import pytest
from transformers import pipeline

from transept.use.loaded import Loaded, load
from transept.use.tag import Tagged, Word
from unit.use.made import TEXTS, theirs

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.fixture(scope="module")
def tagger() -> Loaded:
    return load(theirs("BertForTokenClassification", LABELS))


def test_words_have_the_labels_of_their_first_token(tagger: Loaded) -> None:
    pipe = pipeline("token-classification", model=str(tagger.path), aggregation_strategy="none", ignore_labels=[])
    texts = [*TEXTS, "Cats walking, playing in Paris2 ."]
    for text, found in zip(texts, tagger.tag(texts), strict=True):
        assert found.text == text
        assert "".join(word.word for word in found.words) == text.replace(" ", "")
        assert all(text[word.start : word.end] == word.word for word in found.words)
        pieces = {one["start"]: one for one in pipe(text)}
        for word in found.words:
            assert word.label == pieces[word.start]["entity"]
            assert word.probability == pytest.approx(pieces[word.start]["score"], rel=1e-4)
    assert [word.word for word in tagger.tag("Cats walking").words] == ["Cats", "walking"]
    assert tagger.tag([]) == []
    assert tagger.tag("").words == []


def tagged(*words: tuple[str, str]) -> Tagged:
    text, found = " ".join(word for word, _ in words), []
    for word, label in words:
        start = found[-1].end + 1 if found else 0
        found.append(Word(word, label, start, start + len(word), 0.5))
    return Tagged(text, found)


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        ("B-PER I-PER O B-LOC", [("PER", "w0 w1"), ("LOC", "w3")]),
        ("B-PER B-PER I-PER", [("PER", "w0"), ("PER", "w1 w2")]),
        ("I-PER I-LOC O", [("PER", "w0"), ("LOC", "w1")]),
        ("O O", []),
        ("PER PER LOC", [("PER", "w0 w1"), ("LOC", "w2")]),
        ("B-PER I-LOC I-LOC", [("PER", "w0"), ("LOC", "w1 w2")]),
        ("NN-1 NN-2", [("NN-1", "w0"), ("NN-2", "w1")]),
    ],
)
def test_spans_are_what_belongs_together(labels: str, spans: list[tuple[str, str]]) -> None:
    found = tagged(*((f"w{i}", label) for i, label in enumerate(labels.split())))
    assert [(span.label, span.text) for span in found.spans] == spans
    assert all(found.text[span.start : span.end] == span.text for span in found.spans)
    assert all(span.probability == 0.5 for span in found.spans)


def test_places_are_in_the_text_as_it_was_written(tagger: Loaded) -> None:
    text = "  Ada   LIVED in\tLondon.  "
    assert [word.word for word in tagger.tag(text).words] == ["Ada", "LIVED", "in", "London", "."]
