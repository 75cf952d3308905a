"""Tokenizers made of the older files of a vocabulary, as Hugging Face makes them."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from transept.data.said import PIECES, Said
from transept.errors import InvalidData, TranseptError

SPACE = "\u2581"  # SentencePiece's sign for a space
UNIGRAM, BPE = 1, 2  # SentencePiece's numbers for its models
CONTROL, OWN = 3, 4  # its kinds of pieces that are found whole

LONGEST_PIECE = 1024  # characters; every way to part a piece is looked at
SENTINELS = 10_000  # of a T5; more are no vocabulary, and would fill the memory


def word_pieces(said: Said) -> Backend:
    """BERT's: text is cleaned, cut at white space and signs, and words at the longest known pieces."""
    with _file(said, "vocab.txt").open(encoding="utf-8") as file:
        ids = {line.rstrip("\n"): index for index, line in enumerate(file)}
    missing = [sign for sign in map(said.sign, ("unk", "cls", "sep")) if sign not in ids]
    if missing:
        raise said.refuse(f"{', '.join(missing)} is missing", "vocab.txt")
    said.only("do_basic_tokenize", True)
    said.only("never_split", None, [])
    said.only("wordpieces_prefix", "##")
    backend = Backend(models.WordPiece(ids, unk_token=said.sign("unk")))
    chinese, lower = said.truth("tokenize_chinese_chars", True), said.truth("do_lower_case", True)
    backend.normalizer = normalizers.BertNormalizer(True, bool(chinese), said.truth("strip_accents", None), bool(lower))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece("##")
    cls, sep = said.sign("cls"), said.sign("sep")
    backend.post_processor = processors.TemplateProcessing(
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=[(cls, ids[cls]), (sep, ids[sep])],
    )
    return backend


def gpt2(said: Said) -> Backend:
    """Byte pairs inside words with the space before them (Radford et al. 2019, section 2.2)."""
    ids, merges = _pairs(said)
    backend = Backend(models.BPE(ids, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(bool(said.truth("add_prefix_space", False)))
    backend.decoder = decoders.ByteLevel()
    return backend


def roberta(said: Said) -> Backend:
    """GPT-2's between <s> and </s>; a pair has two </s> in the middle."""
    backend = gpt2(said)
    cls, sep = said.sign("cls"), said.sign("sep")
    first, last = backend.token_to_id(cls), backend.token_to_id(sep)
    if first is None or last is None:
        raise said.refuse(f"{cls} or {sep} is missing", "vocab.json")
    trim, prefix = bool(said.truth("trim_offsets", True)), bool(said.truth("add_prefix_space", False))
    backend.post_processor = processors.RobertaProcessing((sep, last), (cls, first), trim, prefix)
    return backend


def openai(said: Said) -> Backend:
    """GPT's: pairs of small letters inside words, whose last one is marked `</w>` (Radford et al. 2018)."""
    ids, merges = _pairs(said)
    said.only("do_lower_case", True)
    backend = Backend(
        models.BPE(ids, merges, unk_token=said.sign("unk"), continuing_subword_prefix="", end_of_word_suffix="</w>")
    )
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.BPEDecoder("</w>")
    return backend


def t5(said: Said) -> Backend:
    """SentencePiece's unigrams (Kudo 2018), the sentinels of T5 behind them, and </s> at the end of a text."""
    model = _sentencepiece(said)
    if model.trainer_spec.model_type != UNIGRAM:
        raise said.refuse("the vocabulary of a T5 is one of unigrams", _piece_file(said).name)
    count = said.config.get("extra_ids", 100)
    if type(count) is not int or not 0 <= count <= SENTINELS:
        raise said.refuse(f"extra_ids must be a whole number up to {SENTINELS:,}, not {count!r:.40}")
    said.read_keys |= {"extra_ids", "sp_model_kwargs", "legacy", "add_prefix_space"}
    said.only("sp_model_kwargs", {}, None)
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    pieces += [(f"<extra_id_{i}>", 0.0) for i in reversed(range(count))]
    backend = Backend(models.Unigram(pieces, model.trainer_spec.unk_id, False))
    if charsmap := model.normalizer_spec.precompiled_charsmap:
        backend.normalizer = normalizers.Precompiled(charsmap)
    spaced = pre_tokenizers.Metaspace(SPACE, "always", True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaced])
    backend.decoder = decoders.Metaspace(SPACE, "always", True)
    end = said.sign("eos")
    backend.post_processor = processors.TemplateProcessing(
        single=["$A", end], pair=["$A", end, "$B", end], special_tokens=[(end, backend.token_to_id(end))]
    )
    backend.add_special_tokens([f"<extra_id_{i}>" for i in range(count)])
    return backend


def llama(said: Said) -> Backend:
    """SentencePiece's byte pairs, unknown characters as bytes."""
    model = _sentencepiece(said)
    if model.trainer_spec.model_type != BPE:
        raise said.refuse("the vocabulary of a Llama is one of byte pairs", _piece_file(said).name)
    said.read_keys.add("sp_model_kwargs")
    said.only("sp_model_kwargs", {}, None)
    ids = {piece.piece: index for index, piece in enumerate(model.pieces)}
    if (longest := max(map(len, ids))) > LONGEST_PIECE:
        raise said.refuse(
            f"a piece of {longest:,} characters; Transept reads pieces of up to {LONGEST_PIECE:,}",
            _piece_file(said).name,
            "Take the tokenizer that the model was trained with.",
        )
    backend = Backend(models.BPE(ids, _merges(ids), fuse_unk=True, byte_fallback=True))
    prefix = said.truth("add_prefix_space", True)
    scheme = "never" if not prefix else "always" if said.truth("legacy", False) else "first"
    backend.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, scheme, False)
    steps: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    return backend


