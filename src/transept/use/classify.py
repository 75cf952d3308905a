"""Classification: one label, or several, for a text, a pair of texts, or a picture; or a number."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from torch import Tensor

from transept.data.parted import parted
from transept.data.tokenizer import Encoding
from transept.errors import InvalidData, Nth
from transept.hub.kinds import reads
from transept.models import Model
from transept.use.reading import Given, Pass, apart, encodings, over, through

if TYPE_CHECKING:
    from transept.use.opened import Opened

Kind = Literal["one", "several", "number"]


class Label(str):
    """The best label of a text or a picture. It is its own text; beside it stands how sure the model is.

    `scores` has every label with its probability, the best first: of one label among all (they add up to 1), or of
    each by itself where several may hold at once. A model that gives a number has that in `number`, None elsewhere, and
    its text is that number.
    """

    __slots__ = ("number", "scores")

    scores: dict[str, float]
    number: float | None

    @classmethod
    def of(cls, scores: Tensor, labels: Sequence[str], kind: Kind) -> Self:
        """What scores (C,) say."""
        if kind == "number":
            made = cls(f"{float(scores[0]):.6g}")
            made.scores, made.number = {}, float(scores[0])
            return made
        shares = scores.softmax(0) if kind == "one" else scores.sigmoid()
        order = shares.argsort(descending=True, stable=True).tolist()
        made = cls(labels[order[0]])
        made.scores, made.number = {labels[i]: float(shares[i]) for i in order}, None
        return made

    @property
    def probability(self) -> float | None:
        """How sure the model is of its best label; None where it gives a number."""
        return next(iter(self.scores.values()), None)


def kind_of(count: int, problem: str | None) -> Kind:
    """What scores mean: by config.json's problem_type, else a number where there is one of them."""
    said: dict[str | None, Kind] = {
        "regression": "number",
        "single_label_classification": "one",
        "multi_label_classification": "several",
    }
    return said.get(problem) or ("number" if count == 1 else "one")


def classify(loaded: "Opened", given: Sequence[Given], first: int) -> list[Label]:
    """The label of each text or pair. See `Loaded.classify`."""
    loaded.demand("classify")
    rows = encodings(loaded, given, first)
    head = loaded.head
    if reads(loaded.spec) == "documents":
        texts, others = apart(given)
        if others is not None:
            raise InvalidData("a pair of texts, and this model reads documents", remedy="Give one text a row.")
        documents = [parted(text, row) for text, row in zip(texts, rows, strict=True)]
        if empty := [first + i + 1 for i, document in enumerate(documents) if not document]:
            reason = "has no token that the tokenizer leaves"
            raise InvalidData(reason, nth=Nth("text", empty[0]), remedy="Leave it out.")
        return labelled(loaded, over(loaded.model, documents, lambda one: list(head(one.states, one.entered).float())))
    ends = [_end(loaded, row, first + i) for i, row in enumerate(rows)] if loaded.is_mbart else None
    pad = loaded.beside.get("pad_token_id")
    if isinstance(loaded.spec, Model) and loaded.spec.stack.causal and pad is not None:
        ends = [_before_padding(row.ids, pad) for row in rows]

    def score(one: Pass) -> list[Tensor]:
        entered = one.entered if ends is None else one.within([0] * len(one.rows), [ends[i] for i in one.rows])
        return list(head(one.states, entered).float())

    return labelled(loaded, through(loaded.model, rows, score, again=loaded.again))


def _end(loaded: "Opened", row: Encoding, number: int) -> int:
    """How many tokens of a row stand before its language: the state of its last end token tells an mBART's class."""
    eos = loaded.beside.get("eos_token_id", 2)
    if eos not in row.ids:
        raise InvalidData(
            f"has no end token {eos}, by whose state an mBART tells a class",
            nth=Nth("text", number + 1),
            where=loaded.path,
            remedy="Use the tokenizer that the model was trained with.",
        )
    return len(row.ids) - row.ids[::-1].index(eos)


def _before_padding(ids: Sequence[int], pad: int) -> int:
    """How many tokens there are up to the last that is not the padding token, by which a decoder tells a class.

    Where the end of a text is the padding token too, as in GPT-2, it is not the last.
    """
    return next((i for i in range(len(ids), 0, -1) if ids[i - 1] != pad), len(ids))


def labelled(loaded: "Opened", scores: Sequence[Tensor]) -> list[Label]:
    """Scores (C,) with the names that config.json has for them."""
    kind = kind_of(len(loaded.labels), loaded.beside.get("problem_type"))
    return [Label.of(one, loaded.labels, kind) for one in scores]
