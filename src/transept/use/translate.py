"""Translation: texts through an encoder and a decoder, and how the search came to each answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis
from transept.decode.search import search as decode
from transept.errors import InvalidData, Nth
from transept.models import Seq2SeqLayer
from transept.use.reading import demand_tokenizer
from transept.use.text import Text

if TYPE_CHECKING:
    from transept.use.opened import Opened


def translate(
    loaded: "Opened", texts: Sequence[str], prefixes: Sequence[str] | None, settings: Search, first: int
) -> list[Text]:
    """What the model writes for each text, blank ones left blank. See `Loaded.translate`."""
    model, generation, tokenizer = loaded.model, loaded.demand_search(), demand_tokenizer(loaded)
    assert isinstance(model, Seq2SeqLayer)
    asked = [i for i, text in enumerate(texts) if text.strip()]
    sources = tokenizer.encode_batch([texts[i] for i in asked])
    starts = [[] if prefixes is None else tokenizer.encode(prefixes[i], bare=True) for i in asked]
    for i, source in zip(asked, sources, strict=True):
        if len(source) > loaded.longest:
            raise InvalidData(
                f"has {len(source)} tokens, and the model takes {loaded.longest} (it begins {texts[i][:40]!r})",
                nth=Nth("text", first + i + 1),
                remedy="Split it into sentences: nothing is cut in silence.",
            )
    numbers = [first + i for i in asked]
    found = decode(model, sources, settings, generation.special, starts, numbers)
    answers = [Text.of("", [], Hypothesis([], 0.0, [], "end")) for _ in texts]
    for i, start, hypotheses in zip(asked, starts, found, strict=True):
        best, *others = [
            Text.of(tokenizer.decode([*start, *each.tokens]), tokenizer.tokens(each.tokens), each)
            for each in hypotheses
        ]
        best.others = others
        answers[i] = best
    return answers
