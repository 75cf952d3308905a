"""Vocabularies for running text, learned here: pieces of bytes, of words, unigrams, characters, bytes.

The same texts give the same tokenizer, byte for byte, in every process: a resumed run learns it again. That is why the
alphabet is named to the library's trainer, which else numbers it in the order of a hash map, and why unigrams are
learned by SentencePiece, whose sums have one order.
"""

import importlib
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend

from transept.data.backend import check_text, guarded
from transept.data.config import Tokens
from transept.data.tokenizer import Tokenizer
from transept.data.vocabularies import SPACE
from transept.errors import InvalidConfig, TranseptError

ALPHABET = (
    1000  # characters that word pieces and unigrams are made of; BERT's and SentencePiece's rare ones are unknown
)

# GPT-2's pieces, inside which bytes are merged (Radford et al. 2019, section 2.2, and the released code).
PIECES = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SENTINELS = 100

Frame = Literal["none", "bert", "roberta", "end"]


@dataclass(frozen=True)
class Signs:
    """The special tokens of a vocabulary.

    `first` are those with the lowest ids, in order, by their roles (one may have several: "bos cls"); `last` those with
    the highest. `frame` is what a text is put between.
    """

    first: tuple[tuple[str, str], ...] = ()
    last: tuple[tuple[str, str], ...] = ()
    frame: Frame = "none"

    def words(self) -> list[str]:
        return [word for _, word in (*self.first, *self.last)]

    def with_unknown(self, word: str) -> "Signs":
        """The same with a token for what is not known, where there is none."""
        if any("unk" in roles.split() for roles, _ in self.first):
            return self
        return Signs((*self.first, ("unk", word)), self.last, self.frame)

    def unknown(self) -> str | None:
        return next((word for roles, word in self.first if "unk" in roles.split()), None)


NOTHING = Signs()
END = Signs((("bos eos", "<|endoftext|>"),))  # GPT-2's: between texts, and before the first
BERT = Signs((("pad", "[PAD]"), ("unk", "[UNK]"), ("cls", "[CLS]"), ("sep", "[SEP]"), ("mask", "[MASK]")), frame="bert")
BART = Signs(
    (("bos cls", "<s>"), ("pad", "<pad>"), ("eos sep", "</s>"), ("unk", "<unk>")), (("mask", "<mask>"),), "roberta"
)
T5 = Signs(
    (("pad", "<pad>"), ("eos", "</s>"), ("unk", "<unk>")),
    tuple(("", f"<extra_id_{i}>") for i in reversed(range(SENTINELS))),
    "end",
)


def learn(texts: Sequence[str], settings: Tokens, signs: Signs) -> Tokenizer:
    """The tokenizer that settings ask for, learned on texts.

    Raises `InvalidConfig` where `size` does not hold the special tokens and the alphabet.
    """
    check_text(texts)
    with guarded("no vocabulary can be learned"):
        backend, signs = LEARN[settings.kind](texts, settings, signs)
    words = signs.words()
    backend.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in words])
    ids: dict[str, int] = backend.get_vocab(with_added_tokens=True)
    spelt = {role: word for roles, word in (*signs.first, *signs.last) for role in roles.split()}
    special = {role: ids[word] for role, word in spelt.items()}
    _put_between(backend, signs.frame, spelt, special)
    return Tokenizer(backend, special)


def _put_between(backend: Backend, frame: Frame, words: dict[str, str], special: dict[str, int]) -> None:
    if frame == "none":
        return
    if frame == "roberta":
        first, last = ((words[role], special[role]) for role in ("cls", "sep"))
        backend.post_processor = processors.RobertaProcessing(last, first, trim_offsets=False, add_prefix_space=False)
        return
    if frame == "bert":
        cls, sep = words["cls"], words["sep"]
        single, pair = [f"{cls}:0", "$A:0", f"{sep}:0"], [f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"]
        used = {cls: special["cls"], sep: special["sep"]}
    else:
        end = words["eos"]
        single, pair, used = ["$A", end], ["$A", end, "$B", end], {end: special["eos"]}
    backend.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(used.items()))


Made = tuple[Backend, Signs]


