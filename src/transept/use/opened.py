"""A model directory in memory: what it holds, what it can do, and what its files say of how to use it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from transept.data.pictures import Preparation
from transept.data.tokenizer import Tokenizer
from transept.decode.config import THEIRS, Search
from transept.errors import InvalidData, UsageError, nearest
from transept.heads.head import HeadLayer
from transept.hub.directory import LONGEST, Stored
from transept.hub.generation import Generation
from transept.hub.pooling import Embedding, declared
from transept.hub.processor import PREPARED, Hearing, Processor
from transept.models import Model, Seq2Seq
from transept.topology import Built, Topology
from transept.use import kinds
from transept.use.reading import demand_tokenizer

DRAWS = ("temperature", "top_k", "top_p")  # settings that only sampling has,
BEAMS = ("beam", "penalty", "length_penalty", "stop")  # and those that only a beam has

STARTS = {"bart": 2}  # what opens a target where config.json does not say it; elsewhere 0


class Opened:
    """`model` is an ordinary module in evaluation mode, `spec` its description, `verbs` what it can be asked for."""

    def __init__(self, path: Path, stored: Stored) -> None:
        self.path = path
        self.model: Built = stored.model
        self.spec: Topology = stored.model.spec
        self.tokenizer: Tokenizer | None = stored.tokenizer
        self.generation: Generation | None = stored.generation
        self.labels: tuple[str, ...] = stored.labels
        self.processor: Processor | None = stored.processor
        self.sentences: Mapping[str, str] = stored.sentences
        self.beside: Mapping[str, Any] = stored.beside
        self.unread = stored.unread

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs that this model has, the most fitting first."""
        return kinds.verbs(self.spec, str(self.beside.get("model_type", "")))

    def demand(self, verb: str) -> None:
        """Refuse a verb that this model does not have: UsageError says what it is, and what it can do."""
        kinds.demand(self.spec, verb, self.verbs, self.path)

    def demand_ready(self, verb: str) -> None:
        """`demand`, and what must lie in the directory for inputs to be read; InvalidData names what is missing."""
        self.demand(verb)
        if verb in ("see", "caption"):
            self.demand_preparation()
        if verb in ("hear", "transcribe"):
            self.demand_hearing()
        if verb not in ("see", "hear"):
            demand_tokenizer(self)

    def demand_search(self) -> Generation:
        """How this model is asked for text; UsageError where it writes none."""
        if self.generation is None:
            raise UsageError(f"this model writes no text: it is {kinds.described(self.spec)}", where=self.path)
        return self.generation

    @property
    def head(self) -> HeadLayer:
        """What scores the states of the model."""
        head = self.model.head
        assert isinstance(head, HeadLayer)
        return head

    @property
    def width(self) -> int:
        """How many numbers a state has."""
        assert isinstance(self.spec, Model | Seq2Seq)
        return self.spec.width

    @property
    def longest(self) -> int:
        """The most tokens of a text, with what stands around it."""
        limits = [self.spec.limit(), self.generation.longest if self.generation else None]
        return min((limit for limit in limits if limit is not None), default=LONGEST)

    @property
    def start(self) -> int:
        """The token that opens a target, of a model with two stacks."""
        if self.generation and self.generation.special.bos is not None:
            return self.generation.special.bos
        kind, given = self.beside.get("model_type"), self.beside.get("decoder_start_token_id")
        start = STARTS.get(str(kind), 0) if given is None else given
        if type(start) is not int or start < 0:
            raise InvalidData(f"decoder_start_token_id is {given!r:.40}, and must be a token", where=self.path)
        return start

    def again(self, ids: list[int]) -> list[int]:
        """A row as the second stack reads it that answers no target: one token later (Lewis et al. 2020, section 3.1).

        An mBART opens it by the row's own last token, which is its language (Liu et al. 2020, section 2.2).
        """
        return [ids[-1] if self.is_mbart else self.start, *ids[:-1]]

    @property
    def is_mbart(self) -> bool:
        """Whether the language of a row stands behind its end token."""
        return self.beside.get("model_type") == "mbart"

    @cached_property
    def embedding(self) -> Embedding:
        """How this model embeds texts, and who says so."""
        return declared(self.sentences, self.path)

    def demand_preparation(self) -> Preparation:
        """What is done to a picture before this model sees it; InvalidData where nobody says it."""
        if not isinstance(self.processor, Preparation):
            raise self._unprepared("pictures")
        return self.processor

    def demand_hearing(self) -> Hearing:
        """What is done to sound before this model hears it; InvalidData where nobody says it."""
        if not isinstance(self.processor, Hearing):
            raise self._unprepared("sound")
        return self.processor

    def _unprepared(self, what: str) -> InvalidData:
        return InvalidData(
            f"{PREPARED} is missing, which says how {what} are prepared".replace("sound are", "sound is"),
            where=self.path,
            remedy="Copy it from where the model comes from, or give its module, `.model`, what it reads.",
        )

    def settings(self, **changes: Any) -> Search:
        """The model's own search with changes. Raises UsageError with the setting and the nearest one.

        A setting that only one method has asks for that method: `temperature=0.7` samples, `beam=4` is a beam.
        """
        return changed(self.demand_search().search, changes)


def changed(search: Search, changes: Mapping[str, Any]) -> Search:
    """A search with changes. See `Opened.settings`."""
    known = Search.model_fields
    if unknown := [name for name in changes if name not in known]:
        near = THEIRS.get(unknown[0]) or nearest(unknown[0], known).strip()
        raise UsageError(
            f"there is no search setting {unknown[0]!r}. {near}".strip(),
            remedy=f"There are: {', '.join(known)}.",
        )
    draws, beams = ([name for name in names if name in changes] for names in (DRAWS, BEAMS))
    wanted = changes.get("method", "sample" if draws and not beams else "beam" if beams and not draws else None)
    if beams and (wanted or search.method) != "beam":
        raise UsageError(
            f"{beams[0]} is of a beam, and the method is {wanted or search.method}",
            remedy="Leave one of them out, or choose by method=...",
        )
    own: dict[str, Any] = search.model_dump()
    if wanted is not None and wanted != search.method:
        own |= {name: known[name].default for name in (*DRAWS, "n_best")} | {"method": wanted}
    try:
        return Search(**own | dict(changes))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{name}: {reason}" if name else reason) from None
