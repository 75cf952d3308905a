"""Vocabularies for running text: what each gives back, that all processes learn the same, and what others read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.config import Tokens
from transept.data.foreign import read_tokenizer
from transept.data.learned import BART, BERT, END, NOTHING, SENTINELS, T5, Signs, learn
from transept.data.tokenizer import Tokenizer, shortened
from transept.errors import InvalidConfig, InvalidData

TEXTS = [
    "The quick brown fox jumps over the lazy dog. The dog sleeps, and the fox is quick!\n",
    "Was the fox quicker than the dogs? Nobody knows; the dogs don't tell.\n",
    "Übermut tut selten gut: 3,5 Äpfel und 12 Birnen.\n",
] * 3
KINDS: dict[str, tuple[Tokens, Signs]] = {
    "byte_bpe": (Tokens(size=300), END),
    "byte_bpe bart": (Tokens(size=320), BART),
    "byte": (Tokens(kind="byte"), END),
    "character": (Tokens(kind="character"), NOTHING),
    "wordpiece": (Tokens(kind="wordpiece", size=160, lower=True), BERT),
    "unigram": (Tokens(kind="unigram", size=170), T5),
}


def made(name: str) -> Tokenizer:
    return learn(TEXTS, *KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_ids_are_whole_and_special_tokens_are_where_their_models_have_them(name: str) -> None:
    tokenizer, (settings, signs) = made(name), KINDS[name]
    assert tokenizer.tokens(range(tokenizer.vocab)), "no holes"
    assert tokenizer.vocab <= settings.size or settings.kind in ("byte", "character")
    words = [word for _, word in signs.first]
    assert tokenizer.tokens(range(len(words))) == words
    if signs is T5:
        assert tokenizer.id_of("<extra_id_0>") == tokenizer.vocab - 1
        assert tokenizer.id_of(f"<extra_id_{SENTINELS - 1}>") == tokenizer.vocab - SENTINELS
    if signs is BART:
        assert tokenizer.mask == tokenizer.vocab - 1


def test_nothing_but_letters_is_in_a_vocabulary_of_letters() -> None:
    assert made("character").vocab == len(set("".join(TEXTS)))
    assert made("byte").vocab == 257


@pytest.mark.parametrize("name", ["byte_bpe", "byte", "byte_bpe bart"])
@given(text=st.text(max_size=40).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text)))
def test_bytes_give_every_text_back(name: str, text: str) -> None:
    tokenizer = TOKENIZERS.setdefault(name, made(name)).literal()
    assert tokenizer.decode(tokenizer.encode(text, bare=True)) == text


TOKENIZERS: dict[str, Tokenizer] = {}


def test_the_others_give_words_back() -> None:
    text = TEXTS[1].strip()
    assert made("unigram").decode(made("unigram").encode(text)) == text
    spaced = made("wordpiece").decode(made("wordpiece").encode(text))
    assert spaced.replace(" ", "") == text.lower().replace(" ", "")
    assert made("character").decode(made("character").encode(TEXTS[0])) == TEXTS[0]


def test_texts_are_framed_as_their_models_expect() -> None:
    def spelt(name: str, *texts: str) -> list[str]:
        return made(name).tokens(made(name).encode(*texts))

    assert spelt("wordpiece", "dog", "fox") == ["[CLS]", "dog", "[SEP]", "fox", "[SEP]"]
    assert spelt("byte_bpe bart", "")[:1] + spelt("byte_bpe bart", "")[-1:] == ["<s>", "</s>"]
    assert spelt("unigram", "dog")[-1] == "</s>"
    assert "<|endoftext|>" not in spelt("byte_bpe", "dog")


@pytest.mark.parametrize("name", KINDS)
def test_it_is_read_again_here_and_by_hugging_face(name: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = made(name)
    tokenizer.save(tmp_path)
    kind = {"wordpiece": "bert", "unigram": "t5", "byte_bpe bart": "bart"}.get(name, "gpt2")
    again, theirs = read_tokenizer(tmp_path, tokenizer.vocab, kind), AutoTokenizer.from_pretrained(tmp_path)
    assert again is not None
    assert again.special == tokenizer.special
    for text in TEXTS[:3]:
        assert again.encode(text) == tokenizer.encode(text) == theirs(text)["input_ids"]
        assert again.decode(tokenizer.encode(text)) == tokenizer.decode(tokenizer.encode(text))


@pytest.mark.parametrize("name", ["wordpiece", "byte_bpe bart", "unigram"])
def test_pairs_are_cut_as_hugging_face_cuts_them(name: str, tmp_path: Path) -> None:
    """The longer text first: neither is left without a token while the other has two."""
    from transformers import AutoTokenizer

    tokenizer = made(name)
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for first in range(1, 7):
        for second in (1, 2, 5, 9):
            one, other = " ".join(["dog"] * first), " ".join(["fox"] * second)
            whole = tokenizer.encodings([one], [other])[0]
            around = sum(text is None for text in whole.texts)
            for longest in range(around + 1, len(whole.ids) + 1):
                cut = theirs(one, other, truncation="longest_first", max_length=longest)
                assert shortened(whole, longest).ids == cut["input_ids"], (first, second, longest)
    with pytest.raises(InvalidData, match=rf"{around} tokens stand around the text of a row; the model takes 1"):
        shortened(whole, 1)


def test_special_tokens_in_running_text_are_letters() -> None:
    tokenizer = made("wordpiece")
    assert tokenizer.mask in tokenizer.encode("the [MASK] dog")
    assert tokenizer.mask not in tokenizer.literal().encode("the [MASK] dog")


def test_every_process_learns_the_same() -> None:
    """The libraries' trainers go by hash maps, whose order another process has otherwise."""
    code = "from unit.data.test_learned import *\nprint([made(name).fingerprint for name in KINDS])"
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}"}
    told = {
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert told == {f"{[made(name).fingerprint for name in KINDS]}\n"}


@pytest.mark.parametrize("name", ["byte_bpe", "wordpiece"])
def test_a_size_that_does_not_hold_the_alphabet_is_refused(name: str) -> None:
    settings, signs = KINDS[name]
    with pytest.raises(InvalidConfig, match=r"data\.tokenizer\.size: 10 tokens do not hold"):
        learn(TEXTS, settings.model_copy(update={"size": 10}), signs)