MAKERS: dict[str, Callable[[Said], Backend]] = {
    "word pieces": word_pieces,
    "gpt2": gpt2,
    "roberta": roberta,
    "openai": openai,
    "t5": t5,
    "llama": llama,
}


def _file(said: Said, name: str) -> Path:
    if name not in said.files:
        has = ", ".join(said.files)
        raise InvalidData(f"{name} is missing, with the vocabulary of the tokenizer", where=said.directory, remedy=has)
    return said.directory / name


def _pairs(said: Said) -> tuple[dict[str, int], list[tuple[str, str]]]:
    vocab, merges = _file(said, "vocab.json"), _file(said, "merges.txt")
    said.ids("vocab.json", said.table("vocab.json"))  # the library takes an id for the rest of it by 2^32
    ids, pairs = models.BPE.read_file(str(vocab), str(merges))
    return ids, pairs


def _merges(ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """The merges of a SentencePiece vocabulary: every way to part a piece into two pieces, the earliest piece first."""
    found = []
    for piece, index in ids.items():
        parts = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        found += [(index, len(a), len(b), a, b) for a, b in parts if a in ids and b in ids]
    return [(a, b) for *_, a, b in sorted(found, key=lambda one: one[:3])]


def _piece_file(said: Said) -> Path:
    return _file(said, next((name for name in PIECES if name in said.files), PIECES[0]))


def _sentencepiece(said: Said) -> Any:
    """The content of a SentencePiece model, which is a protocol buffer."""
    path = _piece_file(said)
    try:
        buffers = importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    except ImportError:
        raise TranseptError(
            f"{path.name} is read with the library sentencepiece, which is not installed",
            where=path,
            remedy="Install it: pip install 'transept[sentencepiece]'. With a tokenizer.json it is not needed.",
        ) from None
    model = buffers.ModelProto()
    try:
        model.ParseFromString(said.files[path.name])
    except Exception as error:  # the library's own kinds of errors
        raise InvalidData(f"not a SentencePiece model: {error}", where=path) from None
    if not model.pieces:
        raise InvalidData("a SentencePiece model without pieces", where=path)
    return model
