import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.config import SPECIAL, Vocabulary
from transept.data.lines import read_lines
from transept.data.subwords import END, Subwords, normalise
from transept.errors import InvalidData

LINES = [
    "the quick brown fox jumps over the lazy dog",
    "der schnelle braune Fuchs springt über den faulen Hund",
    "the dog , the fox and the 12 cats of 1984",
    "der Hund , der Fuchs und die 12 Katzen von 1984",
]
LETTERS = sorted({letter for line in LINES for letter in line})
WORDS = Subwords.train(LINES, Vocabulary(merges=60, min_frequency=1))
BYTES = Subwords.train(LINES, Vocabulary(kind="bytes", merges=60, min_frequency=1))
TAGS = ["<2de>", "<2d>", "<long>"]
TAGGED = Subwords.train(LINES, Vocabulary(kind="bytes", merges=60, digits="split", special=TAGS))
valid_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(valid_text)
def test_bytes_give_every_text_back(text: str):
    assert BYTES.decode(BYTES.encode(text)) == text
    if not text.lstrip().startswith("<"):
        assert TAGGED.decode(TAGGED.encode(text)) == text


@given(st.text(st.sampled_from([*LETTERS, "\t", "\u3000", "\x85"]), max_size=60))
def test_characters_give_the_words_back(text: str):
    assert WORDS.decode(WORDS.encode(text)) == normalise(text)


@given(valid_text)
def test_unknown_characters_become_unk_and_nothing_else_does(text: str):
    unknown = sum(letter not in LETTERS for letter in normalise(text).replace(" ", ""))
    assert WORDS.encode(text).count(WORDS.unk) == unknown


@pytest.mark.parametrize("text", ["<eos>", "a <pad> b", "<bos><unk>", f"odd {END} odd"])
@pytest.mark.parametrize("tokenizer", [WORDS, BYTES, TAGGED])
def test_signs_of_control_in_a_text_are_letters(tokenizer: Subwords, text: str):
    ids = tokenizer.encode(text)
    assert ids[-1] == tokenizer.eos
    assert not {tokenizer.pad, tokenizer.bos, tokenizer.eos} & set(ids[:-1])
    if tokenizer is not WORDS:
        assert tokenizer.decode(ids) == text


def test_ids_are_fixed_and_eos_ends_a_text():
    for tokenizer in (WORDS, BYTES, TAGGED):
        assert tokenizer.tokens(range(4)) == list(SPECIAL)
        assert (tokenizer.pad, tokenizer.bos, tokenizer.eos, tokenizer.unk) == (0, 1, 2, 3)
        assert tokenizer.encode("") == [tokenizer.eos]
        assert tokenizer.encode_batch([]) == []
        assert tokenizer.encode("the dog")[-1] == tokenizer.eos
        assert tokenizer.decode([1, *tokenizer.encode("the dog"), 0, 0]) == "the dog"


def test_the_vocabulary_is_specials_tags_alphabet_and_merges():
    letters = [letter for letter in LETTERS if letter != " "]
    assert WORDS.vocab == 4 + 2 * len(letters) + 60
    assert BYTES.vocab == 4 + 256 + 60
    assert Subwords.train(LINES, Vocabulary(merges=0)).vocab == 4 + 2 * len(letters)
    fewer = Subwords.train(LINES, Vocabulary(merges=10_000, min_frequency=2)).vocab
    assert fewer < Subwords.train(LINES, Vocabulary(merges=10_000, min_frequency=1)).vocab


def test_merges_are_those_of_a_count_by_hand():
    # ab 3 times, b</w> only after a: a b</w> is the first merge; x ab</w> the second.
    tokenizer = Subwords.train(["ab ab xab", "xab"], Vocabulary(merges=2))
    assert tokenizer.tokens(tokenizer.encode("xab ab ba")) == ["xab</w>", "ab</w>", "b", "a</w>", "<eos>"]


