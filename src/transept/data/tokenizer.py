"""Text to token ids and back: one face for the vocabularies that are learned here and for those of others."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from tokenizers import Tokenizer as Backend
from tokenizers import normalizers

from transept.data.backend import check_text, guarded
from transept.durable import replace_file
from transept.errors import InvalidData, UsageError

Side = Literal["left", "right"]
ROLES = ("pad", "bos", "eos", "unk", "cls", "sep", "mask")  # what a special token may be for
CHUNK = 4096


@dataclass(frozen=True)
class Encoding:
    """A text or a pair of texts as a model takes it; each list has an entry for every token.

    `segments` are the token types that a model is told (BERT's). `texts` tells which text a token is of, 0 or 1, and
    None for what stands around them; `spans` where in it, the first character and the one behind the last; `words`
    which of its words, as the tokenizer cuts them.
    """

    ids: list[int]
    segments: list[int]
    texts: list[int | None]
    spans: list[tuple[int, int]]
    words: list[int | None]


class Tokenizer:
    """Text to token ids and back, over a tokenizer of the `tokenizers` library.

    `pad`, `bos`, `eos`, `unk`, `cls`, `sep` and `mask` are the ids of the special tokens, None where there is none.
    `side` is where rows are padded. `files` are the files that it was read from: `save` hands them back as they were.
    """

    def __init__(
        self,
        backend: Backend,
        special: Mapping[str, int],
        side: Side = "right",
        files: Mapping[str, bytes] | None = None,
        tidy: bool = False,
    ) -> None:
        self._backend, self._tidy, self.side, self.files = backend, tidy, side, dict(files or {})
        self.special = {role: special[role] for role in ROLES if role in special}
        self.pad, self.bos, self.eos, self.unk, self.cls, self.sep, self.mask = map(self.special.get, ROLES)

    @cached_property
    def vocab(self) -> int:
        """The number of ids, from 0 to the highest that a token has."""
        return max(self._backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @property
    def fingerprint(self) -> str:
        """The sha256 of what it computes, as tokenizer.json has it."""
        return hashlib.sha256(self._json()).hexdigest()

    @cached_property
    def around(self) -> frozenset[int]:
        """The ids of all tokens that are no text: `decode` leaves them out."""
        added = self._backend.get_added_tokens_decoder()
        return frozenset({index for index, token in added.items() if token.special} | set(self.special.values()))

    def lowered(self) -> "Tokenizer":
        """The same for texts that are first brought to small letters; special tokens inside them stay as they are."""
        made, own = copy(self), self._backend.normalizer
        steps = list(cast(Any, own)) if isinstance(own, normalizers.Sequence) else [own] if own else []
        if not any(isinstance(step, normalizers.Lowercase) for step in steps):
            made._backend = Backend.from_str(self._backend.to_str())
            made._backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])
        return made

    def literal(self) -> "Tokenizer":
        """The same for texts in which the signs of special tokens are letters like others: text to learn from."""
        made = copy(self)
        made._backend = Backend.from_str(self._backend.to_str())
        made._backend.encode_special_tokens = True
        return made

    def demand(self, role: str) -> int:
        """The id of a special token. Raises InvalidData where there is none."""
        if role not in self.special:
            has = ", ".join(self.special) or "no special tokens"
            raise InvalidData(f"this model's tokenizer has no {role} token; it has {has}")
        return self.special[role]

    def id_of(self, token: str) -> int | None:
        """The id of a token as the vocabulary spells it, or None."""
        found: int | None = self._backend.token_to_id(token)
        return found

    # -------------------------------------------------------------- to ids

    def encode(self, text: str, other: str | None = None, *, bare: bool = False) -> list[int]:
        """The ids of a text, or of a pair, with what the model has around it; `bare` leaves that away."""
        return self.encode_batch([text], None if other is None else [other], bare=bare)[0]

    def encode_batch(
        self, texts: Sequence[str], others: Sequence[str] | None = None, *, bare: bool = False
    ) -> list[list[int]]:
        """The ids of texts, or of pairs. Raises `InvalidData` for what is no text (half a surrogate pair)."""
        ids: list[list[int]] = []
        for leads, bodies in self._chunks(texts, others):
            with guarded("the text cannot be encoded"):
                made = self._backend.encode_batch_fast(bodies, add_special_tokens=not bare)
            ids += [lead + encoding.ids for lead, encoding in zip(leads, made, strict=True)]
        return ids

    def encodings(self, texts: Sequence[str], others: Sequence[str] | None = None) -> list[Encoding]:
        """Texts, or pairs, with the segment of each token and its place in the text."""
        found: list[Encoding] = []
        for leads, bodies in self._chunks(texts, others):
            with guarded("the text cannot be encoded"):
                made = self._backend.encode_batch(bodies)
            for lead, encoding, body in zip(leads, made, bodies, strict=True):
                nothing: list[int | None] = [None] * len(lead)
                first = len(texts[len(found)]) - len(body if isinstance(body, str) else body[0])
                shift = [first if of == 0 else 0 for of in encoding.sequence_ids]
                spans = [(a + by, b + by) for (a, b), by in zip(encoding.offsets, shift, strict=True)]
                found.append(
                    Encoding(
                        lead + encoding.ids,
                        [0] * len(lead) + encoding.type_ids,
                        nothing + encoding.sequence_ids,
                        [(0, 0)] * len(lead) + spans,
                        nothing + encoding.word_ids,
                    )
                )
        return found

    def _chunks(
        self, texts: Sequence[str], others: Sequence[str] | None
    ) -> Iterator[tuple[list[list[int]], list[Any]]]:
        """Some texts at a time: the ids that come before all else, and what the library is given."""
        if others is not None and len(others) != len(texts):
            raise UsageError(f"{len(texts)} texts and {len(others)} second texts make no pairs")
        for start in range(0, len(texts), CHUNK):
            split = [self._split(text) for text in texts[start : start + CHUNK]]
            bodies: list[Any] = [body for _, body in split]
            check_text(bodies)
            if others is not None:
                seconds = [self._prepared(text) for text in others[start : start + CHUNK]]
                check_text(seconds)
                bodies = list(zip(bodies, seconds, strict=True))
            yield [lead for lead, _ in split], bodies

    def _split(self, text: str) -> tuple[list[int], str]:
        """The ids of what a text begins with and the library is not shown, and the rest of it."""
        return [], self._prepared(text)

    def _prepared(self, text: str) -> str:
        return text

    # -------------------------------------------------------------- to text

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens left out."""
        with guarded("the ids cannot be decoded"):
            text = str(self._backend.decode(list(ids), skip_special_tokens=True))
        return tidied(text) if self._tidy else text

    def shown(self, ids: Sequence[int]) -> str:
        """The text of ids with its special tokens, for a person to see."""
        with guarded("the ids cannot be decoded"):
            return str(self._backend.decode(list(ids), skip_special_tokens=False))

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of rows of ids."""
        return [self.decode(row) for row in rows]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The tokens as the vocabulary spells them. Raises `InvalidData` for an id that it does not have."""
        return [self._token(index) for index in ids]

    def _token(self, index: int) -> str:
        token = self._backend.id_to_token(index)
        if token is None:
            raise InvalidData(f"token id {index} is not in the vocabulary of {self.vocab:,}")
        return token

    # -------------------------------------------------------------- on disk

    def save(self, directory: Path, length: int | None = None) -> None:
        """Write the files that it was read from, byte for byte; one that was made here, as tokenizer.json.

        `length` is the most tokens that the model takes, which is said in files that are made here.
        """
        for name, content in (self.files or self._made(length)).items():
            replace_file(directory / name, content)

    def _made(self, length: int | None) -> dict[str, bytes]:
        """The files of a tokenizer that was made here."""
        names = dict(zip(self.special, self.tokens(list(self.special.values())), strict=True))
        told = self.encodings([""], [""])[0].segments
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **{f"{role}_token": token for role, token in names.items()},
            "clean_up_tokenization_spaces": self._tidy,
            "padding_side": self.side,
            "truncation_side": "right",
            "model_input_names": ["input_ids", *(["token_type_ids"] if any(told) else []), "attention_mask"],
        } | ({} if length is None else {"model_max_length": length})
        if "unk" not in names:
            config["unk_token"] = None  # a reader would take the kind's own for it
        return {"tokenizer.json": self._json(), "tokenizer_config.json": (json.dumps(config, indent=2) + "\n").encode()}

    def _json(self) -> bytes:
        return (str(self._backend.to_str(pretty=True)) + "\n").encode()


