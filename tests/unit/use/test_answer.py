"""`answer`: the likeliest span, by hand over all pairs; long contexts in windows; a T5 that writes it."""

import itertools
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, BartConfig, BartForQuestionAnswering

from transept.errors import InvalidData, UsageError
from transept.hub.directory import save
from transept.use.answer import _windows
from transept.use.loaded import Loaded, load
from unit.hub import made as hub
from unit.use.made import shaken, theirs, word_pieces

QUESTIONS = ["who lived in london?", "what sat?", "where?"]
CONTEXTS = ["Ada lived in London, and walked.", "The cat sat  on the MAT. A dog sees it.", "paris"]


@pytest.fixture(scope="module")
def squad() -> Loaded:
    return load(theirs("BertForQuestionAnswering"))


def by_hand(root: Path, question: str, context: str, longest: int) -> tuple[float, str, int, int, float]:
    """(probability, text, start, end, that there is none), by Hugging Face's model and every pair of tokens."""
    made = word_pieces()(question, context, return_offsets_mapping=True, return_tensors="pt")
    places = made.pop("offset_mapping")[0].tolist()
    inside = [i for i, of in enumerate(made.sequence_ids(0)) if of == 1]
    model = AutoModelForQuestionAnswering.from_pretrained(root).eval()
    if model.config.model_type == "bart":
        made.pop("token_type_ids")
    with torch.no_grad():
        out = model(**made)
    seen = torch.tensor([i == 0 or i in inside for i in range(len(places))])
    begin = out.start_logits[0].masked_fill(~seen, float("-inf")).softmax(0).tolist()
    end = out.end_logits[0].masked_fill(~seen, float("-inf")).softmax(0).tolist()
    pairs = [(a, b) for a, b in itertools.product(inside, inside) if 0 <= b - a < longest]
    a, b = max(pairs, key=lambda pair: begin[pair[0]] * end[pair[1]])
    start, stop = places[a][0], places[b][1]
    return begin[a] * end[b], context[start:stop], start, stop, begin[0] * end[0]


@pytest.mark.parametrize("longest", [1, 3, 30])
def test_an_answer_is_the_likeliest_pair(squad: Loaded, longest: int) -> None:
    found = squad.answer(QUESTIONS, CONTEXTS, longest=longest)
    for question, context, ours in zip(QUESTIONS, CONTEXTS, found, strict=True):
        probability, text, start, end, none = by_hand(squad.path, question, context, longest)
        assert (ours, ours.start, ours.end, ours.windows) == (text, start, end, 1)
        assert ours.probability == pytest.approx(probability, rel=1e-4)
        assert context[ours.start : ours.end] == ours
        assert squad.answer(question, context, longest=longest) == ours
        allowed = squad.answer(question, context, longest=longest, empty=True)
        assert allowed == ("" if none > probability else text)


def test_two_stacks_find_it_too(tmp_path: Path) -> None:
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 48}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "decoder_start_token_id": 3}
    config = BartConfig(vocab_size=43, **sizes, **heads, **ends, forced_eos_token_id=3)
    shaken(BartForQuestionAnswering(config)).save_pretrained(tmp_path)
    word_pieces().save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert loaded.verbs == ("answer", "embed")
    for question, context, ours in zip(QUESTIONS, CONTEXTS, loaded.answer(QUESTIONS, CONTEXTS), strict=True):
        probability, text, start, end, _ = by_hand(tmp_path, question, context, 30)
        assert (ours, ours.start, ours.end) == (text, start, end)
        assert ours.probability == pytest.approx(probability, rel=1e-4)


def test_one_context_serves_many_questions(squad: Loaded) -> None:
    together = squad.answer(QUESTIONS, CONTEXTS[0])
    assert together == [squad.answer(question, CONTEXTS[0]) for question in QUESTIONS]


def test_a_long_context_is_read_in_windows_that_overlap(squad: Loaded) -> None:
    context = " ".join(CONTEXTS[0:2] * 6)
    rows = _windows(squad, QUESTIONS[0], context, 0)
    assert len(rows) > 3
    assert all(len(row.ids) <= squad.longest for row in rows)
    spans = [{span for span, text in zip(row.spans, row.texts, strict=True) if text == 1} for row in rows]
    assert squad.tokenizer is not None
    (whole,) = squad.tokenizer.encodings([QUESTIONS[0]], [context])
    assert set.union(*spans) == {span for span, text in zip(whole.spans, whole.texts, strict=True) if text == 1}
    assert all(len(one & other) >= 10 for one, other in itertools.pairwise(spans))
    around = [[t for t, of in zip(row.ids, row.texts, strict=True) if of != 1] for row in rows]
    assert all(tokens == [*rows[0].ids[:7], 3] for tokens in around)
    found = squad.answer(QUESTIONS[0], context)
    assert found.windows == len(rows)
    assert context[found.start : found.end] == found
    best = 0.0
    for each in spans:  # each window alone is a context that fits
        start, end = min(each)[0], max(each)[1]
        best = max(best, squad.answer(QUESTIONS[0], context[start:end]).probability)
    assert found.probability == pytest.approx(best, rel=1e-4)


def test_what_cannot_be_asked_is_refused(squad: Loaded) -> None:
    with pytest.raises(UsageError, match="3 questions need as many contexts, not 1"):
        squad.answer(QUESTIONS, ["a"])
    with pytest.raises(InvalidData, match="context 2 is empty"):
        squad.answer(QUESTIONS[:2], ["a", " "])
    with pytest.raises(InvalidData, match="question 1 has 6[0-9] tokens, and the model takes 48"):
        squad.answer("the " * 60, "a " * 60)


def test_a_t5_writes_its_answer(tmp_path: Path) -> None:
    save(tmp_path / "m", hub.model(), tokenizer=hub.tokenizer())
    with pytest.raises(UsageError, match=r"cannot answer: it is an encoder and a decoder .*or written by a T5"):
        load(tmp_path / "m").answer("who?", "ada")
    loaded = load(tmp_path / "m")
    loaded.beside = {"model_type": "t5"}
    assert loaded.verbs == ("translate", "summarize", "generate", "answer", "embed")
    found = loaded.answer("who?", "the cat")
    written = loaded.generate("question: who? context: the cat")
    assert (found, found.start, found.windows) == (written, None, 1)
    assert found.probability == pytest.approx(torch.tensor(written.logprobs).sum().exp().item(), rel=1e-5)
