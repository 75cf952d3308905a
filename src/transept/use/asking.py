"""What a loaded model is asked without training: how likely a text is, and which of several choices is likeliest."""

from collections.abc import Sequence
from typing import Literal, overload

import torch

from transept.errors import UsageError, nearest
from transept.use.classify import Label
from transept.use.given import texts
from transept.use.likelihood import Likelihood, likelihoods
from transept.use.senses import Senses

By = Literal["sum", "token", "character"]
WAYS: dict[str, str] = {"sum": "total", "token": "by_token", "character": "by_character"}


class Asking(Senses):
    """Likelihoods of texts: one in, one out; a list in, a list out."""

    @overload
    def likelihood(self, text: str, given: str = "") -> Likelihood: ...  # type: ignore[overload-overlap]

    @overload
    def likelihood(self, text: Sequence[str], given: str | Sequence[str] = "") -> list[Likelihood]: ...

    def likelihood(self, text: str | Sequence[str], given: str | Sequence[str] = "") -> Likelihood | list[Likelihood]:
        """The log-probability of a text, token by token, behind what is `given` (of a model of two stacks, for it).

        A model that fills masks gives the pseudo-log-likelihood (Salazar et al. 2020): each token under a mask of its
        own. One `given` may serve many texts. InvalidData where both are longer than the model takes: nothing is cut.
        """
        wanted, before = texts(text), texts(given, "given text")
        before = before * len(wanted) if isinstance(given, str) else before
        if len(before) != len(wanted):
            raise UsageError(f"{len(wanted)} texts need as many given texts, not {len(before)}")
        found = likelihoods(self, before, wanted)
        return found[0] if isinstance(text, str) else found

    @overload
    def choose(self, prompt: str, choices: Sequence[str], *, by: By = "sum") -> Label: ...  # type: ignore[overload-overlap]

    @overload
    def choose(self, prompt: Sequence[str], choices: Sequence[str], *, by: By = "sum") -> list[Label]: ...

    def choose(self, prompt: str | Sequence[str], choices: Sequence[str], *, by: By = "sum") -> Label | list[Label]:
        """The likeliest of some choices behind a prompt, with the probability of each among them.

        `by` compares log-probabilities as wholes, by the token or by the character. How examples, calibration and other
        comparisons are had: `transept.use.prompting.weigh`.
        """
        if by not in WAYS:
            raise UsageError(f"by is {by!r:.40}.{nearest(str(by), WAYS)}", remedy=f"There are: {', '.join(WAYS)}.")
        words, prompts = texts(choices, "choice"), texts(prompt, "prompt")
        if isinstance(choices, str) or len(words) < 2 or len(set(words)) < len(words):
            raise UsageError("choices are two texts or more, each once", remedy="Give a list: ['good', 'bad'].")
        both = [(at, one, word) for at, one in enumerate(prompts) for word in words]
        found = likelihoods(self, [one for _, one, _ in both], [word for _, _, word in both], [at for at, _, _ in both])
        scores = torch.tensor([getattr(one, WAYS[by]) for one in found]).view(len(prompts), len(words))
        labels = [Label.of(row, words, "one") for row in scores]
        return labels[0] if isinstance(prompt, str) else labels
