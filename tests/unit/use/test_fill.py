"""`fill`: the tokens that Hugging Face's fill-mask gives, with their probabilities, wherever a mask stands."""

from pathlib import Path

import pytest
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM, pipeline

from transept.errors import InvalidData
from transept.use.loaded import Loaded, load
from unit.use.made import bytes_pairs, shaken, theirs

TEXTS = ["the [MASK] sat on the mat.", "[MASK] is the capital of [MASK]", "a dog[MASK]?", "Ada [MASK]"]


@pytest.fixture(scope="module")
def bert() -> Loaded:
    return load(theirs("BertForMaskedLM"))


def compare(loaded: Loaded, texts: list[str], mask: str) -> None:
    pipe = pipeline("fill-mask", model=str(loaded.path), top_k=4)
    found = loaded.fill(texts, count=4)
    for text, masks in zip(texts, found, strict=True):
        wanted = pipe(text.replace("[MASK]", mask))
        wanted = wanted if isinstance(wanted[0], list) else [wanted]
        assert len(masks) == len(wanted) == text.count("[MASK]")
        for ours, each in zip(masks, wanted, strict=True):
            assert [one.id for one in ours] == [one["token"] for one in each]
            assert [one.word for one in ours] == [one["token_str"].strip() for one in each]
            assert [one.probability for one in ours] == pytest.approx([one["score"] for one in each], rel=1e-4)


def test_tokens_and_probabilities_are_hugging_faces(bert: Loaded) -> None:
    compare(bert, TEXTS, "[MASK]")


def test_one_is_as_in_a_list(bert: Loaded) -> None:
    many = bert.fill(TEXTS, count=2)
    for text, found in zip(TEXTS, many, strict=True):
        for one, other in zip(bert.fill(text, count=2), found, strict=True):
            assert [a.id for a in one] == [b.id for b in other]
            assert [a.probability for a in one] == pytest.approx([b.probability for b in other], rel=1e-5)
    assert bert.fill([]) == []
    assert bert.tokenizer is not None
    assert len(bert.fill("a [MASK]", count=10_000)[0]) == bert.tokenizer.vocab, "as many as there are"


def test_the_text_is_kept_as_it_was_written(bert: Loaded) -> None:
    for masks in (bert.fill("The CAT sat  on a [MASK] , and the [MASK]!", count=60),):
        for place, found in enumerate(masks):
            for one in found:
                parts = ["The CAT sat  on a [MASK] , and the ", "[MASK]!"]
                if one.word.startswith("##"):
                    assert one.text == (
                        parts[0].replace(" [MASK]", one.word[2:]) + parts[1]
                        if place == 0
                        else parts[0].rstrip() + one.word[2:] + "!"
                    )
                else:
                    assert one.text == (
                        parts[0].replace("[MASK]", one.word) + parts[1] if place == 0 else parts[0] + one.word + "!"
                    )


def test_another_spelling_of_the_mask(tmp_path: Path) -> None:
    backend = type(bytes_pairs().backend_tokenizer).from_str(bytes_pairs().backend_tokenizer.to_str())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<|endoftext|>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
        pad_token="<|endoftext|>",
        model_input_names=["input_ids", "attention_mask"],
    )
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(**sizes, vocab_size=304, max_position_embeddings=40, type_vocab_size=1, pad_token_id=1)
    shaken(RobertaForMaskedLM(config)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    compare(loaded, ["the [MASK] sat", "[MASK] dog"], "<mask>")
    (found,) = loaded.fill("the <mask> sat")
    assert [one.id for one in found] == [one.id for one in loaded.fill("the [MASK] sat")[0]]
    assert all(one.text.startswith("the ") and one.text.endswith(" sat") for one in found if one.word)


def test_a_text_without_a_mask_is_named(bert: Loaded) -> None:
    with pytest.raises(InvalidData, match=r"text 6 has no mask: 'no'\n  Write \[MASK\] where a word is wanted"):
        bert.fill(["a [MASK]", "no"], first=4)
    with pytest.raises(InvalidData, match="text 1 has 62 tokens, and the model takes 48"):
        bert.fill("[MASK] " * 60)
