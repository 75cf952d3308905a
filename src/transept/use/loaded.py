"""`transept.load`: a model with what it needs to be used, and the verbs of the command line as methods."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray

from transept.decode.config import Search
from transept.device import find_device
from transept.errors import UsageError
from transept.hub.card import read_card
from transept.hub.directory import locate, read, save
from transept.inspect.example import Example
from transept.models import Seq2SeqLayer
from transept.use import given
from transept.use.answer import LONGEST, Answer, answer
from transept.use.asking import Asking
from transept.use.classify import Label, classify
from transept.use.embed import chosen, embed
from transept.use.explain import Given, Target, explain
from transept.use.fill import Filled, fill
from transept.use.generate import MOST, Stream, generate
from transept.use.opened import changed
from transept.use.preface import SUMMARY, TRANSLATION, Preface, preface
from transept.use.senses import Say, warn
from transept.use.tag import Tagged, tag
from transept.use.text import Text
from transept.use.translate import translate

Pair = tuple[str, str]
TASKS = {"translate": TRANSLATION, "summarize": SUMMARY}


class Loaded(Asking):
    """A model directory in memory, and its verbs: one in, one out; a list in, a list out.

    A verb that the model does not have raises UsageError with what it is and what it can do (`verbs`). A text longer
    than the model takes raises InvalidData with its number and length, counted from `first`, which is how many texts
    came before these: nothing is cut. `search` changes settings of the model's own search for one call (`beam=5`,
    `method="greedy"`, `temperature=0.7`, `n_best=3`, ...: `transept.decode.config.Search`).
    """

    @classmethod
    def from_pretrained(cls, directory: str | Path, **options: Any) -> "Loaded":
        """The familiar name of `load`."""
        return load(directory, **options)

    def save_pretrained(self, directory: str | Path, *, overwrite: bool = False) -> Path:
        """Write a model directory with these weights, this tokenizer, search and card."""
        return save(
            directory,
            self.model,
            tokenizer=self.tokenizer,
            generation=self.generation,
            labels=self.labels,
            processor=self.processor,
            beside=self.beside,
            sentences=self.sentences,
            card=read_card(self.path),
            overwrite=overwrite,
        )

    # ------------------------------------------------------------------ texts to texts

    @overload
    def translate(
        self, text: str, *, prefix: str | None = None, begin: str | None = None, first: int = 0, **search: Any
    ) -> Text: ...

    @overload
    def translate(
        self,
        text: Sequence[str],
        *,
        prefix: str | None = None,
        begin: Sequence[str] | None = None,
        first: int = 0,
        **search: Any,
    ) -> list[Text]: ...

    def translate(
        self,
        text: str | Sequence[str],
        *,
        prefix: str | None = None,
        begin: str | Sequence[str] | None = None,
        first: int = 0,
        **search: Any,
    ) -> Text | list[Text]:
        """The translation of a text. Blank texts stay blank; `begin` is what each translation must begin with.

        `prefix` comes before every text; None is what config.json says of translations, as T5's "translate English to
        German: ", whose search goes with it. Where it has several, each text begins with one of them itself.
        A text draws by its number (`first` on), so that sampling gives the same however many texts are parted.
        """
        self.demand("translate")
        if isinstance(text, str) and not isinstance(begin, str | None):
            raise UsageError("one text has one beginning, not several")
        asked, texts = self.preface("translate", prefix), given.texts(text)
        begins = None if begin is None else given.texts(begin, "beginning")
        if begins is not None and (len(begins) != len(texts) or isinstance(begin, str) != isinstance(text, str)):
            raise UsageError(f"{len(texts)} texts need as many beginnings")
        sources = [asked.before(one) for one in texts]
        found = translate(self, sources, begins, changed(asked.search, search), first)
        return found[0] if isinstance(text, str) else found

    @overload
    def summarize(self, text: str, *, prefix: str | None = None, first: int = 0, **search: Any) -> Text: ...

    @overload
    def summarize(
        self, text: Sequence[str], *, prefix: str | None = None, first: int = 0, **search: Any
    ) -> list[Text]: ...

    def summarize(
        self, text: str | Sequence[str], *, prefix: str | None = None, first: int = 0, **search: Any
    ) -> Text | list[Text]:
        """The summary of a text, by the search that config.json has for summaries, else the model's own.

        `prefix` comes before every text; None is what config.json says there, "summarize: " for T5.
        """
        self.demand("summarize")
        asked = self.preface("summarize", prefix)
        sources = [asked.before(one) for one in given.texts(text)]
        found = translate(self, sources, None, changed(asked.search, search), first)
        return found[0] if isinstance(text, str) else found

    def preface(self, verb: Literal["translate", "summarize"], prefix: str | None = None) -> Preface:
        """What comes before the texts of a verb, and its search: what config.json says, or `prefix`."""
        wanted = None if prefix is None else given.text(prefix, "the prefix of all texts")
        return preface(self.beside, self.demand_search(), TASKS[verb], wanted)

    @overload
    def generate(
        self,
        prompt: str,
        *,
        max_tokens: int | None = None,
        until: str | Sequence[str] | None = None,
        echo: bool = False,
        first: int = 0,
        **search: Any,
    ) -> Text: ...

    @overload
    def generate(
        self,
        prompt: Sequence[str],
        *,
        max_tokens: int | None = None,
        until: str | Sequence[str] | None = None,
        echo: bool = False,
        first: int = 0,
        **search: Any,
    ) -> list[Text]: ...

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        until: str | Sequence[str] | None = None,
        echo: bool = False,
        first: int = 0,
        **search: Any,
    ) -> Text | list[Text]:
        """What the model writes after a prompt, or for a source where it has an encoder.

        At most `max_tokens` are written (None: what the model's own search says, which may count the prompt too, else
        256); the text is cut before the
        first of the strings `until`; `echo` puts the prompt before it. `finish` of the result says why it ended.
        """
        settings = self._continuing(max_tokens, search)
        prompts = given.texts(prompt, "prompt")
        found = generate(self, prompts, settings, until, echo, first)
        return found[0] if isinstance(prompt, str) else found

    def stream(
        self,
        prompt: str,
        *,
        max_tokens: int | None = None,
        until: str | Sequence[str] | None = None,
        echo: bool = False,
        number: int = 0,
        **search: Any,
    ) -> Stream:
        """`generate` for one prompt, piece by piece while it is written; then `.answer` is the whole.

        No piece holds half a character. A beam is known only at its end: UsageError.
        """
        return Stream(self, prompt, self._continuing(max_tokens, search), until, echo, number)

    def _continuing(self, most: int | None, changes: dict[str, Any]) -> Search:
        self.demand("generate")
        if most is not None:
            given.whole(most, "max_tokens", 0)
        own = self.demand_search().search
        limits: dict[str, Any] = {}
        if most is not None:
            limits = {"max_ratio": 0.0, "max_extra": most, "max_whole": None}
        if most is None and own.max_ratio and not isinstance(self.model, Seq2SeqLayer):
            limits = {"max_ratio": 0.0, "max_extra": MOST}
        return changed(own, limits | changes)

    # ------------------------------------------------------------------ texts to what they are
    # A text is a sequence of texts too, hence the overlaps.

    @overload
    def fill(self, text: str, *, count: int = 5, first: int = 0) -> list[list[Filled]]: ...  # type: ignore[overload-overlap]

    @overload
    def fill(self, text: Sequence[str], *, count: int = 5, first: int = 0) -> list[list[list[Filled]]]: ...

    def fill(
        self, text: str | Sequence[str], *, count: int = 5, first: int = 0
    ) -> list[list[Filled]] | list[list[list[Filled]]]:
        """For each mask of a text the `count` likeliest tokens, best first.

        A mask is written `[MASK]`, or as the model's tokenizer spells it. Several are filled each by itself.
        """
        texts = given.texts(text)
        found = fill(self, texts, given.whole(count, "count"), first)
        return found[0] if isinstance(text, str) else found

    @overload
    def classify(self, text: str | Pair, *, first: int = 0) -> Label: ...  # type: ignore[overload-overlap]

    @overload
    def classify(self, text: Sequence[str] | Sequence[Pair], *, first: int = 0) -> list[Label]: ...

    def classify(self, text: str | Pair | Sequence[str] | Sequence[Pair], *, first: int = 0) -> Label | list[Label]:
        """The label of a text, or of a pair of texts (a tuple of two), with its probability and all scores."""
        if isinstance(text, str):
            return classify(self, [text], first)[0]
        if isinstance(text, tuple) and len(text) == 2 and all(isinstance(one, str) for one in text):
            return classify(self, [(str(text[0]), str(text[1]))], first)[0]
        return classify(self, given.rows(text), first)

    @overload
    def tag(self, text: str, *, first: int = 0) -> Tagged: ...  # type: ignore[overload-overlap]

    @overload
    def tag(self, text: Sequence[str], *, first: int = 0) -> list[Tagged]: ...

    def tag(self, text: str | Sequence[str], *, first: int = 0) -> Tagged | list[Tagged]:
        """The words of a text, each with its label and place; `spans` groups those that B- and I- put together."""
        found = tag(self, given.texts(text), first)
        return found[0] if isinstance(text, str) else found

    @overload
    def answer(  # type: ignore[overload-overlap]
        self, question: str, context: str, *, longest: int = LONGEST, empty: bool = False, first: int = 0
    ) -> Answer: ...

    @overload
    def answer(
        self,
        question: Sequence[str],
        context: str | Sequence[str],
        *,
        longest: int = LONGEST,
        empty: bool = False,
        first: int = 0,
    ) -> list[Answer]: ...

    def answer(
        self,
        question: str | Sequence[str],
        context: str | Sequence[str],
        *,
        longest: int = LONGEST,
        empty: bool = False,
        first: int = 0,
    ) -> Answer | list[Answer]:
        """The piece of a context that answers a question, with its place and probability; T5 writes it instead.

        A context that is too long for one row is read in windows that overlap: `windows` of the answer says how many.
        An answer has at most `longest` tokens, one at least; with `empty` it may be that there is none (SQuAD 2.0).
        One context may serve many questions.
        """
        questions, contexts = given.texts(question, "question"), given.texts(context, "context")
        contexts = contexts * len(questions) if isinstance(context, str) else contexts
        found = answer(self, questions, contexts, longest, empty, first)
        return found[0] if isinstance(question, str) else found

    def embed(
        self,
        text: str | Sequence[str],
        *,
        pool: str | None = None,
        normalise: bool | None = None,
        prompt: str | None = None,
        truncate: bool = False,
        first: int = 0,
        say: Say = warn,
    ) -> NDArray[np.float32]:
        """The vector of a text, (D,), or of texts, (N, D).

        `pool` is "mean", "class" or "last"; None, as `normalise` None, is what modules.json of sentence-transformers
        says, else the mean, not normalised: `embedding` tells. `prompt` names one of the prompts that the model has for
        its texts ("query"), "" none; None is its own choice. A text that is too long is refused; with `truncate` its
        last tokens are left out, and `say` hears it.
        """
        texts = given.texts(text)
        found = embed(self, texts, chosen(self, pool, normalise, prompt), say if truncate else None, first)
        return found[0] if isinstance(text, str) else found

    # ------------------------------------------------------------------ what it is explained by

    def explain(self, given: Given, target: Target | None = None) -> Example:
        """What the model reads of a text, a pair of texts, a picture or a sound, as `transept.inspect` takes it.

        A model of two stacks is given the source and the `target` to explain, one of its own or another's: without one,
        nothing of it is written yet. It may be token ids, which stand after what opens a target; so may what a model of
        one stack wrote after a prompt. A sound is made what the model listens to, and what was done to it is told.
        """
        return explain(self, given, target)


def load(
    directory: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    allow_pickle: bool = False,
    say: Say = warn,
) -> Loaded:
    """The model of a model directory, of a run directory (its `model/`), or of a name at the hub.

    `device` is "cpu", "cuda", "cuda:1", or "auto": a GPU where there is one; UsageError where it is absent.
    `dtype` (torch.bfloat16, "bfloat16") None leaves the weights as they are stored. `allow_pickle` reads weights that
    are a pickle, with nothing in it but tensors. `say` hears where config.json says too little, or the weights say
    otherwise and are right. Raises InvalidData or InvalidConfig with the file, the tensor or key, and the way out.
    """
    if not isinstance(directory, str | Path):
        raise UsageError(f"a model is a directory or a name at the hub, and this is {given.named(directory)}")
    kind = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(kind, torch.dtype) and kind.is_floating_point):
        raise UsageError(f"dtype is {dtype!r:.40}", remedy="It is float32, float16 or bfloat16; None is as stored.")
    root, place = locate(directory, allow_pickle=allow_pickle), find_device(str(device))
    stored = read(root, allow_pickle=allow_pickle)
    if stored.note:
        say(f"{root}: {stored.note}")
    return Loaded(root, replace(stored, model=stored.model.to(device=place, dtype=kind)))
