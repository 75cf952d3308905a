"""Letters as tokens, with a sign between words: the vocabulary of a model that listens (wav2vec 2.0's)."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from transept.data.backend import check_text
from transept.data.tokenizer import Tokenizer, tidied

BETWEEN = "|"
SIGNS = {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>"}


class Letters(Tokenizer):
    """Every character is a token, `between` stands for a space. `pad` is what a frame without a letter has.

    `upper` writes texts in capitals, and what is decoded in small letters. `decode` takes letters; what a letter for
    each frame spells is `transept.decode.ctc`'s matter.
    """

    def __init__(
        self,
        ids: Mapping[str, int],
        special: Mapping[str, int],
        files: Mapping[str, bytes],
        unknown: str | None,
        between: str = BETWEEN,
        space: str = " ",
        upper: bool = False,
        tidy: bool = False,
    ) -> None:
        backend = Backend(models.WordLevel(dict(ids), unk_token=unknown or "<unk>"))
        backend.normalizer = normalizers.Replace(" ", between)
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        # Tokens of several letters are found whole, with the white space around them.
        names = {token for token, index in ids.items() if index in special.values()}
        backend.add_tokens(
            [
                AddedToken(token, lstrip=True, rstrip=True, normalized=False, special=token in names)
                for token in ids
                if len(token) > 1
            ]
        )
        super().__init__(backend, special, files=files, tidy=tidy)
        self.between, self.space, self.upper = between, space, upper
        self._whole = re.compile("|".join(re.escape(token) for token in ids if len(token) > 1) or "(?!)")

    @classmethod
    def train(cls, lines: Iterable[str], upper: bool = False) -> "Letters":
        """The letters of lines, behind the special tokens and the sign between words; the same lines give the same."""
        texts = [line.upper() if upper else line for line in lines]
        check_text(texts)
        found = sorted({letter for text in texts for letter in text} - {" ", BETWEEN})
        ids = {sign: index for index, sign in enumerate([*SIGNS.values(), BETWEEN, *found])}
        config = {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            **{f"{role}_token": sign for role, sign in SIGNS.items()},
            "word_delimiter_token": BETWEEN,
            "do_lower_case": upper,
        }
        files = {
            name: (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
            for name, content in (("vocab.json", ids), ("tokenizer_config.json", config))
        }
        return cls(ids, {role: ids[sign] for role, sign in SIGNS.items()}, files, SIGNS["unk"], upper=upper)

    def _prepared(self, text: str) -> str:
        """The text in capitals, where it is to be: all but the tokens that are found whole in it."""
        if not self.upper:
            return text
        ends = [0, *(at for found in self._whole.finditer(text) for at in found.span()), len(text)]
        pieces = [text[a:b] for a, b in pairwise(ends)]
        return "".join(piece.upper() if i % 2 == 0 else piece for i, piece in enumerate(pieces))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of letters. Only `pad` is left out: what else a frame was heard as is said, as `<unk>` (theirs)."""
        letters = [token for index, token in zip(ids, self.tokens(ids), strict=True) if index != self.pad]
        text = "".join(self.space if letter == self.between else letter for letter in letters).strip()
        text = text.lower() if self.upper else text
        return tidied(text) if self._tidy else text
