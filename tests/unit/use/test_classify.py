"""`classify`: labels and probabilities as Hugging Face's text-classification, pairs, several labels, a number."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BartConfig,
    BartForSequenceClassification,
    MBartConfig,
    MBartForSequenceClassification,
    PreTrainedTokenizerFast,
    pipeline,
)

from transept.errors import InvalidData, UsageError
from transept.hub.verify import verify
from transept.use.classify import kind_of
from transept.use.loaded import Loaded, load
from unit.use.made import TEXTS, edit, shaken, theirs, word_pieces

LABELS = ("good", "bad", "odd")
PAIRS = [("the cat sat", "a dog sat."), ("who?", "paris is the capital of france."), ("a", "the")]


def classifier(**changes: Any) -> Loaded:
    return load(theirs("BertForSequenceClassification", LABELS, **changes))


def test_labels_and_probabilities_are_hugging_faces() -> None:
    loaded = classifier()
    pipe = pipeline("text-classification", model=str(loaded.path), top_k=None)
    found = loaded.classify(TEXTS)
    for ours, wanted in zip(found, pipe(TEXTS), strict=True):
        assert list(ours.scores) == [one["label"] for one in wanted]
        assert list(ours.scores.values()) == pytest.approx([one["score"] for one in wanted], rel=1e-4)
        assert (ours, ours.probability) == (next(iter(ours.scores)), next(iter(ours.scores.values())))
        assert sum(ours.scores.values()) == pytest.approx(1.0)
        assert ours.number is None
    for text, label in zip(TEXTS, found, strict=True):
        assert loaded.classify(text).scores == pytest.approx(label.scores, rel=1e-5)
    assert loaded.classify([]) == []


def test_a_decoder_whose_padding_is_its_end_token() -> None:
    """As GPT-2 is set up: the class is told by the last token that is not of that id, at theirs and here."""
    loaded = load(theirs("GPT2ForSequenceClassification", LABELS, pad_token_id=0))
    pipe = pipeline("text-classification", model=str(loaded.path), top_k=None)
    texts = [*TEXTS, "the end<|endoftext|>", "<|endoftext|>the<|endoftext|> end<|endoftext|><|endoftext|>"]
    for text, ours in zip(texts, loaded.classify(texts), strict=True):
        assert ours.scores == pytest.approx({one["label"]: one["score"] for one in pipe(text)[0]}, rel=1e-4)
    assert verify(loaded.path).good


def test_a_pair_has_a_second_segment() -> None:
    loaded = classifier()
    pipe = pipeline("text-classification", model=str(loaded.path), top_k=None)
    wanted = pipe([{"text": a, "text_pair": b} for a, b in PAIRS])
    for ours, each in zip(loaded.classify(PAIRS), wanted, strict=True):
        assert ours.scores == pytest.approx({one["label"]: one["score"] for one in each}, rel=1e-4)
    assert loaded.classify(PAIRS[0]).scores == pytest.approx(loaded.classify(PAIRS)[0].scores, rel=1e-5)
    assert loaded.classify(PAIRS[0]).scores != pytest.approx(loaded.classify(" ".join(PAIRS[0])).scores, rel=1e-3)
    with pytest.raises(InvalidData, match="some rows are a text and some are a pair"):
        loaded.classify([PAIRS[0], "one"])  # type: ignore[list-item]


def test_several_labels_may_hold_at_once() -> None:
    loaded = classifier(problem_type="multi_label_classification")
    pipe = pipeline("text-classification", model=str(loaded.path), top_k=None)
    for ours, wanted in zip(loaded.classify(TEXTS), pipe(TEXTS), strict=True):
        assert ours.scores == pytest.approx({one["label"]: one["score"] for one in wanted}, rel=1e-4)


def test_one_score_is_a_number() -> None:
    loaded = load(theirs("BertForSequenceClassification", num_labels=1))
    tokenizer = AutoTokenizer.from_pretrained(loaded.path)
    with torch.no_grad():
        model = AutoModelForSequenceClassification.from_pretrained(loaded.path).eval()
        wanted = [model(**tokenizer(text, return_tensors="pt")).logits.item() for text in TEXTS]
    found = loaded.classify(TEXTS)
    assert [one.number for one in found] == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert [float(one) for one in found] == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert found[0].probability is None
    assert found[0].scores == {}


@pytest.mark.parametrize(
    ("count", "problem", "kind"),
    [(1, None, "number"), (2, None, "one"), (3, "multi_label_classification", "several"), (3, "regression", "number")],
)
def test_what_scores_mean(count: int, problem: str | None, kind: str) -> None:
    assert kind_of(count, problem) == kind


def test_two_stacks_read_a_text_twice(tmp_path: Any) -> None:
    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 40}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "decoder_start_token_id": 3}
    config = BartConfig(vocab_size=43, num_labels=3, **sizes, **heads, **ends, forced_eos_token_id=3)
    shaken(BartForSequenceClassification(config)).save_pretrained(tmp_path)
    word_pieces().save_pretrained(tmp_path)
    edit(tmp_path / "tokenizer_config.json", eos_token="[SEP]")
    loaded = load(tmp_path)
    assert loaded.verbs == ("classify", "embed")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    for text, ours in zip(TEXTS, loaded.classify(TEXTS), strict=True):
        ids = torch.tensor([word_pieces()(text)["input_ids"]])
        with torch.no_grad():
            wanted = model(ids).logits.softmax(-1)[0].tolist()
        assert [ours.scores[f"LABEL_{i}"] for i in range(3)] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("start", [None, 3])
def test_an_mbart_opens_a_text_by_its_language_and_reads_its_end(start: int | None, tmp_path: Path) -> None:
    """A row ends with its language, [MASK] here; the class is told at the end token before it."""
    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 40}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "forced_eos_token_id": 3}
    config = MBartConfig(vocab_size=43, num_labels=3, **sizes, **heads, **ends, decoder_start_token_id=start)
    shaken(MBartForSequenceClassification(config), scale=0.2).save_pretrained(tmp_path)
    words = PreTrainedTokenizerFast(tokenizer_object=Backend.from_str(word_pieces().backend_tokenizer.to_str()))
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A [SEP] [MASK]", pair="$A $B [SEP] [MASK]", special_tokens=[("[SEP]", 3), ("[MASK]", 4)]
    )
    words.save_pretrained(tmp_path)
    edit(tmp_path / "tokenizer_config.json", eos_token="[SEP]", pad_token="[PAD]")
    loaded = load(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    found = loaded.classify(TEXTS)
    for text, ours in zip(TEXTS, found, strict=True):
        ids = words(text)["input_ids"]
        assert ids[-2:] == [3, 4]
        with torch.no_grad():
            wanted = model(torch.tensor([ids])).logits.softmax(-1)[0].tolist()
        assert [ours.scores[f"LABEL_{i}"] for i in range(3)] == pytest.approx(wanted, rel=1e-4)
        assert loaded.classify(text).scores == pytest.approx(ours.scores, rel=1e-4)
    edit(tmp_path / "config.json", eos_token_id=41)
    with pytest.raises(InvalidData, match=r"text 1 has no end token 41, by whose state[\s\S]*the tokenizer"):
        load(tmp_path).classify(TEXTS)


def test_what_is_refused() -> None:
    loaded = classifier()
    with pytest.raises(InvalidData, match="text 3 has 62 tokens, and the model takes 48"):
        loaded.classify(["a", "the " * 60], first=1)
    with pytest.raises(UsageError, match=r"cannot tag: it is an encoder that reads text; its head scores 3 classes of"):
        loaded.tag("a")
    with pytest.raises(UsageError, match=r"cannot see: [\s\S]*It can classify, embed: `transept classify "):
        loaded.see("a.png")
