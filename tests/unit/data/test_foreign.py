"""Tokenizers of others, read from each kind of file, against Hugging Face's on the same files."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from transept.data.foreign import Unread, read_tokenizer
from transept.data.letters import Letters
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidData, TranseptError

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "He didn't say: \"It's 5,000.75 o'clock!\" (isn't it?)",
    " two  spaces   and a tab\tand\na newline ",
    "Ünïcödé Straße İstanbul ﬁne ½ Ⅷ e\u0301 naïve café",
    "日本語 中文字 한국어 mixed テスト",
    "\x00 control \x1f and \x7f, \u200b zero, \ufeff mark, \u00ad soft, \u2028 line",
    "emoji 🙂👩‍👩‍👧‍👦 and 🇩🇪 flags",
    "a" * 150,
    "supercalifragilistic" * 8,
    "",
    " ",
    "[CLS] inside [SEP] a [MASK] text [PAD] [UNK]",
    "<s> inside </s> a <mask> text <pad> <unk> <|endoftext|>",
    "x<mask>y and x [MASK] y",
    "don't we're they've I'm he's it ' s",
    "<extra_id_0> text <extra_id_99>",
    "\u2581 the sign of a space",
    "ΟΔΟΣ Σ ς ß ẞ",
]
PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))
LINES = [*TEXTS[:7], "lower newest widest low new the the the fox dog", "a text inside and a mask"] * 3


def trained(model: Any, trainer: Any, cut: Any, lower: bool = False) -> Backend:
    backend = Backend(model)
    backend.pre_tokenizer = cut
    backend.train_from_iterator([line.lower() if lower else line for line in LINES], trainer)
    return backend


def word_pieces(root: Path, **config: Any) -> Path:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    backend = trained(models.WordPiece(unk_token="[UNK]"), trainer, pre_tokenizers.BertPreTokenizer(), lower=True)
    ids = backend.get_vocab()
    (root / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(ids, key=ids.__getitem__)))
    return configured(root, {"tokenizer_class": "BertTokenizer"} | config)


def configured(root: Path, config: dict[str, Any]) -> Path:
    if config:
        (root / "tokenizer_config.json").write_text(json.dumps(config))
    return root


def pairs(root: Path, special: list[str], suffix: str, cut: Any, **config: Any) -> Path:
    alphabet = [] if suffix else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
        **({"end_of_word_suffix": suffix} if suffix else {}),
    )
    backend = trained(models.BPE(), trainer, cut, lower=bool(suffix))
    document = json.loads(backend.to_str())["model"]
    (root / "vocab.json").write_text(json.dumps(document["vocab"]))
    merges = [" ".join(merge) for merge in document["merges"]]
    (root / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges))
    return configured(root, config)


def gpt2(root: Path, **config: Any) -> Path:
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pairs(root, ["<|endoftext|>"], "", cut, **{"tokenizer_class": "GPT2Tokenizer"} | config)


def roberta(root: Path, **config: Any) -> Path:
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    return pairs(root, special, "", cut, **{"tokenizer_class": "RobertaTokenizer"} | config)


def openai(root: Path, **config: Any) -> Path:
    cut = pre_tokenizers.BertPreTokenizer()
    return pairs(root, ["<unk>"], "</w>", cut, **{"tokenizer_class": "OpenAIGPTTokenizer"} | config)


def letters(root: Path, **config: Any) -> Path:
    signs = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVKXJQZ'"]
    (root / "vocab.json").write_text(json.dumps({sign: index for index, sign in enumerate(signs)}))
    return configured(root, {"tokenizer_class": "Wav2Vec2CTCTokenizer"} | config)


def sentencepiece(root: Path, name: str, kind: str, **options: Any) -> Path:
    library = pytest.importorskip("sentencepiece")
    (root / "lines.txt").write_text("\n".join(line.replace("\n", " ") for line in LINES))
    library.SentencePieceTrainer.train(
        input=str(root / "lines.txt"),
        model_prefix=str(root / "made"),
        vocab_size=260 if kind == "unigram" else 420,
        model_type=kind,
        minloglevel=2,
        hard_vocab_limit=False,
        **options,
    )
    (root / "made.model").rename(root / name)
    for spare in ("lines.txt", "made.vocab"):
        (root / spare).unlink()
    return root


def t5(root: Path, **config: Any) -> Path:
    sentencepiece(root, "spiece.model", "unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    return configured(root, {"tokenizer_class": "T5Tokenizer", "extra_ids": 5} | config)


def llama(root: Path, **config: Any) -> Path:
    sentencepiece(
        root,
        "tokenizer.model",
        "bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
    )
    both = {"add_bos_token": True, "add_eos_token": False, "legacy": False}
    return configured(root, {"tokenizer_class": "LlamaTokenizer"} | both | config)


Maker = Callable[[Path], Path]
MADE: dict[str, Maker] = {
    "word pieces": word_pieces,
    "word pieces, cased": lambda root: word_pieces(root, do_lower_case=False),
    "word pieces with accents": lambda root: word_pieces(root, strip_accents=False),
    "word pieces, Chinese whole": lambda root: word_pieces(root, tokenize_chinese_chars=False),
    "word pieces, tidy": lambda root: word_pieces(root, clean_up_tokenization_spaces=True),
    "DistilBERT's": lambda root: word_pieces(root, tokenizer_class="DistilBertTokenizer"),
    "GPT-2's": gpt2,
    "GPT-2's with a space before": lambda root: gpt2(root, add_prefix_space=True),
    "GPT-2's with a new pad": lambda root: gpt2(root, pad_token="<pad>"),
    "GPT-2's, bos around": lambda root: gpt2(root, add_bos_token=True),
    "RoBERTa's": roberta,
    "RoBERTa's with a space before": lambda root: roberta(root, add_prefix_space=True),
    "RoBERTa's, a mask that takes the space": lambda root: roberta(
        root, mask_token={"content": "<mask>", "lstrip": True, "__type": "AddedToken", "normalized": False}
    ),
    "BART's": lambda root: roberta(root, tokenizer_class="BartTokenizer"),
    "GPT's": openai,
    "T5's": t5,
    "Llama's": llama,
    "Llama's of old": lambda root: llama(root, legacy=True),
    "letters": letters,
    "letters, tidy": lambda root: letters(root, clean_up_tokenization_spaces=True),
    "small letters": lambda root: letters(root, do_lower_case=True),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Tokenizer, Any, Path]]:
    """A kind of files, read here and there."""
    found: dict[str, tuple[Tokenizer, Any, Path]] = {}

    def make(name: str) -> tuple[Tokenizer, Any, Path]:
        if name not in found:
            root = MADE[name](tmp_path_factory.mktemp("tokenizer"))
            ours, theirs = read_tokenizer(root), transformers.AutoTokenizer.from_pretrained(root)
            assert ours is not None
            found[name] = ours, theirs, root
        return found[name]

    return make


@pytest.mark.parametrize("name", MADE)
def test_the_same_ids(name: str, made: Any) -> None:
    ours, theirs, _ = made(name)
    assert ours.vocab == len(theirs)
    for text in TEXTS:
        assert ours.encode(text) == theirs(text)["input_ids"], text
        assert ours.encode(text, bare=True) == theirs(text, add_special_tokens=False)["input_ids"], text
    assert ours.encode_batch(TEXTS) == theirs(TEXTS)["input_ids"]
    for role in ("pad", "bos", "eos", "unk", "cls", "sep", "mask"):
        assert getattr(ours, role) == getattr(theirs, f"{role}_token_id"), role
    assert ours.side == theirs.padding_side
    assert ours.tokens(range(ours.vocab)) == theirs.convert_ids_to_tokens(range(ours.vocab))


@pytest.mark.parametrize("name", [name for name in MADE if "letters" not in name])
def test_the_same_pairs_segments_and_places(name: str, made: Any) -> None:
    ours, theirs, _ = made(name)
    firsts, seconds = zip(*PAIRS, strict=True)
    found = ours.encodings(firsts, seconds)
    assert ours.encode_batch(firsts, seconds) == [one.ids for one in found]
    for (first, second), mine in zip(PAIRS, found, strict=True):
        if not second:
            continue  # theirs takes an empty second text for none
        other = theirs(first, second, return_offsets_mapping=True, return_token_type_ids=True)
        assert mine.ids == other["input_ids"], (first, second)
        assert mine.segments == other["token_type_ids"]
        assert mine.texts == other.sequence_ids()
        assert mine.spans == [tuple(span) for span in other["offset_mapping"]]


@pytest.mark.parametrize("name", MADE)
def test_the_same_text_again(name: str, made: Any) -> None:
    ours, theirs, _ = made(name)
    draws = random.Random(0)
    rows = ours.encode_batch(TEXTS) + [[draws.randrange(ours.vocab) for _ in range(12)] for _ in range(50)]
    for ids in rows:
        letters = isinstance(ours, Letters)  # of which their pipeline drops the pad token alone
        options = {"group_tokens": False} if letters else {}
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=not letters, **options), ours.tokens(ids)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@pytest.mark.parametrize("name", ["word pieces", "GPT-2's", "RoBERTa's", "GPT's", "T5's", "Llama's", "letters"])
def test_any_text_has_the_same_ids(name: str, made: Any, text: str) -> None:
    ours, theirs, _ = made(name)
    ids = ours.encode(text)
    assert ids == theirs(text)["input_ids"]
    if name == "GPT-2's" and "<|" not in text:
        assert ours.decode(ids) == text


@pytest.mark.parametrize("name", MADE)
def test_the_files_are_handed_back(name: str, made: Any, tmp_path: Path) -> None:
    ours, _, root = made(name)
    ours.save(tmp_path, 77)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {p.name: p.read_bytes() for p in root.iterdir()}
    again = read_tokenizer(tmp_path)
    assert again is not None
    assert again.fingerprint == ours.fingerprint
    assert again.special == ours.special


@pytest.mark.parametrize("name", [name for name in MADE if "letters" not in name])
def test_a_file_of_theirs_alone(name: str, made: Any, tmp_path: Path) -> None:
    """What they save is one tokenizer.json, which both read again."""
    ours, theirs, _ = made(name)
    theirs.save_pretrained(tmp_path)
    assert not any((tmp_path / older).exists() for older in ("vocab.txt", "merges.txt", "spiece.model"))
    again = read_tokenizer(tmp_path, ours.vocab)
    assert again is not None
    assert again.special == ours.special
    assert again.side == ours.side
    assert again.encode_batch(TEXTS) == ours.encode_batch(TEXTS)
    assert [one.segments for one in again.encodings(TEXTS, TEXTS)] == [
        one.segments for one in ours.encodings(TEXTS, TEXTS)
    ]


def test_the_kind_is_the_models_where_no_class_is_named(tmp_path: Path) -> None:
    for kind, maker in (("bert", word_pieces), ("roberta", roberta), ("wav2vec2", letters)):
        (root := tmp_path / kind).mkdir()
        maker(root)
        (root / "tokenizer_config.json").unlink()
        assert read_tokenizer(root, kind=kind) is not None
        with pytest.raises(Unread, match="tokenizer_class is None"):
            read_tokenizer(root)
    assert read_tokenizer(tmp_path) is None


def test_tokens_that_were_added_have_the_ids_that_are_said(tmp_path: Path) -> None:
    gpt2(tmp_path)
    size = len(json.loads((tmp_path / "vocab.json").read_text()))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<new>": size, "<more>": size + 1}))
    ours, theirs = read_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ours is not None
    for text in ("a <new> b<more>c", "<new>", "new"):
        assert ours.encode(text) == theirs(text)["input_ids"]
    assert ours.id_of("<more>") == size + 1
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<new>": size + 9}))
    with pytest.raises(InvalidData, match=f"<new> has the id {size + 9}, and the vocabulary gives it {size}"):
        read_tokenizer(tmp_path)


def test_nothing_is_cut_or_filled_up_by_a_files_own_wish(tmp_path: Path, made: Any) -> None:
    ours, theirs, _ = made("word pieces")
    theirs.save_pretrained(tmp_path)
    document = json.loads((tmp_path / "tokenizer.json").read_text())
    document["truncation"] = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    document["padding"] = {
        **{"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None},
        **{"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    again = read_tokenizer(tmp_path)
    assert again is not None
    assert again.encode_batch(TEXTS) == ours.encode_batch(TEXTS)


@pytest.mark.parametrize(
    ("maker", "config", "message"),
    [
        (word_pieces, {"do_lowercase": True}, r"unknown keys for a tokenizer: 'do_lowercase' Did you mean 'do_lower_"),
        (word_pieces, {"do_lower_case": "yes"}, "do_lower_case must be true or false"),
        (word_pieces, {"do_basic_tokenize": False}, "do_basic_tokenize is False, which is not done here"),
        (word_pieces, {"cls_token": None}, "there is no cls_token, which this vocabulary needs"),
        (word_pieces, {"cls_token": "[C]"}, r"\[C\] is missing"),
        (word_pieces, {"padding_side": "top"}, "padding_side is 'top'"),
        (gpt2, {"bos_token": 7}, "bos_token must be a text"),
        (gpt2, {"tokenizer_class": "MarianTokenizer"}, "tokenizer_class is 'MarianTokenizer', and without tokenizer"),
        (letters, {"target_lang": "eng"}, "no table of tokens"),
        (t5, {"sp_model_kwargs": {"enable_sampling": True}}, "sp_model_kwargs is .*not done here"),
        (llama, {"tokenizer_class": "T5Tokenizer"}, "the vocabulary of a T5 is one of unigrams"),
        (
            t5,
            {"tokenizer_class": "LlamaTokenizer", "extra_ids": None},
            "the vocabulary of a Llama is one of byte pairs",
        ),
    ],
)
def test_what_would_change_ids_is_honoured_or_refused(maker: Any, config: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=message) as caught:
        read_tokenizer(maker(tmp_path, **config))
    assert str(tmp_path) in str(caught.value)


def test_a_file_and_its_configuration_agree(tmp_path: Path, made: Any) -> None:
    _, theirs, _ = made("word pieces")
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": False}))
    with pytest.raises(InvalidData, match="do_lower_case is False, and tokenizer.json has lowercase: True"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": {}}', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "vocab.json", "spiece.model"])
def test_torn_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    kind = {"vocab.json": roberta, "spiece.model": t5}.get(name, word_pieces)
    kind(tmp_path)
    (tmp_path / name).write_bytes(content)
    if name == "vocab.json" and content == b'{"model": {}}':
        content = b'{"model": -1}'
    with pytest.raises(InvalidData) as caught:
        read_tokenizer(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_missing_half_is_named(tmp_path: Path) -> None:
    roberta(tmp_path)
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(InvalidData, match="merges.txt is missing"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("index", [2**40, 2**32, 2**70, -1, True, 1.5, "7", None])
@pytest.mark.parametrize("maker", [gpt2, roberta, openai, letters])
def test_an_id_is_a_number_that_a_model_can_have(maker: Any, index: Any, tmp_path: Path) -> None:
    """The library takes 2^32 for 0, and fails at what is beyond its numbers."""
    maker(tmp_path)
    ids = json.loads((tmp_path / "vocab.json").read_text())
    (tmp_path / "vocab.json").write_text(json.dumps(ids | {list(ids)[-1]: index}))
    with pytest.raises(InvalidData, match=r"vocab.json: .* has the id .*, and an id is a whole number[\s\S]*Take the"):
        read_tokenizer(tmp_path)


def test_a_piece_has_a_longest_length(tmp_path: Path) -> None:
    """Every way to part a piece is looked at: one of a million characters would fill the memory."""
    llama(tmp_path)
    buffers = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    model = buffers.ModelProto()
    (file,) = tmp_path.glob("*.model")
    model.ParseFromString(file.read_bytes())
    for length, good in ((1024, True), (1025, False), (1_000_000, False)):
        model.pieces[-1].piece = "x" * length
        file.write_bytes(model.SerializeToString())
        if good:
            assert read_tokenizer(tmp_path) is not None
        else:
            with pytest.raises(InvalidData, match=rf"{file.name}: a piece of {length:,} characters[\s\S]*Take the"):
                read_tokenizer(tmp_path)


def test_a_vocabulary_beyond_the_model_is_refused(tmp_path: Path) -> None:
    gpt2(tmp_path)
    size = len(json.loads((tmp_path / "vocab.json").read_text()))
    assert read_tokenizer(tmp_path, size) is not None
    with pytest.raises(InvalidData, match=f"{size} tokens, but the model has rows for {size - 1}"):
        read_tokenizer(tmp_path, size - 1)


def test_the_command_that_installs_sentencepiece_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    t5(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece.sentencepiece_model_pb2", None)
    with pytest.raises(TranseptError, match=r"pip install 'transept\[sentencepiece\]'"):
        read_tokenizer(tmp_path)


def test_sentencepiece_itself_has_the_same_pieces(made: Any) -> None:
    """On texts without more than one space in a row, where the conversion follows the library."""
    library = pytest.importorskip("sentencepiece")
    ours, _, root = made("T5's")
    processor = library.SentencePieceProcessor(model_file=str(root / "spiece.model"))
    for text in ("the quick brown fox", "He didn't say", "日本語 mixed テスト", "naïve café ﬁne ½"):
        assert ours.encode(text, bare=True) == processor.encode(text), text


def test_letters_are_read_as_one_for_a_frame_elsewhere(made: Any) -> None:
    from transept.decode.ctc import collapse

    ours, theirs, _ = made("letters")
    frames = [0, 8, 8, 0, 0, 5, 15, 0, 15, 15, 9, 4, 4, 0, 6]
    assert ours.decode(collapse(frames, ours.pad)) == theirs.decode(frames)


def mutated(value: Any, draws: random.Random) -> Any:
    """The same document with one thing in it changed: a value, a key, a length."""
    if isinstance(value, dict) and value and draws.random() < 0.9:
        key = draws.choice(sorted(value))
        if draws.random() < 0.15:
            return {name: inner for name, inner in value.items() if name != key}
        return value | {key: mutated(value[key], draws)}
    if isinstance(value, list) and value and draws.random() < 0.9:
        at = draws.randrange(len(value))
        return [*value[:at], mutated(value[at], draws), *value[at + 1 :]]
    return draws.choice([None, True, -1, 0, 10**12, 1e308, "", "##", "(", "\ud7ff", [], {}, [[]], "BPE", "[UNK]"])


@pytest.mark.parametrize("name", ["word pieces", "RoBERTa's", "GPT's", "T5's", "Llama's"])
def test_a_crafted_file_is_read_or_refused(name: str, made: Any, tmp_path: Path) -> None:
    """Whatever a stranger's tokenizer.json says, nothing but InvalidData comes out of reading and of using it."""
    _, theirs, _ = made(name)
    theirs.save_pretrained(tmp_path)
    document = json.loads((tmp_path / "tokenizer.json").read_text())
    draws, refused, kept = random.Random(0), 0, 0
    for _ in range(120):
        (tmp_path / "tokenizer.json").write_text(json.dumps(mutated(document, draws)))
        try:
            found = read_tokenizer(tmp_path, 10_000)
            assert found is not None
            found.decode(found.encode("a text, <s> [MASK] 日本 \x00", "and another"))
            found.encodings(TEXTS[:8])
            kept += 1
        except InvalidData:
            refused += 1
    assert refused > 10
    assert kept > 0


