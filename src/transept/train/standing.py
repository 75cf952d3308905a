"""Which validation was the best, and how long ago."""

from __future__ import annotations

from dataclasses import dataclass

_WORDS = {"bleu": "BLEU", "chrf": "chrF", "ppl": "perplexity", "f1": "F1", "mcc": "MCC", "wer": "WER", "cer": "CER"}


@dataclass(frozen=True)
class Standing:
    """The best score so far with its update, and the validations without a new best since."""

    update: int | None = None
    score: float | None = None
    stalled: int = 0

    def judged(self, update: int, score: float, higher: bool) -> Standing:
        """The standing after one more validation. An equal score is no new best; one that is not a number neither."""
        better = score == score and (self.score is None or (score > self.score if higher else score < self.score))
        return Standing(update, score) if better else Standing(self.update, self.score, self.stalled + 1)

    @property
    def fresh(self) -> bool:
        """Whether the last validation was the best."""
        return self.update is not None and not self.stalled

    @property
    def verdict(self) -> str:
        """What is said of the last validation."""
        return "new best" if self.fresh else f"stalled {self.stalled} time{'s' if self.stalled > 1 else ''}"

    def words(self, name: str) -> str:
        """ "best BLEU 27.3 at update 18,000"."""
        if self.update is None or self.score is None:
            return f"no {spoken(name)} yet"
        return f"best {spoken(name)} {self.score:.4g} at update {self.update:,}"


def spoken(name: str) -> str:
    """A measure's key as people write it."""
    return _WORDS.get(name, name.replace("_", " "))