def _bytes_merged(texts: Sequence[str], settings: Tokens, signs: Signs, merged: bool = True) -> Made:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    first, last = [word for _, word in signs.first], [word for _, word in signs.last]
    count = settings.size - len(first) - len(alphabet) - len(last) if merged else 0
    if count < 0:
        raise _too_small(settings, len(first) + len(alphabet) + len(last))
    cut = pre_tokenizers.Split(Regex(PIECES), "isolated")
    cutter = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    merges = _merges(texts, settings, cutter, alphabet, count) if count else []
    tokens = dict.fromkeys([*first, *alphabet, *map("".join, merges), *last])
    backend = Backend(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    if settings.lower:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer, backend.decoder = cutter, decoders.ByteLevel()
    return backend, signs


def _bytes_alone(texts: Sequence[str], settings: Tokens, signs: Signs) -> Made:
    return _bytes_merged(texts, settings, signs, merged=False)


def _merges(
    texts: Sequence[str], settings: Tokens, cutter: Any, alphabet: Sequence[str], count: int, **more: Any
) -> list[tuple[str, str]]:
    """The most frequent merges, in order."""
    learner = Backend(models.BPE(**more))
    if settings.lower:
        learner.normalizer = _lowered(settings)
    learner.pre_tokenizer = cutter
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + count,
        min_frequency=settings.min_frequency,
        special_tokens=list(alphabet),  # which fixes their order, and so how equally frequent pairs are settled
        show_progress=False,
        **more,
    )
    learner.train_from_iterator(texts, trainer, length=len(texts))
    return [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"][:count]]


def _lowered(settings: Tokens) -> Any:
    return _cleaned(settings) if settings.kind == "wordpiece" else normalizers.Lowercase()


def _cleaned(settings: Tokens) -> Any:
    """BERT's: control signs away, room around Chinese characters, and in lower case no accents."""
    return normalizers.BertNormalizer(True, True, None, settings.lower)


def _word_pieces(texts: Sequence[str], settings: Tokens, signs: Signs) -> Made:
    signs = signs.with_unknown("[UNK]")
    first, last = [word for _, word in signs.first], [word for _, word in signs.last]
    clean, cutter = _cleaned(settings), pre_tokenizers.BertPreTokenizer()
    words, spaced = Counter[str](), Counter[str]()
    for text in texts:
        spaced.update(text.split())
    for group, times in spaced.items():  # each once, however often it is written
        for word, _ in cutter.pre_tokenize_str(clean.normalize_str(group)):
            words[word] += times
    inner, begun = Counter[str](), Counter[str]()
    for word, times in words.items():
        begun[word[0]] += times
        for letter in word[1:]:
            inner[letter] += times
    known = sorted(begun + inner, key=lambda letter: (-(begun + inner)[letter], letter))[:ALPHABET]
    alphabet = sorted(letter for letter in known if begun[letter]) + sorted(f"##{x}" for x in known if inner[x])
    count = settings.size - len(first) - len(alphabet) - len(last)
    if count < 0:
        raise _too_small(settings, len(first) + len(alphabet) + len(last))
    held = frozenset(known)
    spelt = [" ".join([word] * times) for word, times in sorted(words.items()) if held.issuperset(word)]
    plain = settings.model_copy(update={"lower": False})  # they are in small letters by now
    split = pre_tokenizers.WhitespaceSplit()
    merges = _merges(spelt, plain, split, alphabet, count, continuing_subword_prefix="##") if count else []
    pieces = [left + right.removeprefix("##") for left, right in merges]
    tokens = dict.fromkeys([*first, *alphabet, *pieces, *last])
    model = models.WordPiece({token: index for index, token in enumerate(tokens)}, unk_token=str(signs.unknown()))
    backend = Backend(model)
    backend.normalizer, backend.pre_tokenizer, backend.decoder = clean, cutter, decoders.WordPiece("##")
    return backend, signs


def _unigrams(texts: Sequence[str], settings: Tokens, signs: Signs) -> Made:
    signs = signs.with_unknown("<unk>")
    first, last = [word for _, word in signs.first], [word for _, word in signs.last]
    try:
        learner = importlib.import_module("sentencepiece")
        buffers = importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    except ImportError:
        raise TranseptError(
            "unigrams are learned by the library sentencepiece, which is not installed",
            remedy="Install it: pip install 'transept[sentencepiece]'. data.tokenizer.kind=byte_bpe needs none.",
        ) from None
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    lines = [line.lower() for line in lines] if settings.lower else lines
    written = io.BytesIO()
    learner.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        model_type="unigram",
        vocab_size=max(settings.size - len(first) - len(last) + 1, 2),
        hard_vocab_limit=False,
        num_threads=1,
        max_sentence_length=1 << 20,
        input_sentence_size=1_000_000,
        shuffle_input_sentence=False,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        minloglevel=2,
    )
    found = buffers.ModelProto()
    found.ParseFromString(written.getvalue())
    pieces = [(piece.piece, piece.score) for piece in found.pieces if piece.type == 1 and piece.piece not in first]
    unknown = first.index(str(signs.unknown()))
    table = [*((word, 0.0) for word in first), *pieces, *((word, 0.0) for word in last)]
    backend = Backend(models.Unigram(table, unknown, False))
    steps: list[Any] = [normalizers.Lowercase()] if settings.lower else []
    if charsmap := found.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(charsmap))
    backend.normalizer = normalizers.Sequence(steps) if steps else None
    spaced = pre_tokenizers.Metaspace(SPACE, "always", True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaced])
    backend.decoder = decoders.Metaspace(SPACE, "always", True)
    return backend, signs


def _characters(texts: Sequence[str], settings: Tokens, signs: Signs) -> Made:
    found: set[str] = set()
    for text in texts:
        found.update(text.lower() if settings.lower else text)
    words = [*(word for _, word in signs.first), *sorted(found), *(word for _, word in signs.last)]
    ids = {word: index for index, word in enumerate(dict.fromkeys(words))}
    backend = Backend(models.WordLevel(ids, unk_token=signs.unknown() or "<unk>"))
    if settings.lower:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return backend, signs


LEARN: dict[str, Callable[[Sequence[str], Tokens, Signs], Made]] = {
    "byte_bpe": _bytes_merged,
    "byte": _bytes_alone,
    "wordpiece": _word_pieces,
    "unigram": _unigrams,
    "character": _characters,
}


def _too_small(settings: Tokens, least: int) -> InvalidConfig:
    return InvalidConfig(
        f"{settings.size:,} tokens do not hold the {least:,} that stand for special tokens and "
        f"for the alphabet of a {settings.kind} vocabulary",
        key="data.tokenizer.size",
        remedy=f"Raise it: data.tokenizer.size={max(2 * least, 1000)}.",
    )
