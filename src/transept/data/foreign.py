"""The tokenizers of others, and the one way to read whatever a model directory has.

`tokenizer.json` is taken as it is. Where there is none, a tokenizer is made of the older files: `vocab.txt` (word
pieces), `vocab.json` and `merges.txt` (byte pairs), `spiece.model` or `tokenizer.model` (SentencePiece), `vocab.json`
alone (letters).
"""

from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer as Backend
from tokenizers import normalizers, processors

from transept.data.backend import guarded
from transept.data.config import SPECIAL
from transept.data.letters import Letters
from transept.data.said import ADDED, CONFIG, FILES, JSON, LEFT, NAMES, Said
from transept.data.subwords import Subwords
from transept.data.tokenizer import Tokenizer
from transept.data.vocabularies import MAKERS
from transept.errors import InvalidData


class Unread(InvalidData):
    """The files are of a tokenizer that is not known here; nothing is wrong with them."""


BESIDE = {CONFIG, NAMES, ADDED, "chat_template.jinja"}  # files that alone are no tokenizer


def read_tokenizer(directory: Path, vocab: int | None = None, kind: str | None = None) -> Tokenizer | None:
    """The tokenizer of a model directory, whoever made it; None where there are no files of one.

    `vocab` is the number of ids that the model has, `kind` the model_type of its configuration. Raises InvalidData with
    the file and the reason where the files cannot be read, or ask for what is not done here.
    """
    files = {name: (directory / name).read_bytes() for name in FILES if (directory / name).is_file()}
    if not set(files) - BESIDE:
        return None
    said = Said(directory, files, kind)
    backend = _whole(directory / JSON, files[JSON]) if JSON in files else None
    if backend is not None and is_own(backend):
        return Subwords.checked(backend, directory / JSON, vocab)
    tokenizer = _letters(said) if backend is None and said.kind == "letters" else _words(said, backend)
    if vocab is not None and tokenizer.vocab > vocab:
        raise InvalidData(
            f"{tokenizer.vocab:,} tokens, but the model has rows for {vocab:,}",
            where=directory / (JSON if JSON in files else ""),
            remedy="Use the tokenizer that the model was trained with.",
        )
    return tokenizer


def is_own(backend: Backend) -> bool:
    """Whether a tokenizer begins with the four special tokens of a vocabulary that was learned here."""
    return [backend.id_to_token(index) for index in range(len(SPECIAL))] == list(SPECIAL)


def _whole(path: Path, content: bytes) -> Backend:
    with guarded("not a tokenizer", path):
        return Backend.from_str(content.decode("utf-8"))


def _words(said: Said, backend: Backend | None) -> Tokenizer:
    backend = _older(said) if backend is None else _with(said, backend)
    backend.no_truncation()  # a file may ask for it, and nothing is cut in silence
    backend.no_padding()
    backend.encode_special_tokens = bool(said.truth("split_special_tokens", False))
    for number, entry in said.numbered().items():
        if (found := backend.token_to_id(entry["content"])) != number:
            raise said.refuse(f"{entry['content']} has the id {number}, and the vocabulary gives it {found}")
    ids = {role: index for role, sign in said.special().items() if (index := backend.token_to_id(sign)) is not None}
    tidy = bool(said.truth("clean_up_tokenization_spaces", False)) and type(backend.model).__name__ != "BPE"
    side: Literal["left", "right"] = "left" if said.kind in LEFT else "right"
    if "padding_side" in said.config:
        said.only("padding_side", "left", "right")
        side = "left" if said.config["padding_side"] == "left" else "right"
    return Tokenizer(backend, ids, side, said.files, tidy)


def _with(said: Said, backend: Backend) -> Backend:
    """A tokenizer.json with what its configuration adds to it."""
    with guarded("not a tokenizer", said.directory / JSON):
        _agree(said, backend.normalizer)
        known = {token.content for token in backend.get_added_tokens_decoder().values()}
        backend.add_tokens([token for token in said.tokens(defaults=False) if token.content not in known])
        _ends(said, backend)
    return backend


def _agree(said: Said, normalizer: Any) -> None:
    """Refuse a normaliser that is not the one which the configuration speaks of: Hugging Face goes by the latter."""
    if not isinstance(normalizer, normalizers.BertNormalizer):
        return
    for key, theirs in (
        ("do_lower_case", "lowercase"),
        ("strip_accents", "strip_accents"),
        ("tokenize_chinese_chars", "handle_chinese_chars"),
    ):
        found = getattr(normalizer, theirs)
        if key in said.config and said.config[key] != found:
            raise said.refuse(f"{key} is {said.config[key]}, and {JSON} has {theirs}: {found}")


def _older(said: Said) -> Backend:
    if said.kind is None or said.kind not in MAKERS:
        raise Unread(
            f"tokenizer_class is {said.config.get('tokenizer_class')!r}, and without {JSON} Transept reads the"
            " vocabularies of BERT, DistilBERT, RoBERTa, BART, GPT, GPT-2, T5, Llama and wav2vec 2.0",
            where=said.directory,
        )
    with guarded("the vocabulary cannot be read", said.directory):
        backend = MAKERS[said.kind](said)
        backend.add_tokens(said.tokens(defaults=True))
        _ends(said, backend)
    said.done()
    return backend


def _ends(said: Said, backend: Backend) -> None:
    """What add_bos_token and add_eos_token put around a text, where the configuration has them."""
    asked = {key for key in ("add_bos_token", "add_eos_token") if key in said.config}
    bare = said.kind == "llama" and backend.post_processor is None  # theirs begins with bos unless it is told otherwise
    if said.kind not in ("llama", "gpt2", None) or not (asked or bare):
        return
    begin, end = said.truth("add_bos_token", bare), said.truth("add_eos_token", False)
    first = said.special().get("bos") if begin else None
    last = said.special().get("eos") if end else None

    def around(text: str, of: int) -> list[str]:
        return [f"{piece}:{of}" for piece in (first, text, last) if piece]

    signs = [(sign, backend.token_to_id(sign)) for sign in {first, last} if sign]
    backend.post_processor = processors.TemplateProcessing(
        single=around("$A", 0), pair=around("$A", 0) + around("$B", 1), special_tokens=signs
    )


def _letters(said: Said) -> Tokenizer:
    ids: Any = said.table("vocab.json")
    language = said.config.get("target_lang")
    if language is not None:
        ids = ids.get(language)
    ids = said.ids("vocab.json", ids)
    special = said.special()
    made = Letters(
        ids,
        {role: ids[token] for role, token in special.items() if token in ids},
        said.files,
        special.get("unk"),
        said.word("word_delimiter_token", "|"),
        said.word("replace_word_delimiter_char", " "),
        bool(said.truth("do_lower_case", False)),
        bool(said.truth("clean_up_tokenization_spaces", False)),
    )
    said.only("target_lang", language)
    said.done()
    return made
