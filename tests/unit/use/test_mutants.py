"""Verbs that are wrong on purpose: the tests beside this file must notice each of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from transept.data import questions
from transept.use import classify, embed, fill, generate, reading, tag, text
from transept.use.loaded import load
from unit.use import test_answer, test_classify, test_embed, test_fill, test_generate, test_tag
from unit.use.made import theirs

pooled, encodings = embed.pooled, tag.encodings


def streamed(check: Callable[..., None], *given: object) -> Callable[[], None]:
    def run() -> None:
        with pytest.MonkeyPatch.context() as patched:
            check(load(theirs("GPT2LMHeadModel")), patched, *given)

    return run


def on(architecture: str, check: Callable[..., None], *labels: str) -> Callable[[], None]:
    return lambda: check(load(theirs(architecture, labels)))


def no_segments(*given: object, **named: object) -> object:
    return [replace(one, segments=[0] * len(one.ids)) for one in encodings(*given, **named)]


def last_token_of_a_word(*given: object, **named: object) -> object:
    return [replace(one, words=list(range(len(one.ids)))) for one in encodings(*given, **named)]


def as_if_all_were_real(states: torch.Tensor, valid: object, pool: object) -> torch.Tensor:
    return pooled(states, None, pool)


def with_what_stands_before(self: reading.Pass, scores: torch.Tensor) -> list[torch.Tensor]:
    return [row[: len(row) - before] for row, before in zip(scores, self.before, strict=True)]


Mutant = tuple[Callable[[], AbstractContextManager[object]], Callable[[], None]]
MUTANTS: dict[str, Mutant] = {
    "half a character is shown": (
        lambda: patch.object(text.Until, "settled", lambda self, written: written),
        streamed(test_generate.test_no_character_is_cut_in_half),
    ),
    "the beginning of a stop string is shown": (
        lambda: patch.object(text.Until, "settled", lambda self, written: written.rstrip(text.UNKNOWN)),
        streamed(test_generate.test_a_stop_string_may_span_tokens, "naïve — d"),
    ),
    "a stop string stays": (
        lambda: patch.object(text.Until, "cut", lambda self, written, found: (written, found)),
        on("GPT2LMHeadModel", test_generate.test_a_stop_string_cuts_before_itself_in_both),
    ),
    "a text is decoded without what is before it": (
        lambda: patch.object(generate, "continued", lambda decode, before, tokens: decode(tokens).lstrip()),
        on("GPT2LMHeadModel", test_generate.test_greedy_texts_are_hugging_faces),
    ),
    "a pair has one segment": (
        lambda: patch.object(classify, "encodings", no_segments),
        test_classify.test_a_pair_has_a_second_segment,
    ),
    "padding is averaged": (
        lambda: patch.object(embed, "pooled", as_if_all_were_real),
        on("BertModel", test_embed.test_vectors_are_hugging_faces_states_pooled),
    ),
    "padding is not left out of a row": (
        lambda: patch.object(reading.Pass, "own", with_what_stands_before),
        on("BertForQuestionAnswering", lambda found: test_answer.test_an_answer_is_the_likeliest_pair(found, 3)),
    ),
    "a mask is looked for one column before": (
        lambda: patch.object(fill, "demand_tokenizer", lambda loaded: Shifted(loaded.tokenizer)),
        on("BertForMaskedLM", test_fill.test_tokens_and_probabilities_are_hugging_faces),
    ),
    "every piece is a word": (
        lambda: patch.object(tag, "encodings", last_token_of_a_word),
        on("BertForTokenClassification", test_tag.test_words_have_the_labels_of_their_first_token, *test_tag.LABELS),
    ),
    "windows do not overlap": (
        lambda: patch.object(questions, "OVERLAP", 0),
        on("BertForQuestionAnswering", test_answer.test_a_long_context_is_read_in_windows_that_overlap),
    ),
    "an answer may end before it begins": (
        lambda: patch.object(torch.Tensor, "triu", lambda self: self),
        on("BertForQuestionAnswering", lambda found: test_answer.test_an_answer_is_the_likeliest_pair(found, 30)),
    ),
}


class Shifted:
    """A tokenizer whose mask is another token."""

    def __init__(self, tokenizer: object) -> None:
        self.tokenizer = tokenizer

    def __getattr__(self, name: str) -> object:
        return getattr(self.tokenizer, name)

    def demand(self, role: str) -> int:
        return 2


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_verb_is_noticed(name: str) -> None:
    mutant, check = MUTANTS[name]
    check()
    with mutant(), pytest.raises((AssertionError, IndexError, TypeError, ValueError)):
        check()
