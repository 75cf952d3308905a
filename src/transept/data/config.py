"""What a recipe says of its data: the files, the vocabulary, the limits. Importing this imports no torch."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "valid", "test"]

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")


def _entry(value: str | list[str] | None) -> str | list[str] | None:
    if isinstance(value, list) and len(value) != 2:
        raise ValueError(f"two files are needed, the source and the target, not {len(value)}")
    if value is not None and not all(value if isinstance(value, list) else [value]):
        raise ValueError("a file name is empty")
    return value


def _tags(tags: list[str]) -> list[str]:
    for tag in tags:
        if not re.fullmatch(r"<[^\s<>]+>", tag):
            raise ValueError(f"the tag {tag!r} must look like <2de>: a word without spaces between < and >")
        if tag in SPECIAL:
            raise ValueError(f"the tag {tag!r} has a meaning already")
    if len(set(tags)) != len(tags):
        raise ValueError("a tag is named twice")
    return tags


Entry = Annotated[str | list[str] | None, AfterValidator(_entry)]


class Vocabulary(BaseModel):
    """How text becomes tokens: byte-pair encoding (Sennrich et al. 2016), learned on both languages together.

    `kind`     "characters" cuts at white space and marks the last character of a word with `</w>`; white space comes
               back as single spaces. "bytes" works on UTF-8 bytes and gives every text back exactly.
    `merges`   how many merges are learned; the vocabulary is 4 special tokens, the tags, the alphabet and these.
    `lower`    lower-case first.
    `min_frequency`  a pair of tokens seen less often is not merged.
    `digits`   "split" keeps each digit a token of its own, so that numbers never seen are read like the others.
    `special`  tags that stay whole at the start of a text, such as `<2de>`.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    kind: Literal["characters", "bytes"] = "characters"
    merges: int = Field(default=10_000, ge=0)
    lower: bool = False
    min_frequency: int = Field(default=2, ge=1)
    digits: Literal["free", "split"] = "free"
    special: Annotated[list[str], AfterValidator(_tags)] = []

    @model_validator(mode="after")
    def _digits_need_bytes(self) -> "Vocabulary":
        if self.kind == "characters" and self.digits == "split":
            raise ValueError("digits: split is for kind: bytes; a cut inside a word would look like the word's end")
        return self


class PairsData(BaseModel):
    """Aligned text: which files hold it and how much of it is used.

    `dir`               the folder that file names start from; without it they start from where you are.
    `source`, `target`  the languages: file-name endings, keys of JSON lines, names in a TSV's first line.
    `train`, `valid`, `test`  a prefix (`train.tok` stands for `train.tok.de` and `train.tok.en`), one file of TSV,
                        JSON lines or Parquet, a name at the hub, or two files; `.gz` is found by itself.
    `empty`             what becomes of a pair with an empty side: "refuse" stops and names its line, since often one
                        file has lost a line there; "drop" leaves it out and counts it.
    `max_length`        the most tokens on a side, the end token counted; training leaves longer pairs out and says so.
    `max_ratio`         how many times longer, in tokens, one side of a training pair may be; null: any.
    `cache`             a folder for token caches; null: none is written.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dir: Path | None = Field(default=None, strict=False)
    source: str = ""
    target: str = ""
    train: Entry = None
    valid: Entry = None
    test: Entry = None
    vocabulary: Vocabulary = Vocabulary()
    empty: Literal["refuse", "drop"] = "refuse"
    max_length: int = Field(default=256, ge=1)
    max_ratio: float | None = Field(default=None, ge=1.0)
    cache: Path | None = Field(default=None, strict=False)

    def entry(self, split: Split) -> str | list[str] | None:
        """What the recipe names for a split."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[split]


