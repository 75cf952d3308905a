"""What a recipe says of pictures, sounds, and texts with labels: `data:`. Importing this imports nothing heavy."""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from transept.data.config import Tokens

SPOKEN = ("label", "text", "speaker")  # what a file's name may tell of it, and a table's columns


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def changed(self) -> dict[str, object]:
        """What differs from the defaults: the same where a later version has more settings, so that runs go on."""
        return self.model_dump(exclude_defaults=True)


class Columns(_Settings):
    """What a table calls its columns: in its first line, or as the keys of JSON lines. null: found by usual names.

    `other` is the second text of a pair; "" takes none.
    """

    file: str | None = None
    label: str | None = None
    text: str | None = None
    other: str | None = None
    speaker: str | None = None


class Hold(_Settings):
    """What of the training's examples is held out to validate, in one of three ways.

    `last`      so many at the end.
    `share`     this share, drawn by `seed`: of each class as much of it, where there are classes.
    `speakers`  all that these speakers say.
    """

    last: int | None = Field(default=None, ge=1)
    share: float | None = Field(default=None, gt=0, lt=1)
    speakers: list[str] | None = Field(default=None, min_length=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_way(self) -> "Hold":
        if sum(way is not None for way in (self.last, self.share, self.speakers)) != 1:
            raise ValueError("hold says one of last, share and speakers")
        return self


class Splits(_Settings):
    """Where the examples of each split are.

    `dir`       the folder that file names start from; without it they start from where you are.
    `train`, `valid`, `test`  what a task reads.
    `hold`      takes the validation's examples out of `train`, in place of `valid`.
    """

    dir: Path | None = Field(default=None, strict=False)
    train: str | None = None
    valid: str | None = None
    test: str | None = None
    hold: Hold | None = None

    @model_validator(mode="after")
    def _one_validation(self) -> "Splits":
        if self.hold is not None and self.valid is not None:
            raise ValueError(
                "hold takes examples out of train, and valid names others: one of them is enough; "
                "data.valid=null leaves these out, data.hold=null holds out none"
            )
        return self


class FilesData(Splits):
    """Files with what is said of them.

    `train`, `valid`, `test`  a table (.csv, .tsv, .jsonl, .parquet, a name at the hub) whose columns name a file, or
                hold it, and say something of it; a folder, a .zip or a .tar(.gz) with a folder for each class, or with
                a table `metadata.csv` in it; for pictures also an IDX file of images (MNIST's), its labels beside it,
                or a folder of CIFAR-10's binary batches.
    `columns`   what a table calls its columns.
    `head`      the names of all columns, in order, of a CSV or TSV whose first line is a row like others; a table that
                names its columns itself overrules them, which is said.
    `names`     what the files' names say, such as "{label}_{speaker}_{number}", in place of folders and of a table.
    """

    columns: Columns = Columns()
    head: list[str] | None = Field(default=None, min_length=1)
    names: str | None = None

    @model_validator(mode="after")
    def _speaking_names(self) -> "FilesData":
        if self.names is not None and not set(SPOKEN) & set(re.findall(r"\{(\w+)\}", self.names)):
            raise ValueError(f"names {self.names!r} says none of " + ", ".join(f"{{{word}}}" for word in SPOKEN))
        if self.head is not None and len(set(self.head)) != len(self.head):
            raise ValueError(f"head {self.head} names a column twice")
        return self


class Augment(_Settings):
    """How pictures are changed while training, in this order; each time otherwise, by seed, epoch and batch alone.

    `operations`, `magnitude`  RandAugment (Cubuk et al. 2020): so many of turning, shearing, moving, brightness,
                contrast, sharpening, posterising and solarising, each as strong as 0 to 10 says; `among` "geometry" of
                the first three alone.
    `crop`      so many pixels are added at each side, and a picture of the same size cut out anywhere.
    `flip`      "horizontal": every second picture is a mirror image.
    `erase`     of this share a rectangle is made noise (Zhong et al. 2020), a fiftieth to a third of the picture.
    `mixup`     pictures and their classes are mixed with others', by a share from Beta(mixup, mixup) (Zhang et al.
                2018); 0: not.
    """

    operations: int = Field(default=0, ge=0)
    among: Literal["all", "geometry"] = "all"
    magnitude: float = Field(default=5.0, ge=0, le=10)
    crop: int = Field(default=0, ge=0)
    flip: Literal["none", "horizontal"] = "none"
    erase: float = Field(default=0.0, ge=0, le=1)
    mixup: float = Field(default=0.0, ge=0)


class Perturb(_Settings):
    """How sounds are changed while training; each time otherwise, by seed, epoch and batch alone.

    `trim`    what is quieter than a share of the loudest is left out at the beginning, and at the end by another share,
              each up to this: as by a recorder that waits for a voice. Quiet consonants are lost with it.
    `speed`   played faster or slower by up to this share, pitch and all (Ko et al. 2015).
    `tempo`   spoken faster or slower by up to this share, at the same pitch (Verhelst and Roelands 1993).
    `noise`   white noise of up to this share of the sound's own strength is added.
    `shift`   up to so many seconds of silence stand before.
    `tilt`    low tones are made stronger beside high ones, or weaker, as another microphone or mouth would: a sample
              gets up to this share, above 0 or below, of the one before it.
    `bands`   tones are made stronger or weaker by up to so many decibels, some bands more than others, as by another
              room and microphone (Nam et al. 2022).
    """

    trim: float = Field(default=0.0, ge=0, lt=1)
    speed: float = Field(default=0.0, ge=0, lt=1)
    tempo: float = Field(default=0.0, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0)
    shift: float = Field(default=0.0, ge=0)
    tilt: float = Field(default=0.0, ge=0, lt=1)
    bands: float = Field(default=0.0, ge=0, le=60)


class TextsOfTables(_Settings):
    """How texts of a table, or pairs of them, become rows of tokens.

    `tokenizer`  of a run that begins at nothing: a vocabulary that is learned on the training's texts, or one that is
                 there. A model that is taken up has its own.
    `length`     the most tokens of a row, with what stands around its texts; null: as many as the model takes.
    `long`       what becomes of a longer one: "refuse" names its line; "cut" leaves its last tokens out, of a pair the
                 longer text's until both are alike, and says how many were cut.
    `together`   the most texts of a training batch, however short they are; null: as many as `train.batch_tokens`
                 holds.
    """

    tokenizer: Tokens = Tokens(kind="wordpiece", lower=True)
    length: int | None = Field(default=None, ge=4)
    long: Literal["refuse", "cut"] = "refuse"
    together: int | None = Field(default=None, ge=1)


class LabelledData(FilesData, TextsOfTables):
    """Texts, pairs of texts, pictures or sounds with a class each, or a number.

    Of texts a split is a table (.csv, .tsv, .jsonl, .parquet, a name at the hub), whose `columns` are `text`, `label`
    and, of pairs, `other`.

    `classes`     their names, in order; null: those that a table names itself, as Parquet may, else those of the
                  training's examples, sorted. Where labels are numbers they count these names from 0.
    `labels`      so many examples of each class are trained on, or of all where labels are numbers, drawn by
                  `train.seed`: fewer are among more. null: all.
    `mean`, `std` of pictures: what is taken from the values of each channel, which are between 0 and 1, and what they
                  are divided by; null: nothing.
    `rate`        of sounds: samples a second that the model hears; files of other rates are resampled, which is said.
    `augment`, `perturb`  what training changes, of pictures and of sounds.
    """

    classes: list[str] | None = None
    labels: int | None = Field(default=None, ge=1)
    mean: list[float] | None = None
    std: list[float] | None = None
    rate: int = Field(default=16_000, ge=1)
    augment: Augment = Augment()
    perturb: Perturb = Perturb()

    @model_validator(mode="after")
    def _fits(self) -> "LabelledData":
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std come together")
        if self.std and not all(self.std):
            raise ValueError(f"std {self.std} divides, and must not be 0")
        if self.classes is not None and (len(set(self.classes)) != len(self.classes) or len(self.classes) < 2):
            raise ValueError(f"classes {self.classes} must be two or more, each named once")
        return self


class PairsOfTexts(FilesData, TextsOfTables):
    """Pairs of texts with a number each: tables (.csv, .tsv, .jsonl, .parquet, names at the hub) whose `columns` are
    `text`, `other` and `label`.

    `labels`      so many pairs are trained on, drawn by `train.seed`: fewer are among more. null: all.
    """

    labels: int | None = Field(default=None, ge=1)


class TaggedData(Splits, TextsOfTables):
    """Sentences with a tag for each word: CoNLL-U (.conllu), whose tags are UPOS; JSON lines, Parquet or names at
    the hub with two lists; other files with a word a line, first in it, its tag last, and an empty line after each
    sentence.

    `words`, `tags`  the keys or columns that hold the lists; null: found by usual names.
    `classes`     the tags, in order; null: those of the training's words, sorted.
    `labels`      so many sentences are trained on, drawn by `train.seed`: fewer are among more. null: all.
    """

    words: str | None = None
    tags: str | None = None
    classes: list[str] | None = Field(default=None, min_length=2)
    labels: int | None = Field(default=None, ge=1)


class QuestionsData(Splits, TextsOfTables):
    """Questions about texts in which answers stand: SQuAD's JSON, or JSON lines, Parquet or names at the hub with
    `question`, `context` and `answers`.

    A context that is longer than `length` leaves room for is read in windows that overlap.

    `labels`      so many questions are trained on, drawn by `train.seed`: fewer are among more. null: all.
    """

    labels: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _nothing_is_cut(self) -> "QuestionsData":
        if self.long == "cut":
            raise ValueError("long: cut is for texts; a long context is read in windows")
        return self


class SpeechData(FilesData):
    """Sounds, with what is said in each where that is to be learned.

    `rate`     samples a second that the model hears; files of other rates are resampled, which is said.
    `case`     "upper" spells texts in capitals, as the released models do, and gives them back in small letters.
    `spell`    texts that stand for others, such as a digit for its name: {"7": seven}.
    `longest`  seconds; training leaves longer sounds out and says so.
    `perturb`  what training changes.
    """

    rate: int = Field(default=16_000, ge=1)
    case: Literal["kept", "upper"] = "kept"
    spell: dict[str, str] = {}
    longest: float = Field(default=20.0, gt=0)
    perturb: Perturb = Perturb()


class SpokenData(SpeechData):
    """Sounds with what is said in them.

    `labels`   so many of them are trained on, drawn by `train.seed`, as evenly over their texts as they go: fewer are
               among more. null: all.
    """

    labels: int | None = Field(default=None, ge=1)