def test_a_tag_is_whole_at_the_start_alone():
    assert TAGGED.tags == tuple(TAGS)
    tags = {tag: 4 + index for index, tag in enumerate(TAGS)}
    for text in ("<2de> <long> the dog", "  <2de><long>the dog", "<2de>\t<long>  the dog"):
        assert TAGGED.encode(text) == [tags["<2de>"], tags["<long>"], *TAGGED.encode("the dog")]
        assert TAGGED.decode(TAGGED.encode(text)) == "the dog"
    inside = TAGGED.encode("the <2de> dog")
    assert not set(tags.values()) & set(inside)
    assert TAGGED.decode(inside) == "the <2de> dog"
    assert TAGGED.encode("<2d>e>")[0] == tags["<2d>"]
    assert TAGGED.encode_batch(["<2d> a", "b", "<long>"]) == [TAGGED.encode(text) for text in ("<2d> a", "b", "<long>")]


def test_tags_are_not_learned_as_text():
    marked = [f"<2de> {line}" for line in LINES]
    plain = Vocabulary(kind="bytes", merges=60, digits="split", special=TAGS)
    assert Subwords.train(marked, plain).fingerprint == TAGGED.fingerprint
    inside = Subwords.train(["ab <2de>"] * 9, Vocabulary(special=TAGS))
    assert inside.unk not in inside.encode("ab ed2><")


def test_digits_stay_apart_where_asked():
    lines = ["2026 2026 2026 1999 1999"] * 9
    split = Subwords.train(lines, Vocabulary(kind="bytes", merges=50, digits="split"))
    free = Subwords.train(lines, Vocabulary(kind="bytes", merges=50))
    assert len(split.encode("2026 1999")) == 9
    assert len(free.encode("2026 1999")) == 3
    assert all(sum(letter.isdigit() for letter in token) <= 1 for token in split.tokens(range(split.vocab)))


@given(st.text(st.sampled_from("0123456789 年月日abc"), max_size=30))
def test_a_number_has_as_many_tokens_as_digits(text: str):
    tokens = TAGGED.tokens(TAGGED.encode(text))
    digits = set("0123456789")
    assert sum(bool(digits & set(token)) for token in tokens) == sum(letter in digits for letter in text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_lower_case_is_the_vocabularys_own(text: str):
    lower = Subwords.train(["STRASSE straße ΟΔΟΣ İ"], Vocabulary(kind="bytes", merges=10, lower=True))
    once = lower.decode(lower.encode(text))
    assert lower.encode(once) == lower.encode(text)
    assert lower.decode(lower.encode("ABC straße")) == "abc straße"


def test_lower_case_letters_all_have_a_token():
    lower = Subwords.train(["ΟΔΟΣ İ ABC ß"], Vocabulary(merges=0, lower=True))
    assert lower.unk not in lower.encode("ΟΔΟΣ İ ABC abc ß")


def test_a_text_with_the_mark_of_an_end_cannot_teach_words():
    with pytest.raises(InvalidData, match=r"kind=bytes"):
        Subwords.train(["fine", f"not {END} fine"], Vocabulary())


CODE = """
import sys
from transept.data.config import Vocabulary
from transept.data.subwords import Subwords
lines = [line.rstrip("\\n") for line in sys.stdin]
for kind in ("characters", "bytes"):
    print(Subwords.train(lines, Vocabulary(kind=kind, merges=300, min_frequency=1)).fingerprint)
"""


def test_the_same_lines_give_the_same_file_in_every_process():
    # Many words once each, so that nearly every merge is chosen among equals.
    words = [
        chr(97 + i % 26) + chr(97 + i * 7 % 26) + chr(97 + i * 11 % 23) + chr(97 + i // 26 % 26) for i in range(500)
    ]
    runs = {
        subprocess.run(
            [sys.executable, "-c", CODE],
            input=" ".join(words),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in range(3)
    }
    assert len(runs) == 1


@pytest.mark.parametrize("tokenizer", [WORDS, BYTES, TAGGED])
def test_what_is_saved_is_loaded(tmp_path: Path, tokenizer: Subwords):
    tokenizer.save(tmp_path)
    loaded = Subwords.load(tmp_path, tokenizer.vocab)
    assert loaded.fingerprint == tokenizer.fingerprint
    assert (loaded.vocab, loaded.tags) == (tokenizer.vocab, tokenizer.tags)
    for text in (*LINES, "<2de> <long> the dog", "漢 <eos>"):
        assert loaded.encode(text) == tokenizer.encode(text)
        assert loaded.decode(loaded.encode(text)) == tokenizer.decode(tokenizer.encode(text))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]


@pytest.mark.parametrize("tokenizer", [WORDS, BYTES, TAGGED])
def test_hugging_face_reads_the_same(tmp_path: Path, tokenizer: Subwords):
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path, length=77)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id, theirs.unk_token_id) == (0, 1, 2, 3)
    assert (len(theirs), theirs.model_max_length, theirs.padding_side) == (tokenizer.vocab, 77, "right")
    texts = [*LINES, "the 99 dogs .", *([" <2de>  <long> the dog"] if tokenizer.tags else [])]
    assert theirs(texts)["input_ids"] == tokenizer.encode_batch(texts)
    decoded = [theirs.decode(ids, skip_special_tokens=True) for ids in tokenizer.encode_batch(texts)]
    assert decoded == tokenizer.decode_batch(tokenizer.encode_batch(texts))