@pytest.mark.parametrize("name", ["word pieces", "GPT-2's", "letters"])
def test_a_text_of_a_million_characters_is_encoded(name: str, made: Any) -> None:
    ours, _, _ = made(name)
    assert len(ours.encode("AB \n" * 250_000)) > 100_000


def test_letters_that_are_learned_here_are_theirs_too(tmp_path: Path) -> None:
    for upper in (False, True):
        ours = Letters.train(["the cat's house", "zebra"], upper)
        ours.save(tmp_path)
        again, theirs = read_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
        assert again is not None
        assert type(theirs).__name__ == "Wav2Vec2CTCTokenizer"
        assert again.special == ours.special == {"pad": 0, "bos": 1, "eos": 2, "unk": 3}
        for text in ("the cat", "a zebra's house", "what | is q"):
            ids = ours.encode(text)
            assert ids == again.encode(text) == theirs(text)["input_ids"]
            assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False, group_tokens=False)


@pytest.mark.parametrize("name", ["word pieces", "GPT-2's", "T5's", "Llama's"])
def test_one_without_files_of_its_own_is_written_as_one_file(name: str, made: Any, tmp_path: Path) -> None:
    ours, _, _ = made(name)
    Tokenizer(ours._backend, ours.special, ours.side).save(tmp_path, 99)
    again, theirs = read_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again is not None
    assert (again.special, again.side) == (ours.special, ours.side)
    assert again.encode_batch(TEXTS) == ours.encode_batch(TEXTS) == theirs(TEXTS)["input_ids"]
    assert theirs.model_max_length == 99