def shortened(one: Encoding, longest: int) -> Encoding:
    """The encoding with so many tokens: the last ones of the longer text go, what stands around stays.

    Of two texts the longer one is cut until both are alike, then both are. Where the room is odd the longer keeps one
    more, and the second where both are equally long: Hugging Face's `longest_first`.
    """
    parts = [[at for at, text in enumerate(one.texts) if text == number] for number in (0, 1)]
    room = longest - (len(one.ids) - sum(map(len, parts)))
    if room < 0:
        raise InvalidData(
            f"{longest - room} tokens stand around the text of a row; the model takes {longest}",
            remedy="Take a longer length: data.length, or a model that reads more.",
        )
    shorter, longer = sorted((0, 1), key=lambda number: len(parts[number]))
    least = min(len(parts[shorter]), room // 2)
    keeps = {shorter: least, longer: min(len(parts[longer]), room - least)}
    gone = {at for number, part in enumerate(parts) for at in part[keeps[number] :]}
    return chosen(one, [at for at in range(len(one.ids)) if at not in gone])


def chosen(one: Encoding, tokens: Sequence[int]) -> Encoding:
    """Some tokens of an encoding."""
    return Encoding(
        [one.ids[at] for at in tokens],
        [one.segments[at] for at in tokens],
        [one.texts[at] for at in tokens],
        [one.spans[at] for at in tokens],
        [one.words[at] for at in tokens],
    )


# Hugging Face's clean_up_tokenization_spaces, in this order.
TIDY = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


def tidied(text: str) -> str:
    """English without the spaces that word pieces leave before its signs."""
    for spaced in TIDY:
        text = text.replace(spaced, spaced.strip())
    return text