def altered(change: Any) -> str:
    document = json.loads(WORDS._json())
    change(document)
    return json.dumps(document)


def move(document: dict[str, Any], old: str, new: int) -> None:
    document["model"]["vocab"][old] = new


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a tokenizer"),
        ("{", "not a tokenizer"),
        ("{}", "not a tokenizer"),
        (WORDS._json().decode()[:900], "not a tokenizer"),
        (altered(lambda d: move(d, "ab", 10**6)), "not a tokenizer|holes"),
        (altered(lambda d: move(d, "a", 10**6)), "not a tokenizer|holes"),
        (altered(lambda d: move(d, "a", 9)), "holes or stand twice"),
        (altered(lambda d: d.update(post_processor=None)), "does not end a text with <eos>"),
        (altered(lambda d: d.update(added_tokens=[], post_processor=None)), "does not end a text"),
        (altered(lambda d: d["model"]["merges"].append(["no", "such"])), "not a tokenizer"),
    ],
)
def test_a_broken_tokenizer_is_refused(tmp_path: Path, text: str, words: str):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(InvalidData, match=words) as caught:
        Subwords.load(tmp_path)
    assert str(tmp_path / "tokenizer.json") in str(caught.value)


def test_moved_special_tokens_are_refused(tmp_path: Path):
    document = json.loads(WORDS._json())
    vocab = document["model"]["vocab"]
    vocab["<pad>"], vocab["<unk>"] = 3, 0
    for token in document["added_tokens"]:
        token["id"] = vocab[token["content"]]
    document["added_tokens"].sort(key=lambda token: token["id"])
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(InvalidData, match="<pad> has id 3, not 0"):
        Subwords.load(tmp_path)


def test_a_vocabulary_beyond_the_model_is_refused(tmp_path: Path):
    WORDS.save(tmp_path)
    with pytest.raises(InvalidData, match=rf"{WORDS.vocab} tokens, but the model has rows for {WORDS.vocab - 1}"):
        Subwords.load(tmp_path, WORDS.vocab - 1)
    assert Subwords.load(tmp_path, WORDS.vocab + 7).vocab == WORDS.vocab


def test_no_tokenizer_at_all_is_told(tmp_path: Path):
    with pytest.raises(InvalidData, match="no such file"):
        Subwords.load(tmp_path)