def sign(content: str, **flags: Any) -> dict[str, Any]:
    """A token as configurations spell it."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"__type": "AddedToken", "content": content} | plain | flags


BRACKETS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NAMED_BRACKETS = {f"{sign.strip('[]').lower()}_token": sign for sign in BRACKETS}
# Configurations as published models have them, of several years.
PUBLISHED: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "BERT's of 2019": (word_pieces, {"do_lower_case": True, "model_max_length": 512}, {}),
    "BERT's of 2021": (
        word_pieces,
        {
            **NAMED_BRACKETS,
            **{"do_lower_case": True, "do_basic_tokenize": True, "never_split": None, "tokenize_chinese_chars": True},
            **{"strip_accents": None, "name_or_path": "x", "special_tokens_map_file": None},
        },
        NAMED_BRACKETS,
    ),
    "DistilBERT's of 2023": (
        word_pieces,
        {
            **NAMED_BRACKETS,
            "tokenizer_class": "DistilBertTokenizer",
            "added_tokens_decoder": {str(i): sign(token, special=True) for i, token in enumerate(BRACKETS)},
            "clean_up_tokenization_spaces": True,
        },
        {},
    ),
    "RoBERTa's": (
        roberta,
        {
            **{"errors": "replace", "trim_offsets": True, "add_prefix_space": False, "model_max_length": 512},
            **{"bos_token": sign("<s>"), "cls_token": sign("<s>"), "mask_token": sign("<mask>", lstrip=True)},
            **{"eos_token": sign("</s>"), "sep_token": sign("</s>"), "pad_token": sign("<pad>")},
        },
        {},
    ),
    "GPT-2's": (
        gpt2,
        {
            **{"add_bos_token": False, "add_prefix_space": False, "errors": "replace", "pad_token": None},
            **{f"{role}_token": sign("<|endoftext|>", normalized=True) for role in ("bos", "eos", "unk")},
        },
        {},
    ),
    "T5's": (t5, {"additional_special_tokens": [f"<extra_id_{i}>" for i in range(5)], "extra_ids": 5}, {}),
    "Llama's": (
        llama,
        {
            **{"add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False, "legacy": False},
            **{"model_max_length": 10**30, "pad_token": None, "padding_side": "right", "sp_model_kwargs": {}},
            **{"spaces_between_special_tokens": False, "use_default_system_prompt": False},
            **{"bos_token": sign("<s>"), "eos_token": sign("</s>"), "unk_token": sign("<unk>")},
        },
        {},
    ),
    "wav2vec 2.0's": (
        letters,
        {"do_lower_case": False, "return_attention_mask": False, "do_normalize": True, "word_delimiter_token": "|"},
        {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_configurations_of_published_models(name: str, tmp_path: Path) -> None:
    maker, config, special = PUBLISHED[name]
    maker(tmp_path, **config)
    if special:
        (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    ours, theirs = read_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ours is not None
    assert (ours.vocab, ours.side) == (len(theirs), theirs.padding_side)
    assert ours.encode_batch(TEXTS) == theirs(TEXTS)["input_ids"]
    for role in ("pad", "bos", "eos", "unk", "cls", "sep", "mask"):
        assert getattr(ours, role) == getattr(theirs, f"{role}_token_id"), role
