"""Byte-pair encoding, learned here and kept as the `tokenizer.json` that everybody's tools read."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend

from transept.data.backend import check_text, guarded
from transept.data.config import SPECIAL, Vocabulary
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidData

END = "</w>"
# What a merge of bytes stays inside: a word with its accents, a number, or other signs, each with one space before it;
# what lies between (more white space) is a piece too.
PIECES = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+"
PIECES_BY_DIGIT = PIECES.replace(r"\p{N}+|", r"\p{N}|")
# Unicode's White_Space, at which "characters" cuts; str.split() would also cut at U+001C to U+001F.
SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


class Subwords(Tokenizer):
    """A vocabulary that was learned here. Ids end with eos; `pad`, `bos`, `eos`, `unk` are 0 to 3, then the tags.

    The signs of control are never read out of a text: a text that holds the letters `<eos>` is encoded as letters.
    Only the tags of `Vocabulary.special` are read whole, and only at the start of a text.
    """

    pad, bos, eos, unk = range(4)

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend, {"pad": 0, "bos": 1, "eos": 2, "unk": 3})
        # A special token inside a text is text; the tags are taken off first, in `_split`.
        backend.encode_special_tokens = True
        added = backend.get_added_tokens_decoder()
        self._tags = {added[index].content: index for index in sorted(added) if index >= len(SPECIAL)}
        self.tags = tuple(self._tags)
        self._leading = _leading(self.tags)

    @classmethod
    def train(cls, lines: Iterable[str], vocabulary: Vocabulary) -> "Subwords":
        """Learn merges from lines (both languages together). The same lines give the same file, byte for byte."""
        return cls(_train(lines, vocabulary))

    @classmethod
    def load(cls, directory: Path, vocab: int | None = None) -> "Subwords":
        """Read a tokenizer that `save` wrote. `vocab` is the number of ids that the model has.

        Raises `InvalidData` where the file is torn, its ids have holes or stand twice, or the model has too few.
        """
        path = directory / "tokenizer.json"
        if not path.is_file():
            remedy = "Was the model saved with its tokenizer? Copy tokenizer.json into the folder."
            raise InvalidData("no such file", where=path, remedy=remedy)
        with guarded("not a tokenizer", path):
            return cls.checked(Backend.from_str(path.read_text(encoding="utf-8")), path, vocab)

    @classmethod
    def checked(cls, backend: Backend, path: Path, vocab: int | None = None) -> "Subwords":
        """The vocabulary that the library read from a file, as `load`."""
        _check(backend, path, vocab)
        return cls(backend)

    def _split(self, text: str) -> tuple[list[int], str]:
        """The ids of the tags that a text begins with, and the rest of it."""
        match = self._leading.match(text) if self.tags else None
        if match is None:
            return [], text
        tags = [self._tags[f"{tag}>"] for tag in "".join(match.group().split()).split(">")[:-1]]
        return tags, text[match.end() :]


def normalise(text: str) -> str:
    """What a vocabulary of characters gives back of a text: its words with one space between."""
    return " ".join(word for word in SPACE.split(text) if word)


def _leading(tags: Sequence[str]) -> re.Pattern[str]:
    """The tags at the start of a text, with the white space around them. A tag ends at its only `>`."""
    return re.compile(rf"\A(?:\s*(?:{'|'.join(map(re.escape, tags))}))+\s*")


def _train(lines: Iterable[str], vocabulary: Vocabulary) -> Backend:
    leading = _leading(vocabulary.special)
    texts = [leading.sub("", line) for line in lines] if vocabulary.special else list(lines)
    if vocabulary.lower:
        texts = [normalizers.Lowercase().normalize_str(text) for text in texts]
    suffix: dict[str, Any] = {"end_of_word_suffix": END} if vocabulary.kind == "characters" else {}
    alphabet = _characters(texts) if suffix else sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL, *vocabulary.special, *alphabet]

    learner = Backend(models.BPE())
    learner.pre_tokenizer = _pre_tokenizer(vocabulary)
    # Naming the alphabet as special tokens fixes its order. Left to itself the trainer numbers `x</w>` in the order of
    # a hash map, and equally frequent pairs, which it settles by number, would merge differently from run to run.
    trainer = trainers.BpeTrainer(
        vocab_size=len(tokens) + vocabulary.merges,
        min_frequency=vocabulary.min_frequency,
        special_tokens=tokens,
        show_progress=False,
        **suffix,
    )
    check_text(texts)
    with guarded("no vocabulary can be learned"):
        learner.train_from_iterator(texts, trainer, length=len(texts))
    pairs = json.loads(learner.to_str())["model"]["merges"][: vocabulary.merges]
    merges = [(left, right) for left, right in pairs]
    # Two merges may make the same token, hence a dict.
    ids = {token: index for index, token in enumerate(dict.fromkeys([*tokens, *map("".join, merges)]))}
    model = models.BPE(ids, merges, unk_token="<unk>", **suffix)
    return _assemble(Backend(model), vocabulary)


def _assemble(backend: Backend, vocabulary: Vocabulary) -> Backend:
    """Everything around the merges: how text is cut, what is added, how it is put together again."""
    if vocabulary.lower:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = _pre_tokenizer(vocabulary)
    backend.decoder = decoders.BPEDecoder(suffix=END) if vocabulary.kind == "characters" else decoders.ByteLevel()
    backend.add_special_tokens(list(SPECIAL))
    backend.add_special_tokens(
        [AddedToken(tag, special=True, normalized=False, lstrip=True, rstrip=True) for tag in vocabulary.special]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="$A <eos>", pair="$A <eos> $B <eos>", special_tokens=[("<eos>", Subwords.eos)]
    )
    return backend


def _pre_tokenizer(vocabulary: Vocabulary) -> Any:
    if vocabulary.kind == "characters":
        return pre_tokenizers.WhitespaceSplit()
    pieces = PIECES_BY_DIGIT if vocabulary.digits == "split" else PIECES
    cut = pre_tokenizers.Split(Regex(pieces), "isolated")
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _characters(texts: Iterable[str]) -> list[str]:
    """Every character inside a word and at a word's end, so that a new word of known characters has no `<unk>`."""
    found: set[str] = set()
    for text in texts:
        if END in text:
            raise InvalidData(
                f"a text holds {END}, which marks the end of a word: '{text[:60]}'",
                remedy="Take it out of the text, or use data.vocabulary.kind=bytes.",
            )
        found.update(text)
    letters = sorted(letter for letter in found if not SPACE.fullmatch(letter))
    return [*letters, *(letter + END for letter in letters)]


def _check(backend: Backend, path: Path, vocab: int | None) -> None:
    ids = backend.get_vocab(with_added_tokens=True)
    if sorted(ids.values()) != list(range(len(ids))):
        raise InvalidData("token ids have holes or stand twice", where=path, remedy="Save the tokenizer again.")
    for index, token in enumerate(SPECIAL):
        if ids.get(token) != index:
            raise InvalidData(f"{token} has id {ids.get(token)}, not {index}", where=path)
    if vocab is not None and len(ids) > vocab:
        raise InvalidData(
            f"{len(ids):,} tokens, but the model has rows for {vocab:,}",
            where=path,
            remedy="Use the tokenizer that the model was trained with.",
        )
    if backend.encode("").ids != [Subwords.eos]:
        raise InvalidData("the post-processor does not end a text with <eos>", where=path)
