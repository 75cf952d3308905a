"""Letters as tokens, with a sign between words: the vocabulary of a model that listens (wav2vec 2.0's)."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from transept.data.tokenizer import Tokenizer


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
        between: str = "|",
        space: str = " ",
        upper: bool = False,
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
        super().__init__(backend, special, files=files)
        self.between, self.space, self.upper = between, space, upper
        self._whole = re.compile("|".join(re.escape(token) for token in ids if len(token) > 1) or "(?!)")

    def _prepared(self, text: str) -> str:
        """The text in capitals, where it is to be: all but the tokens that are found whole in it."""
        if not self.upper:
            return text
        ends = [0, *(at for found in self._whole.finditer(text) for at in found.span()), len(text)]
        pieces = [text[a:b] for a, b in pairwise(ends)]
        return "".join(piece.upper() if i % 2 == 0 else piece for i, piece in enumerate(pieces))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of letters, special tokens left out."""
        letters = [token for index, token in zip(ids, self.tokens(ids), strict=True) if index not in self.around]
        text = "".join(self.space if letter == self.between else letter for letter in letters).strip()
        return text.lower() if self.upper else text
