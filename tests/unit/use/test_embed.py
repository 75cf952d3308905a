"""`embed`: Hugging Face's states pooled, what modules.json says, and nothing cut in silence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, pipeline

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.hub.directory import save
from transept.use.loaded import Loaded, load
from unit.hub import made as hub
from unit.use.made import TEXTS, bytes_pairs, shaken, theirs, word_pieces


@pytest.fixture(scope="module")
def bert() -> Loaded:
    return load(theirs("BertModel"))


def test_vectors_are_hugging_faces_states_pooled(bert: Loaded) -> None:
    pipe = pipeline("feature-extraction", model=str(bert.path))
    states = [np.array(pipe(text)[0]) for text in TEXTS]
    wanted = {"mean": [s.mean(0) for s in states], "class": [s[0] for s in states], "last": [s[-1] for s in states]}
    for pool, vectors in wanted.items():
        found = bert.embed(TEXTS, pool=pool)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, vectors, rtol=1e-4, atol=1e-5)
        lengths = np.linalg.norm(bert.embed(TEXTS, pool=pool, normalise=True), axis=1)
        np.testing.assert_allclose(lengths, 1.0, rtol=1e-5)
    np.testing.assert_allclose(bert.embed(TEXTS), wanted["mean"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bert.embed(TEXTS[1]), wanted["mean"][1], rtol=1e-4, atol=1e-5)
    assert bert.embed([]).shape == (0, 32)
    assert str(bert.embedding) == "the mean of all states, not normalised (nobody says more, so this is the default)"


def test_decoders_and_pairs_of_stacks_embed_too(tmp_path: Path) -> None:
    gpt = load(theirs("GPT2LMHeadModel"))
    model = AutoModel.from_pretrained(gpt.path).eval()
    with torch.no_grad():
        wanted = [model(**bytes_pairs()(text, return_tensors="pt")).last_hidden_state[0, -1] for text in TEXTS]
    np.testing.assert_allclose(gpt.embed(TEXTS, pool="last"), torch.stack(wanted), rtol=1e-4, atol=1e-5)
    save(tmp_path / "pair", hub.model(), tokenizer=hub.tokenizer())
    pair = load(tmp_path / "pair")
    assert pair.tokenizer is not None
    with torch.no_grad():
        states = pair.model.encode(torch.tensor([pair.tokenizer.encode("a small house")])).states
    np.testing.assert_allclose(pair.embed("a small house"), states[0].mean(0), rtol=1e-5, atol=1e-6)


def modules(root: Path, *kinds: str, pooling: dict[str, object] | None = None, longest: int | None = None) -> None:
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (root / "modules.json").write_text(json.dumps(listed))
    if pooling is not None:
        (root / "1_Pooling").mkdir(exist_ok=True)
        (root / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if longest is not None:
        (root / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory of its own to write modules.json in."""
    config = AutoModel.from_pretrained(theirs("BertModel")).config
    shaken(AutoModel.from_config(config)).save_pretrained(tmp_path)
    word_pieces().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        ({"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "class"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}, "mean"),
        ({"pooling_mode_lasttoken": True, "include_prompt": True}, "last"),
        ({"pooling_mode": "cls"}, "class"),
    ],
)
def test_the_files_of_sentence_transformers_are_gone_by(own: Path, pooling: dict[str, object], pool: str) -> None:
    modules(own, "Transformer", "Pooling", "Normalize", pooling=pooling)
    loaded = load(own)
    assert (loaded.embedding.pool, loaded.embedding.normalise) == (pool, True)
    np.testing.assert_array_equal(loaded.embed(TEXTS), loaded.embed(TEXTS, pool=pool, normalise=True))
    modules(own, "Transformer", "Pooling", pooling=pooling)
    assert load(own).embedding.normalise is False
    assert "modules.json says so" in str(load(own).embedding)


def test_what_they_say_and_is_not_done_is_refused_unless_both_are_told(own: Path) -> None:
    modules(own, "Transformer", "Pooling", "Dense", pooling={"pooling_mode_mean_tokens": True})
    with pytest.raises(InvalidConfig, match=r"modules.json: the module Dense is none of Transformer, Pooling, Normal"):
        load(own).embed("a cat")
    assert load(own).embed("a cat", pool="mean", normalise=False).shape == (32,)
    modules(own, "Transformer", "Pooling", pooling={"pooling_mode_max_tokens": True})
    with pytest.raises(InvalidConfig, match="it pools by pooling_mode_max_tokens"):
        load(own).embed("a cat")
    with pytest.raises(UsageError, match=r"there is no pooling 'clas'. Did you mean 'class'"):
        load(own).embed("a cat", pool="clas")


