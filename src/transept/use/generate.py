"""Generation: what follows a prompt, at once or while it is written."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis
from transept.decode.search import extend, search
from transept.decode.stream import demand_streamable, follow
from transept.errors import InvalidData, Nth
from transept.models import ModelLayer, Seq2SeqLayer
from transept.use.given import text
from transept.use.reading import demand_tokenizer, prompt_ids
from transept.use.text import Text, Until, continued

if TYPE_CHECKING:
    from transept.use.opened import Opened

MOST = 256  # tokens of an answer to a prompt, where neither the model nor anybody else says


def generate(
    loaded: "Opened",
    prompts: Sequence[str],
    settings: Search,
    until: str | Sequence[str] | None,
    echo: bool,
    first: int,
) -> list[Text]:
    """What the model writes after each prompt. See `Loaded.generate`."""
    ending = Until(until, demand_tokenizer(loaded).decode)
    asked = [_Asked(loaded, prompt, ending, echo, first + i) for i, prompt in enumerate(prompts)]
    if not asked:
        return []
    rows, numbers, model = [one.ids for one in asked], [one.number for one in asked], loaded.model
    special, stop = loaded.demand_search().special, ending.fits if ending.strings else None
    if isinstance(model, Seq2SeqLayer):
        found = search(model, rows, settings, special, None, numbers, stop)
    else:
        assert isinstance(model, ModelLayer)
        found = extend(model, rows, settings, special, numbers, stop)
    answers = []
    for one, hypotheses in zip(asked, found, strict=True):
        best, *others = [one.answer(hypothesis) for hypothesis in hypotheses]
        best.others = others
        answers.append(best)
    return answers


class Stream(Iterator[str]):
    """Pieces of a text while it is written, which together are the text; no character is ever cut in half.

    A piece is held back while it may be the beginning of a stop string. `answer` is the whole, once the pieces have
    ended. `close` ends it early.
    """

    def __init__(
        self,
        loaded: "Opened",
        prompt: str,
        settings: Search,
        until: str | Sequence[str] | None,
        echo: bool,
        number: int,
    ) -> None:
        demand_streamable(settings)
        text(prompt, "the prompt of a stream")
        asked = _Asked(loaded, prompt, Until(until, demand_tokenizer(loaded).decode), echo, number)
        stop = asked.until.fits if asked.until.strings else None
        special, model = loaded.demand_search().special, loaded.model
        if isinstance(model, Seq2SeqLayer):
            steps = follow(model, asked.ids, special.start([]), settings, special, number, stop)
        else:
            assert isinstance(model, ModelLayer)
            steps = follow(model, None, asked.ids, settings, special, number, stop)
        self.answer: Text | None = None
        self._pieces = self._written(asked, steps)

    def _written(self, asked: "_Asked", steps: Iterator[Hypothesis]) -> Iterator[str]:
        shown, found = "", Hypothesis([], 0.0, [], "length")
        if asked.shown:
            yield asked.shown
        for found in steps:
            written, found = asked.until.cut(asked.continuation(found), found)
            if found.finish == "stop":
                break
            certain = asked.until.settled(written)
            if len(certain) > len(shown) and certain.startswith(shown):
                yield certain[len(shown) :]
                shown = certain
        self.answer = asked.answer(found)
        whole = self.answer[len(asked.shown) :]
        if len(whole) > len(shown) and whole.startswith(shown):
            yield whole[len(shown) :]

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Let the model rest; there will be no more pieces."""
        self._pieces.close()  # type: ignore[attr-defined]


class _Asked:
    """One prompt, and how a text is made of what the search finds for it."""

    def __init__(self, loaded: "Opened", prompt: str, until: Until, echo: bool, number: int) -> None:
        self.tokenizer, self.number = demand_tokenizer(loaded), number
        self.until = until
        self.shown = prompt if echo else ""
        self.ids = prompt_ids(loaded, prompt)
        self.before = [] if isinstance(loaded.model, Seq2SeqLayer) else self.ids
        longest = loaded.demand_search().longest
        if len(self.ids) > longest:
            raise InvalidData(
                f"has {len(self.ids)} tokens, and the model takes {longest} (it begins {prompt[:40]!r})",
                nth=Nth("text", number + 1),
                remedy="Leave out what is least needed of it: nothing is cut in silence.",
            )

    def continuation(self, found: Hypothesis) -> str:
        return continued(self.tokenizer.decode, self.before, found.tokens)

    def answer(self, found: Hypothesis) -> Text:
        written, found = self.until.cut(self.continuation(found), found)
        return Text.of(self.shown + written, self.tokenizer.tokens(found.tokens), found)
