"""Captioning: pictures through a decoder that looks at them, and how the search came to each text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transept.decode.config import Search
from transept.decode.search import describe
from transept.inputs.seen import Seen
from transept.models import Seq2SeqLayer
from transept.use.reading import demand_tokenizer
from transept.use.see import batches, prepared
from transept.use.text import Text

if TYPE_CHECKING:
    from transept.use.opened import Opened


def caption(loaded: "Opened", pictures: Sequence[object], settings: Search, first: int) -> list[Text]:
    """What the model writes for each picture. See `Loaded.caption`."""
    model, generation, tokenizer = loaded.model, loaded.demand_search(), demand_tokenizer(loaded)
    assert isinstance(model, Seq2SeqLayer)
    assert isinstance(model.spec.source, Seen)
    rows, columns = model.spec.source.grid()
    values = [prepared(loaded, picture, number) for number, picture in enumerate(pictures, first + 1)]
    answers: dict[int, Text] = {}
    for batch in batches([tuple(value.shape) for value in values]):
        numbers = [first + i for i in batch]
        found = describe(
            model, [values[i] for i in batch], rows * columns, settings, generation.special, numbers=numbers
        )
        for i, hypotheses in zip(batch, found, strict=True):
            best, *others = [
                Text.of(tokenizer.decode(each.tokens), tokenizer.tokens(each.tokens), each) for each in hypotheses
            ]
            best.others = others
            answers[i] = best
    return [answers[i] for i in range(len(values))]