def test_nothing_is_cut_in_silence(own: Path) -> None:
    bert, long = load(own), "the cat " * 40
    with pytest.raises(InvalidData, match="text 2 has 82 tokens, and the model takes 48"):
        bert.embed(["a", long])
    with pytest.warns(UserWarning, match="1 of 2 texts were cut to 48 tokens"):
        found = bert.embed(["a", long], truncate=True)
    tokenizer = AutoTokenizer.from_pretrained(own)
    kept = tokenizer(long, truncation=True, max_length=48, return_tensors="pt")
    model = AutoModel.from_pretrained(own).eval()
    with torch.no_grad():
        wanted = model(**kept).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(found[1], wanted, rtol=1e-4, atol=1e-5)
    modules(own, "Transformer", "Pooling", pooling={"pooling_mode_mean_tokens": True}, longest=16)
    told: list[str] = []
    load(own).embed(["a", long], truncate=True, say=told.append)
    assert told == ["1 of 2 texts were cut to 16 tokens"]
    with pytest.raises(InvalidData, match="the model takes 16"):
        load(own).embed(long)


def test_a_copy_hands_them_back_and_embeds_alike(own: Path, tmp_path: Path) -> None:
    modules(own, "Transformer", "Pooling", "Normalize", pooling={"pooling_mode_cls_token": True}, longest=20)
    loaded = load(own)
    copy = load(loaded.save_pretrained(tmp_path / "copy"))
    assert copy.embedding == loaded.embedding
    assert copy.embedding.longest == 20
    np.testing.assert_array_equal(copy.embed(TEXTS), loaded.embed(TEXTS))
    assert (tmp_path / "copy" / "1_Pooling" / "config.json").read_text() == (
        own / "1_Pooling" / "config.json"
    ).read_text()


# ------------------------------------------------------------------ what is done to a text before it is tokens


def asked(root: Path, pooling: dict[str, object], lower: bool, default: str | None) -> Loaded:
    modules(root, "Transformer", "Pooling", "Normalize", pooling=pooling)
    (root / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 40, "do_lower_case": lower}))
    prompts = {"prompts": {"query": "who: ", "passage": "the mat "}, "default_prompt_name": default}
    (root / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return load(root)


@pytest.mark.parametrize("pool", ["mean", "cls", "lasttoken"])
@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("default", ["query", None])
def test_prompts_are_sentence_transformers(own: Path, pool: str, beside: bool, default: str | None) -> None:
    pooling = {"word_embedding_dimension": 32, "pooling_mode": pool, "include_prompt": not beside}
    loaded = asked(own, pooling, lower=False, default=default)
    theirs = SentenceTransformer(str(own), device="cpu")
    plain = loaded.embed(TEXTS, prompt="")
    for prompt in (None, "query", "passage", "document"):
        found = loaded.embed(TEXTS, prompt=prompt)
        np.testing.assert_allclose(found, theirs.encode(TEXTS, prompt_name=prompt), rtol=1e-4, atol=1e-5)
        assert np.allclose(found, plain, atol=1e-4) == (prompt == "document" or (prompt is None and not default))
    np.testing.assert_allclose(plain, theirs.encode(TEXTS, prompt=""), rtol=1e-4, atol=1e-5)
    assert ("'who: ' before every text" in str(loaded.embedding)) == bool(default)
    both = loaded.embed(TEXTS, pool="mean", normalise=False)  # as asked, of the texts that the model wants
    assert np.allclose(both, loaded.embed(TEXTS, pool="mean", normalise=False, prompt=""), atol=1e-4) == (not default)
    with pytest.raises(UsageError, match=r"there is no prompt 'qury'. Did you mean 'query'"):
        loaded.embed(TEXTS, prompt="qury")


@pytest.mark.parametrize("lower", [True, False])
def test_texts_in_small_letters_are_sentence_transformers(own: Path, lower: bool) -> None:
    """A tokenizer that knows capitals, told to forget them; special tokens inside a text stay special."""
    file = own / "tokenizer.json"
    words = json.loads(file.read_text())
    words["normalizer"]["lowercase"] = False
    file.write_text(json.dumps(words))
    texts = [*(text.upper() for text in TEXTS), "The [MASK] SAT [SEP] a DOG", "ΑΣ Σ ÉÀ İ"]
    loaded = asked(own, {"word_embedding_dimension": 32, "pooling_mode": "mean"}, lower, None)
    theirs = SentenceTransformer(str(own), device="cpu")
    found = loaded.embed(texts)
    np.testing.assert_allclose(found, theirs.encode(texts), rtol=1e-4, atol=1e-5)
    assert np.allclose(found[: len(TEXTS)], loaded.embed(TEXTS), atol=1e-4) == lower
    assert ("in small letters" in str(loaded.embedding)) == lower
    assert loaded.tokenizer.encode("THE") != loaded.tokenizer.encode("the")  # type: ignore[union-attr]
