"""How likely a text is: by Hugging Face's logits, one by one and in batches, with what is shared read once."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BertForMaskedLM,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from transept.data.config import Tokens
from transept.data.learned import BART, END, NOTHING, T5, learn
from transept.errors import InvalidData, UsageError
from transept.families import bert, gpt2, lstm
from transept.hub.directory import save
from transept.use import likelihood as module
from transept.use.likelihood import begins, likelihoods
from transept.use.loaded import Loaded, load
from unit.use.made import TEXTS, shaken, theirs

SHOTS = "the cat sat on the mat.\nIt was good\n\nada lived in london.\nIt was bad\n\n"
GIVEN = [SHOTS + "paris is the capital.\nIt was ", SHOTS + "a dog?\nIt was ", "a dog", "", "It was", "ada"]
WANTED = ["good", " bad", " walked on", "paris is", "  the mat", "日本"]


@pytest.fixture(scope="module")
def gpt() -> Loaded:
    return load(theirs("GPT2LMHeadModel", n_positions=160))


def by_hand(model: torch.nn.Module, ids: list[int], places: list[int]) -> list[float]:
    with torch.no_grad():
        scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [float(scores[at - 1, ids[at]]) for at in places]


def test_a_decoder_scores_as_hugging_faces_logits(gpt: Loaded) -> None:
    model, tokenizer = GPT2LMHeadModel.from_pretrained(gpt.path).eval(), AutoTokenizer.from_pretrained(gpt.path)
    found = likelihoods(gpt, GIVEN, WANTED)
    for given, text, one in zip(GIVEN, WANTED, found, strict=True):
        whole = tokenizer(given + text, return_offsets_mapping=True, add_special_tokens=False)
        places = [at for at, (_, end) in enumerate(whole["offset_mapping"]) if end > len(given)]
        ids = whole["input_ids"]
        if not given:
            ids, places = [tokenizer.bos_token_id, *ids], [at + 1 for at in places]
        wanted = by_hand(model, ids, places)
        torch.testing.assert_close(torch.tensor(one.logprobs), torch.tensor(wanted), rtol=1e-5, atol=1e-5)
        assert one.total == pytest.approx(sum(wanted), rel=1e-5) and one.length == len(text)
        assert one.by_token == pytest.approx(sum(wanted) / len(wanted), rel=1e-5)
        assert one.by_character == pytest.approx(sum(wanted) / len(text), rel=1e-5)
        assert one.tokens == tokenizer.convert_ids_to_tokens([ids[at] for at in places])


def test_the_pieces_of_a_text_add_up_to_all_of_it(gpt: Loaded) -> None:
    text = "the cat sat on the mat"
    (whole,) = likelihoods(gpt, [text[:3]], [text[3:]])
    parts = likelihoods(gpt, [text[:3], text[:11]], [text[3:11], text[11:]])
    assert sum(part.total for part in parts) == pytest.approx(whole.total, rel=1e-5)
    assert [token for part in parts for token in part.tokens] == whole.tokens


@pytest.mark.parametrize("room", [1, 60, 200, 4096])
def test_alone_is_as_with_others_and_shared_as_read_whole(
    gpt: Loaded, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    alone = [likelihoods(gpt, [given], [text])[0] for given, text in zip(GIVEN, WANTED, strict=True)]
    monkeypatch.setattr(module, "ROOM", room)
    calls = []
    seen = gpt.model.cache
    monkeypatch.setattr(gpt.model, "cache", lambda *given: calls.append(given) or seen(*given))
    given = [GIVEN[0], GIVEN[0], GIVEN[1], *GIVEN]
    texts = ["good", "bad", "good and bad", *WANTED]
    found = likelihoods(gpt, given, texts)
    for one, other in zip(alone, found[3:], strict=True):
        torch.testing.assert_close(torch.tensor(one.logprobs), torch.tensor(other.logprobs), rtol=1e-5, atol=1e-5)
    single = [likelihoods(gpt, [a], [b])[0].total for a, b in zip(given, texts, strict=True)]
    assert [one.total for one in found] == pytest.approx(single, rel=1e-5, abs=1e-5)
    if room == 200:
        assert calls, "what rows begin with alike was read once"


def test_a_recurrent_decoder_shares_what_is_before_too(tmp_path: Path) -> None:
    tokenizer = learn([SHOTS, *GIVEN, *TEXTS], Tokens(size=300), END)
    spec = lstm.declare(form="language_model", vocab=tokenizer.vocab, width=12, hidden=16, depth=1)
    save(tmp_path / "m", shaken(spec.build()), tokenizer=tokenizer)
    loaded = load(tmp_path / "m")
    given, texts = GIVEN[:2] * 2, ["good", "good", "bad", "bad"]
    found = likelihoods(loaded, given, texts)
    single = [likelihoods(loaded, [a], [b])[0].total for a, b in zip(given, texts, strict=True)]
    assert [one.total for one in found] == pytest.approx(single, rel=1e-5)


def test_masks_score_as_hugging_faces_one_at_a_time() -> None:
    loaded = load(theirs("BertForMaskedLM"))
    model, tokenizer = BertForMaskedLM.from_pretrained(loaded.path).eval(), AutoTokenizer.from_pretrained(loaded.path)
    given, texts = ["", "", "the cat "], [TEXTS[0], "Ada walked", "sat on"]
    for before, text, one in zip(given, texts, likelihoods(loaded, given, texts), strict=True):
        whole = tokenizer(before + text, return_offsets_mapping=True)
        ids, wanted = whole["input_ids"], []
        for at, (_, end) in enumerate(whole["offset_mapping"]):
            if end > len(before):
                masked = torch.tensor([[*ids[:at], tokenizer.mask_token_id, *ids[at + 1 :]]])
                with torch.no_grad():
                    wanted.append(float(model(masked).logits[0, at].log_softmax(-1)[ids[at]]))
        assert one.logprobs == pytest.approx(wanted, rel=1e-5, abs=1e-5)
        assert len(wanted) == len(tokenizer.tokenize(text))


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_targets_score_as_hugging_faces_loss(tmp_path: Path, kind: str) -> None:
    tokenizer = learn([*TEXTS, "good bad better"] * 3, Tokens(size=420), T5 if kind == "t5" else BART)
    vocab, pad, end = tokenizer.vocab, tokenizer.demand("pad"), tokenizer.demand("eos")
    if kind == "t5":
        config = T5Config(vocab_size=vocab, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, pad_token_id=pad,
                          eos_token_id=end, decoder_start_token_id=pad, dropout_rate=0.0)  # fmt: skip
        model = shaken(T5ForConditionalGeneration(config))
    else:
        config = BartConfig(
            vocab_size=vocab,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_position_embeddings=64,
            pad_token_id=pad,
            bos_token_id=tokenizer.bos,
            eos_token_id=end,
            decoder_start_token_id=end,
            forced_eos_token_id=end,
        )
        model = shaken(BartForConditionalGeneration(config))
    model.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    loaded = load(tmp_path)
    given, texts = ["the cat sat. It was ", "the cat sat. It was", "a dog", "a dog"], ["good", " better", "bad", "good"]
    for before, text, one in zip(given, texts, likelihoods(loaded, given, texts), strict=True):
        labels = tokenizer.encode(text.strip())
        with torch.no_grad():
            scores = model(
                input_ids=torch.tensor([tokenizer.encode(before.rstrip())]), labels=torch.tensor([labels])
            ).logits[0].log_softmax(-1)  # fmt: skip
        wanted = [float(scores[at, label]) for at, label in enumerate(labels)][0 if kind == "t5" else 1 :]
        assert one.logprobs == pytest.approx(wanted, rel=1e-5, abs=1e-5), "the end counts, the beginning does not"


def test_a_model_without_a_beginning_scores_from_the_second_token(tmp_path: Path) -> None:
    tokenizer = learn(["abc abd"], Tokens(kind="character"), NOTHING)
    save(tmp_path / "m", shaken(gpt2.declare(vocab=tokenizer.vocab, width=8, heads=2, depth=1, length=16).build()),
         tokenizer=tokenizer)  # fmt: skip
    loaded = load(tmp_path / "m")
    assert not begins(loaded)
    (whole,), (rest,) = likelihoods(loaded, [""], ["abc"]), likelihoods(loaded, ["a"], ["bc"])
    assert whole.tokens == ["b", "c"] and whole.logprobs == pytest.approx(rest.logprobs)
    with pytest.raises(InvalidData, match="text 1 has no token that could be scored: 'a'"):
        likelihoods(loaded, [""], ["a"])


def test_what_cannot_be_scored_is_refused_with_both_numbers(gpt: Loaded, tmp_path: Path) -> None:
    long = "the cat " * 100
    (count,) = {len(ids) for ids in [gpt.tokenizer.encode(long + "sat")]}  # type: ignore[union-attr]
    with pytest.raises(InvalidData, match=rf"text 8 has {count - 1} tokens .* the model takes 160 \(it begins 'the"):
        likelihoods(gpt, ["a", long], ["b", "sat"], numbers=[3, 7])
    with pytest.raises(InvalidData, match="has no token behind"):
        likelihoods(gpt, ["the cat"], [""])
    words = load(theirs("BertForMaskedLM"))
    with pytest.raises(InvalidData, match="text 1 has no token behind 'the cat' that could be scored: '  '"):
        likelihoods(words, ["the cat"], ["  "])
    critic = bert.declare(vocab=300, width=16, hidden=24, heads=2, depth=1, head="classes", labels=2).build()
    save(tmp_path / "critic", critic, tokenizer=gpt.tokenizer)
    with pytest.raises(UsageError, match="does not say how likely a text is: it is an encoder that reads text"):
        likelihoods(load(tmp_path / "critic"), [""], ["a"])


def test_the_model_is_left_as_it_was(gpt: Loaded) -> None:
    gpt.model.train(True)
    try:
        likelihoods(gpt, ["a"], ["b"])
        assert gpt.model.training
    finally:
        gpt.model.train(False)
