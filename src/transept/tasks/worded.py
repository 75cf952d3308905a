"""The tokenizer of a run on a table's texts: that of a model that is taken up, one that is there, or a learned one."""

from __future__ import annotations

from collections.abc import Sequence

from transept.data.config import Tokens
from transept.data.config_senses import TextsOfTables
from transept.data.labelled_texts import LabelledTexts
from transept.data.learned import BART, BERT, Signs, learn
from transept.data.tokenizer import Tokenizer
from transept.hub.directory import Stored
from transept.tasks.settings.recipe import Recipe
from transept.tasks.start import called, tokenizer_of
from transept.tasks.texts import tokenizer_at

# The end of a text, behind each, of a model that looks back: the last token has seen all of it (Radford et al. 2018).
ENDED = Signs((("bos eos", "<|endoftext|>"),), frame="end")


def signs_for(kind: str, causal: bool) -> Signs:
    """The special tokens of a vocabulary that is learned for a model."""
    if causal:
        return ENDED
    return BART if kind in ("byte_bpe", "byte") else BERT  # RoBERTa's are BART's


def tokenizer_for(
    recipe: Recipe, how: TextsOfTables, stored: Stored | None, texts: Sequence[str], causal: bool
) -> Tokenizer:
    """What makes texts tokens. Raises InvalidConfig where the model that is taken up has no tokenizer."""
    if stored is not None:
        return tokenizer_of(stored, recipe)
    settings: Tokens = how.tokenizer
    if settings.file is not None:
        return tokenizer_at(settings.file, recipe.where("data.tokenizer.file"))
    return learn(texts, settings, signs_for(settings.kind, causal))


def all_texts(found: LabelledTexts, rows: Sequence[int]) -> list[str]:
    """The texts of some rows, second ones too."""
    return [said[row] for said in (found.texts, found.others) if said is not None for row in rows]


def told_of_rows(lengths: Sequence[int], tokenizer: Tokenizer, recipe: Recipe, how: TextsOfTables) -> str:
    """A line on the rows of training and on their vocabulary."""
    made = f"of {how.tokenizer.file}" if how.tokenizer.file else f"of {how.tokenizer.kind}, learned here"
    made = made if recipe.start is None else f"of {called(recipe.start)}"
    mean = sum(lengths) / len(lengths)
    return f"{mean:.1f} a row, {max(lengths):,} at most; {tokenizer.vocab:,} in the vocabulary {made}"