class Grid(BaseModel):
    """Pictures of handwritten digits on a grid, which are made as they are asked for, and always the same.

    `side`             the cells of the grid from top to bottom, and from left to right.
    `cell`             the side of a cell in pixels: 14 at the least; from 28 on, digits have all of their 28 pixels.
    `least`, `most`    how many digits there are on a picture.
    `train`, `valid`, `test`  how many pictures a split has. No digit is on pictures of two splits.
    `seed`             of the pictures.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    side: int = Field(default=4, ge=1)
    cell: int = Field(default=16, ge=14)
    least: int = Field(default=2, ge=1)
    most: int = Field(default=4, ge=1)
    train: int = Field(default=60_000, ge=1)
    valid: int = Field(default=1000, ge=1)
    test: int = Field(default=1000, ge=1)
    seed: int = Field(default=2015, ge=0)

    @model_validator(mode="after")
    def _has_room(self) -> "Grid":
        if not self.least <= self.most <= self.side**2:
            raise ValueError(
                f"least {self.least} and most {self.most} digits must rise, and fit into {self.side**2} cells"
            )
        return self


class CaptionsData(BaseModel):
    """Pictures with texts that describe them.

    `dir`       the folder that file names start from; without it they start from where you are.
    `train`, `valid`, `test`  a table: in each line a picture's file name, a TAB and a text, or JSON lines with the keys
                `file` and `text`. The names start from the folder of the table. A picture may stand in several lines.
    `grid`      makes the pictures in place of tables, of the handwritten digits in `dir` (MNIST's IDX files).
    `mean`, `std`  what is taken from the values of each channel, which are between 0 and 1, and what they are divided
                by; null: nothing.
    `max_length`  the most tokens of a text, the end token counted; training leaves longer ones out and says so.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dir: Path | None = Field(default=None, strict=False)
    train: str | None = None
    valid: str | None = None
    test: str | None = None
    grid: Grid | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    vocabulary: Vocabulary = Vocabulary()
    max_length: int = Field(default=64, ge=1)

    @model_validator(mode="after")
    def _one_source(self) -> "CaptionsData":
        if self.grid and (named := [split for split in ("train", "valid", "test") if getattr(self, split)]):
            raise ValueError(f"grid makes the pictures, and {named[0]} names a table: one of them is enough")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std come together")
        if self.std and not all(self.std):
            raise ValueError(f"std {self.std} divides, and must not be 0")
        return self


class SequencesData(BaseModel):
    """Sequences of random bits that an algorithm answers, made as they are asked for, and always the same.

    `kind`      "copy": the sequence again. "repeat_copy": the sequence as often as a number says that is given with it,
                and a mark of the end. "recall": of several items, the one that follows the item that is shown again.
    `bits`      of a vector.
    `least`, `most`  how many vectors a sequence has in training; of "recall", how many items.
    `repeats`   of "repeat_copy", the most.
    `item`      of "recall", the vectors of an item.
    `batches`   in an epoch of training, each of sequences of one length.
    `rows`      the most sequences of a batch, whatever train.batch_tokens would hold.
    `valid`     sequences of each length in the validation split, and in the test split, which measures `lengths`.
    `lengths`   what else is measured at every validation, as lengths that training may never see.
    `seed`      of the sequences.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    kind: Literal["copy", "repeat_copy", "recall"] = "copy"
    bits: int = Field(default=8, ge=1)
    least: int = Field(default=1, ge=1)
    most: int = Field(default=20, ge=1)
    repeats: int = Field(default=10, ge=1)
    item: int = Field(default=3, ge=1)
    batches: int = Field(default=500, ge=1)
    rows: int = Field(default=16, ge=1)
    valid: int = Field(default=20, ge=1)
    lengths: list[Annotated[int, Field(ge=1)]] = []
    seed: int = Field(default=2014, ge=0)

    @model_validator(mode="after")
    def _rises(self) -> "SequencesData":
        if self.least > self.most:
            raise ValueError(f"least {self.least} is above most {self.most}")
        if self.kind == "recall" and min([self.least, *self.lengths]) < 2:
            raise ValueError("recall needs 2 items: the one that is shown, and the one that follows it")
        if len(set(self.lengths)) < len(self.lengths):
            raise ValueError(f"lengths {self.lengths} name one twice")
        return self


def _files(value: str | list[str] | None) -> str | list[str] | None:
    if value is not None and (not value or not all(value if isinstance(value, list) else [value])):
        raise ValueError("a file name is empty")
    return value


TextEntry = Annotated[str | list[str] | None, AfterValidator(_files)]


class Tokens(BaseModel):
    """How running text becomes tokens: a vocabulary that is learned on the training text, or one that is there.

    `kind`     "byte_bpe" merges bytes inside words with the space before them (GPT-2), and gives every text back as it
               was; "wordpiece" cuts words at the longest known pieces (BERT); "unigram" takes the likeliest pieces
               (T5), and needs the library sentencepiece; "character" and "byte" have a token for each.
    `size`     the most tokens, special ones counted; characters and bytes are as many as they are.
    `lower`    lower-case first; of "wordpiece" accents fall too.
    `min_frequency`  what is seen less often is not merged ("byte_bpe", "wordpiece").
    `file`     a tokenizer to take instead: a model directory, or the folder of a tokenizer.json.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    kind: Literal["byte_bpe", "wordpiece", "unigram", "character", "byte"] = "byte_bpe"
    size: int = Field(default=8000, ge=1)
    lower: bool = False
    min_frequency: int = Field(default=2, ge=1)
    file: Path | None = Field(default=None, strict=False)


class TextsData(BaseModel):
    """Texts without labels: which files hold them, and how they are laid into rows.

    `dir`       the folder that file names start from; without it they start from where you are.
    `train`, `valid`, `test`  a file or several; `.gz` is found by itself. Plain text, JSON lines, or a CSV or TSV with
                the names of its columns in the first line, told by the file's name, else by its first line; Parquet, or
                a name at the hub (hub:OWNER/NAME).
    `hold_out`  without `valid`: the share of the training text, its end, that is kept back to validate on.
    `column`    the key of JSON lines, or the column of a table, that holds the text. A row is a document.
    `documents` what a document is in plain text: the "whole" file, lines up to a "blank" one, each "line", or an
                "article" that a line `= Title =` begins (WikiText). A whole file has no end that a model learns.
    `empty`     what becomes of an empty line or row where each is a document: "refuse" names it, "drop" counts it.
    `length`    tokens of a row.
    `rows`      how documents become rows: "windows" cut the text end to end, each epoch from another place; "packed"
                puts documents beside each other that do not see each other; "padded" has one document a row. A document
                that is longer than a row becomes several. "segments" are windows that follow each other: the text runs
                in as many streams as a batch has rows, or fewer, so that a stream has eight segments; what a model
                carries goes from batch to batch.
    `cache`     a folder for token caches; null: none is written.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dir: Path | None = Field(default=None, strict=False)
    train: TextEntry = None
    valid: TextEntry = None
    test: TextEntry = None
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    column: str = Field(default="text", min_length=1)
    documents: Literal["whole", "blank", "line", "article"] = "blank"
    empty: Literal["refuse", "drop"] = "refuse"
    tokenizer: Tokens = Tokens()
    length: int = Field(default=128, ge=4)
    rows: Literal["windows", "packed", "padded", "segments"] = "windows"
    cache: Path | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _one_validation(self) -> "TextsData":
        if self.hold_out and self.valid is not None:
            raise ValueError(
                "hold_out keeps training text back, and valid names files: one of them is enough; "
                "data.valid=null leaves the files out, data.hold_out=0 keeps nothing back"
            )
        return self

    def entry(self, split: Split) -> str | list[str] | None:
        """What the recipe names for a split."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[split]