def test_panics_of_the_library_become_errors():
    class PanicException(BaseException):
        pass

    class Broken:
        encode_special_tokens = False

        def get_added_tokens_decoder(self) -> dict[int, Any]:
            return {}

        def encode_batch_fast(self, texts: list[str], add_special_tokens: bool) -> list[Any]:
            raise PanicException("no entry found for key")

        def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
            raise KeyboardInterrupt

    broken = Subwords(Broken())  # type: ignore[arg-type]
    with pytest.raises(InvalidData, match="no entry found"):
        broken.encode("a")
    with pytest.raises(KeyboardInterrupt):
        broken.decode([5])


def test_ids_and_texts_that_cannot_be_are_refused():
    with pytest.raises(InvalidData, match="token id 99999 is not in the vocabulary"):
        WORDS.tokens([5, 99_999])
    with pytest.raises(InvalidData, match="half of a surrogate pair at character 3"):
        BYTES.encode("ab\ud800")
    with pytest.raises(InvalidData, match="half of a surrogate pair"):
        Subwords.train(["ab\ud800"], Vocabulary(kind="bytes"))


@pytest.mark.parametrize("tokenizer", [WORDS, BYTES])
def test_a_line_of_a_million_characters_is_encoded(tokenizer: Subwords):
    assert len(tokenizer.encode("ab" * 500_000)) > 100_000


@pytest.mark.skipif("TRANSEPT_DATA" not in os.environ, reason="TRANSEPT_DATA names no folder of data sets")
def test_multi30k_comes_back_whole():
    folder = Path(os.environ["TRANSEPT_DATA"]) / "multi30k"
    lines = [line for side in ("en", "de") for line in read_lines(folder / f"train.lc.norm.tok.{side}.gz")]
    tokenizer = Subwords.train(lines, Vocabulary(merges=10_000))
    letters = {letter for line in lines for letter in line} - {" "}
    assert tokenizer.vocab == 4 + 2 * len(letters) + 10_000 == 10_126
    assert tokenizer.decode_batch(tokenizer.encode_batch(lines)) == [normalise(line) for line in lines]


def test_a_pair_and_what_stands_around_it():
    first, second = TAGGED.encode("the dog", bare=True), TAGGED.encode("der Hund", bare=True)
    tag, eos = TAGGED.encode("<2de>", bare=True), [TAGGED.eos]
    assert TAGGED.encode("<2de> the dog", "der Hund") == [*tag, *first, *eos, *second, *eos]
    (found,) = TAGGED.encodings([" <2de> the dog"], ["der Hund"])
    assert found.ids == [*tag, *first, *eos, *second, *eos]
    assert found.segments == [0] * len(found.ids)
    assert found.texts == [None, *[0] * len(first), None, *[1] * len(second), None]
    texts = (" <2de> the dog", "der Hund")
    assert "".join(texts[0][a:b] for (a, b), of in zip(found.spans, found.texts, strict=True) if of == 0) == "the dog"
    assert "".join(texts[1][a:b] for (a, b), of in zip(found.spans, found.texts, strict=True) if of == 1) == "der Hund"
    with pytest.raises(ValueError, match="1 texts and 2 second texts"):
        TAGGED.encodings(["a"], ["b", "c"])


def test_special_tokens_by_their_roles():
    assert WORDS.special == {"pad": 0, "bos": 1, "eos": 2, "unk": 3}
    assert (WORDS.cls, WORDS.sep, WORDS.mask, WORDS.side) == (None, None, None, "right")
    assert WORDS.demand("eos") == 2
    with pytest.raises(InvalidData, match="has no mask token; it has pad, bos, eos, unk"):
        WORDS.demand("mask")
    assert TAGGED.around == {0, 1, 2, 3, 4, 5, 6}
    assert (WORDS.id_of("<eos>"), WORDS.id_of("nowhere")) == (2, None)
