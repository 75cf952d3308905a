"""Transcription: speech written down, by the best letter at every frame or the likeliest text of all."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import torch

from transept.decode.ctc import best_path, best_text
from transept.errors import UsageError
from transept.heads.letters import Letters
from transept.use.hear import answering, listened
from transept.use.reading import demand_tokenizer

if TYPE_CHECKING:
    from transept.use.opened import Opened


class Transcript(str):
    """What was said. It is its own text; `seconds` is how long the sound is."""

    __slots__ = ("seconds",)

    seconds: float

    @classmethod
    def of(cls, text: str, seconds: float) -> Self:
        """A text that took so long to say."""
        made = cls(text)
        made.seconds = seconds
        return made


@torch.inference_mode()
def transcribe(
    loaded: "Opened",
    sounds: Sequence[object],
    rate: int | None,
    resample: bool,
    beam: int,
    say: Callable[[str], None],
) -> list[Transcript]:
    """What is said in each sound. See `Loaded.transcribe`."""
    if beam < 1:
        raise UsageError(f"a beam of {beam} keeps nothing; it is 1 or more")
    loaded.demand("transcribe")
    tokenizer = demand_tokenizer(loaded)
    found = []
    with answering(loaded) as model:
        head = model.spec.head
        assert isinstance(head, Letters)
        for number, given in enumerate(sounds, 1):
            samples, seconds = listened(loaded, given, rate, number, resample, say)
            # Alone: what stands beside a sound in a batch is padding, and sounds differ much in length.
            states, entered = model.hidden(samples[None].to(model.device))
            scores = model.head(states, entered).float()
            if beam > 1:
                letters, _ = best_text(scores[0].log_softmax(-1), beam, head.blank)
            else:
                (letters,) = best_path(scores, entered.valid, head.blank)
            found.append(Transcript.of(tokenizer.decode(letters), seconds))
    return found
