"""Asking without training: which of several choices a model finds likeliest behind a prompt, with examples or none.

Shapes: N questions, C choices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from transept.data.shots import Shots
from transept.data.templates import Template
from transept.errors import UsageError
from transept.use.likelihood import Likelihood, begins, demand_scoring, likelihoods, placed

if TYPE_CHECKING:
    from transept.use.opened import Opened

Real = NDArray[np.float64]

# What stands in a prompt in place of a text that says nothing (Zhao et al. 2021, section 5).
NOTHING = ("N/A", "[MASK]", "")
WAYS = ("sum", "token", "character", "unconditional", "calibrated")


@dataclass(frozen=True)
class Prompt:
    """How rows become questions: the template, whose last column is the answer, the choices, what parts examples."""

    template: Template
    choices: tuple[str, ...]
    separator: str = "\n\n"

    def __post_init__(self) -> None:
        if self.template.pieces[-1][1] is None:
            end = self.template.pieces[-1][0]
            raise UsageError(
                f"the template ends with {end!r}, and the answer comes last",
                remedy='Write the column of the answer at the end: "{text} It was {label}".',
            )
        if self.label in self.fields:
            raise UsageError(
                f"the template has {{{self.label}}} before its end too: the answer would stand in the question"
            )
        if len(self.choices) < 2 or len(set(self.choices)) != len(self.choices):
            raise UsageError(
                f"choices {', '.join(map(repr, self.choices)) or 'are none'}: two or more are needed, each once"
            )
        if empty := [choice for choice in self.choices if not choice.strip()]:
            raise UsageError(f"the choice {empty[0]!r} is no word")

    @property
    def label(self) -> str:
        """The column of the answer."""
        return str(self.template.pieces[-1][1])

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of the question."""
        return tuple(dict.fromkeys(name for _, name in self.template.pieces[:-1] if name is not None))

    def question(self, row: Mapping[str, str]) -> str:
        """A row up to its answer."""
        return "".join(before + ("" if name is None else row[name]) for before, name in self.template.without_last())

    def shown(self, row: Mapping[str, str], answer: int) -> str:
        """A row with its answer."""
        return self.question(row) + self.choices[answer]

    def asked(self, row: Mapping[str, str], shown: Sequence[str]) -> str:
        """A question behind examples."""
        return self.separator.join([*shown, self.question(row)])

    def bare(self) -> str:
        """What stands right before an answer, by which a choice is likely without any question."""
        return self.template.pieces[-1][0].lstrip()


@dataclass(frozen=True, eq=False)
class Weighed:
    """The scores (N, C) of the choices by each of the `WAYS`, in nats; `prompts` are what was asked.

    "unconditional" is left out where a choice would have nothing before it, and the model no token to begin with.

    sum             log P(choice | prompt)
    token           that divided by the tokens of the choice (Brown et al. 2020, section 2.4)
    character       that divided by the characters of the choice
    unconditional   less log P(choice | what stands before an answer) (Brown et al. 2020, section 2.4)
    calibrated      of P normalised over the choices, less that where the question is a text that says nothing, the mean
                    over three of those (Zhao et al. 2021, section 5)
    """

    prompts: list[str]
    scores: Mapping[str, Real]

    def chosen(self, way: str) -> NDArray[np.int64]:
        """The best choice of each question (N,), the first of equals."""
        return np.asarray(self.scores[way].argmax(1), np.int64)


@dataclass(frozen=True)
class Table:
    """Rows with their texts by column, the number of the right choice of each (N,), and their files and lines."""

    rows: Sequence[Mapping[str, str]]
    right: NDArray[np.int64]
    places: Sequence[str] = ()


def weigh(
    loaded: "Opened",
    prompt: Prompt,
    asked: Table,
    shots: Shots | None = None,
    examples: Table | None = None,
    same: bool = False,
) -> Weighed:
    """Ask a model every row. `shots` say which rows of `examples` stand before; `same`: those are the asked rows.

    Raises InvalidData for a prompt that is longer than the model takes, with both numbers: nothing is cut.
    """
    demand_scoring(loaded)

    def shown(row: int | None) -> list[str]:
        if shots is None or examples is None:
            return []
        return [prompt.shown(examples.rows[at], int(examples.right[at])) for at in shots.without(row)]

    prompts = [prompt.asked(row, shown(at if same else None)) for at, row in enumerate(asked.rows)]
    nothing = [prompt.asked(dict.fromkeys(prompt.fields, text), shown(None)) for text in NOTHING]
    if not begins(loaded):  # a choice with nothing before it would have no probability
        nothing = [one for one in nothing if one.strip()]
    with placed(asked.places):
        found = _grid(loaded, [*prompts, *nothing], prompt.choices)
    total = np.array([[one.total for one in row] for row in found])
    total, free = total[: len(prompts)], total[len(prompts) :]
    scores = {
        "sum": total,
        "token": np.array([[one.by_token for one in row] for row in found[: len(prompts)]]),
        "character": np.array([[one.by_character for one in row] for row in found[: len(prompts)]]),
    }
    if begins(loaded) or prompt.bare().strip():
        scores["unconditional"] = total - [one.total for one in _grid(loaded, [prompt.bare()], prompt.choices)[0]]
    shares = np.exp(free - _together(free)).mean(0)
    return Weighed(prompts, scores | {"calibrated": total - _together(total) - np.log(shares)})


def _grid(loaded: "Opened", prompts: Sequence[str], choices: Sequence[str]) -> list[list[Likelihood]]:
    """How likely each choice is behind each prompt."""
    both = [(at, one, choice) for at, one in enumerate(prompts) for choice in choices]
    numbers, given, texts = zip(*both, strict=True)
    found = likelihoods(loaded, given, texts, numbers)
    wide = len(choices)
    return [found[at : at + wide] for at in range(0, len(found), wide)]


def _together(scores: Real) -> Real:
    """The logarithm of the sum of the probabilities of a row. (N, C) -> (N, 1)"""
    highest = scores.max(1, keepdims=True)
    return np.asarray(highest + np.log(np.exp(scores - highest).sum(1, keepdims=True)))
