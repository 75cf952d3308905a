"""What a recipe says of tables whose rows are put into words. Importing this imports no torch."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from transept.data.config import Split, Tokens
from transept.data.templates import Template

Measure = Literal["accuracy", "mcc", "pearson", "spearman", "rouge1", "rouge2", "rougeL", "bleu", "chrf", "exact_match"]
OF_CHOICES: tuple[Measure, ...] = ("accuracy", "mcc")
OF_NUMBERS: tuple[Measure, ...] = ("pearson", "spearman")
OF_TEXTS: tuple[Measure, ...] = ("bleu", "chrf", "exact_match", "rouge1", "rouge2", "rougeL")


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _template(text: str) -> str:
    Template(text)
    return text


class Numbers(_Settings):
    """Answers that are numbers from `least` to `most`, written as the nearest multiple of `step` (Raffel et al. 2020,
    section 2.4: STS-B's similarities are 21 texts from "1.0" to "5.0", which a model writes as it writes words)."""

    step: float = Field(default=0.2, gt=0)
    least: float = 0.0
    most: float = 5.0

    @model_validator(mode="after")
    def _rises(self) -> "Numbers":
        if self.least >= self.most:
            raise ValueError(f"least {self.least:g} must be below most {self.most:g}")
        return self

    def write(self, number: float) -> str:
        """The nearest multiple of the step as text, with as many decimals as the step has and one at the least."""
        decimals = max(len(f"{self.step:g}".partition(".")[2]), 1)
        return f"{round(number / self.step) * self.step:.{decimals}f}"

    def read(self, text: str) -> float | None:
        """The number that a text is; None where it is none, or not between `least` and `most`."""
        if not re.fullmatch(r"-?\d+(\.\d+)?", text.strip(), re.ASCII):
            return None
        number = float(text)
        return number if self.least <= number <= self.most else None


class PromptedTable(_Settings):
    """A table whose rows are a task: a source in words, and an answer.

    `train`, `valid`, `test`  its files: CSV, TSV, JSON lines or Parquet, or names at the hub; `.gz` is found by itself.
    `head`      the names of the columns, where the first line of CSV or TSV names none.
    `source`    what the model reads, with columns in braces: "cola sentence: {sentence}". Several texts in a column are
                joined by spaces.
    `answer`    the column with what it is to write. A list of texts in it are several right ones: each is trained on,
                and ROUGE and BLEU know them all.
    `choices`   the words that stand for classes: an answer is one of them, or counts them from 0.
    `numbers`   makes the answers numbers; without either they are texts.
    `measure`   what counts of it: by default accuracy of choices, pearson of numbers, bleu of texts.
    """

    train: str | None = None
    valid: str | None = None
    test: str | None = None
    head: list[str] = []
    source: Annotated[str, AfterValidator(_template)]
    answer: str = Field(min_length=1)
    choices: list[Annotated[str, Field(min_length=1)]] | None = None
    numbers: Numbers | None = None
    measure: Measure | None = None

    @model_validator(mode="after")
    def _one_kind_of_answer(self) -> "PromptedTable":
        if self.choices is not None and self.numbers is not None:
            raise ValueError("choices and numbers are two kinds of answers: one of them is enough")
        if self.choices is not None and (len(set(self.choices)) != len(self.choices) or len(self.choices) < 2):
            raise ValueError(f"choices {self.choices} must be two or more, each named once")
        if any(choice != choice.strip() for choice in self.choices or ()):
            raise ValueError(f"choices {self.choices}: one begins or ends with white space, which no answer keeps")
        if self.measure is not None and self.measure not in self.measures:
            kind = "choices" if self.choices else "numbers" if self.numbers else "texts"
            raise ValueError(f"measure {self.measure} is none of {kind}, which have {', '.join(self.measures)}")
        if len(set(self.head)) != len(self.head):
            raise ValueError(f"head {self.head} names a column twice")
        return self

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What may be measured of its answers."""
        return OF_CHOICES if self.choices else OF_NUMBERS if self.numbers else OF_TEXTS

    @property
    def main(self) -> Measure:
        """The measure that counts."""
        return self.measure or self.measures[0]

    def entry(self, split: Split) -> str | None:
        """The file of a split."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[split]


def _names(tables: dict[str, PromptedTable | None]) -> dict[str, PromptedTable | None]:
    for name in tables:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"the table {name!r} must be called by small letters, digits and _")
    if not any(tables.values()):
        raise ValueError("there is no table: name one at least")
    return tables


class TablesData(_Settings):
    """Tables, each a task of its own, which one model learns at once.

    `dir`        the folder that file names start from; without it they start from where you are.
    `tables`     by their names; null leaves one out.
    `tokenizer`  how text becomes tokens.
    `limit`      the most rows of a table that an epoch takes; null: all (K of Raffel et al. 2020, section 3.5.2).
    `temperature`  above 1 small tables are read more often: a table's share is its number of rows, `limit` at the most,
                 to the power 1/temperature.
    `max_length` the most tokens on a side, with what stands around them.
    `long`       what becomes of a source with more: "drop" leaves it out of training, and refuses it where it is
                 measured; "cut" leaves its last tokens out. Both are said. An answer is never cut.
    `cache`      a folder for token caches; null: none is written.
    """

    dir: Path | None = Field(default=None, strict=False)
    tables: Annotated[dict[str, PromptedTable | None], AfterValidator(_names)]
    tokenizer: Tokens = Tokens()
    limit: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, ge=1.0)
    max_length: int = Field(default=256, ge=4)
    long: Literal["drop", "cut"] = "drop"
    cache: Path | None = Field(default=None, strict=False)

    @property
    def chosen(self) -> dict[str, PromptedTable]:
        """The tables that count."""
        return {name: table for name, table in self.tables.items() if table is not None}
