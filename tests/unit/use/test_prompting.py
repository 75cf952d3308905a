"""Asking without training: each way of comparing choices by its formula, one question at a time."""

from itertools import product

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from transept.data.shots import Shots
from transept.data.templates import Template
from transept.errors import InvalidData, UsageError
from transept.use.likelihood import likelihoods
from transept.use.loaded import Loaded, load
from transept.use.minimal import compare
from transept.use.prompting import NOTHING, Prompt, Table, weigh
from unit.use.made import theirs

TEXTS = ["the cat sat", "ada lived in london", "a dog?", "paris is the capital of france", "who walked"]
CHOICES = ("good", "walked on", "the")


@pytest.fixture(scope="module")
def gpt() -> Loaded:
    return load(theirs("GPT2LMHeadModel", n_positions=160))


@pytest.fixture(scope="module")
def prompt() -> Prompt:
    return Prompt(Template("{text}\nIt was {label}"), CHOICES, "\n\n")


def table(texts: list[str] = TEXTS) -> Table:
    return Table([{"text": text} for text in texts], np.array([i % 3 for i in range(len(texts))]))


def score(loaded: Loaded, given: str, text: str) -> float:
    """By Hugging Face, for one choice behind one prompt."""
    model, tokenizer = GPT2LMHeadModel.from_pretrained(loaded.path).eval(), AutoTokenizer.from_pretrained(loaded.path)
    whole = tokenizer(given + text, return_offsets_mapping=True)
    with torch.no_grad():
        scores = model(torch.tensor([whole["input_ids"]])).logits[0].log_softmax(-1)
    return sum(
        float(scores[at - 1, token])
        for at, (token, (_, end)) in enumerate(zip(whole["input_ids"], whole["offset_mapping"], strict=True))
        if end > len(given)
    )


def test_choices_are_compared_by_the_formulas_of_the_papers(gpt: Loaded, prompt: Prompt) -> None:
    asked, shots = table(), Shots.draw(table().right, 2, 1, CHOICES, balanced=False, aside=1)
    found = weigh(gpt, prompt, asked, shots, asked, same=True)
    total = np.empty((len(TEXTS), 3))
    for row, text in enumerate(TEXTS):
        shown = [f"{TEXTS[at]}\nIt was {CHOICES[at % 3]}" for at in shots.without(row)]
        whole = "\n\n".join([*shown, f"{text}\nIt was "])
        assert found.prompts[row] == whole
        assert len(shown) == 2 and not any(one.startswith(f"{text}\n") for one in shown), "never the question itself"
        total[row] = [score(gpt, whole, choice) for choice in CHOICES]
    tokens = [len(one.tokens) for one in likelihoods(gpt, ["x was "] * 3, CHOICES)]
    np.testing.assert_allclose(found.scores["sum"], total, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.scores["token"], total / tokens, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.scores["character"], total / list(map(len, CHOICES)), rtol=1e-5, atol=1e-5)
    bare = [score(gpt, "It was ", choice) for choice in CHOICES]
    np.testing.assert_allclose(found.scores["unconditional"], total - bare, rtol=1e-5, atol=1e-5)

    def shares(scores: list[float]) -> np.ndarray:
        return np.exp(scores) / np.exp(scores).sum()

    plain = [f"{TEXTS[at]}\nIt was {CHOICES[at % 3]}" for at in shots.without()]
    free = [
        shares([score(gpt, "\n\n".join([*plain, f"{text}\nIt was "]), choice) for choice in CHOICES])
        for text in NOTHING
    ]
    wanted = np.array([shares(list(row)) / np.mean(free, 0) for row in total])
    np.testing.assert_allclose(np.exp(found.scores["calibrated"]), wanted, rtol=1e-4, atol=1e-6)
    assert found.chosen("calibrated").tolist() == wanted.argmax(1).tolist()


def test_a_choice_that_calibration_prefers_without_a_question_loses_that(gpt: Loaded) -> None:
    """A question that says nothing is, once calibrated, no reason for any choice."""
    prompt = Prompt(Template("{text} It was {label}"), CHOICES)
    found = weigh(gpt, prompt, table(list(NOTHING)))
    assert np.exp(found.scores["calibrated"]).mean(0) == pytest.approx([1.0] * 3, rel=1e-5)


def test_questions_do_not_depend_on_each_other(gpt: Loaded, prompt: Prompt) -> None:
    shots = Shots.draw(table().right, 2, 3, CHOICES, balanced=True, aside=0)
    whole = weigh(gpt, prompt, table(), shots, table())
    for row, text in enumerate(TEXTS):
        alone = weigh(gpt, prompt, table([text]), shots, table())
        for way, scores in alone.scores.items():
            np.testing.assert_allclose(scores[0], whole.scores[way][row], rtol=1e-5, atol=1e-5)


def test_masks_and_targets_choose_too() -> None:
    words = load(theirs("BertForMaskedLM"))
    prompt = Prompt(Template("{text} is {label}"), ("house", "the cat"))
    found = weigh(words, prompt, table(TEXTS[:2]))
    for row, column in product(range(2), range(2)):
        (one,) = likelihoods(words, [f"{TEXTS[row]} is "], [prompt.choices[column]])
        assert found.scores["token"][row, column] == pytest.approx(one.by_token, rel=1e-5)


def test_a_choice_of_which_no_token_is_left_is_named() -> None:
    words = load(theirs("BertForMaskedLM"))
    prompt = Prompt(Template("{text} is {label}"), ("house", "\u00ad"))  # a soft hyphen, which BERT's tokenizer drops
    with pytest.raises(
        InvalidData, match=r"text 1 has no token behind 'the cat sat is ' that could be scored: '\\xad'"
    ):
        weigh(words, prompt, table(TEXTS[:1]))


def test_a_prompt_that_is_too_long_is_refused_with_its_number(gpt: Loaded, prompt: Prompt) -> None:
    with pytest.raises(InvalidData, match=r"text 2 has \d+ tokens with what stands before it, and the model takes 160"):
        weigh(gpt, prompt, table(["a", "the cat " * 99]))


@pytest.mark.parametrize(
    ("template", "choices", "message"),
    [
        ("{text} was {label}.", CHOICES, "the template ends with '.', and the answer comes last"),
        ("{label} {text} {label}", CHOICES, "has {label} before its end too"),
        ("{text} {label}", ("a",), "two or more are needed"),
        ("{text} {label}", ("a", "a"), "two or more are needed, each once"),
        ("{text} {label}", ("a", " "), "the choice ' ' is no word"),
    ],
)
def test_a_prompt_that_asks_nothing_is_refused(template: str, choices: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Prompt(Template(template), choices)
    assert message in str(caught.value)


def test_pairs_are_compared_as_wholes(gpt: Loaded) -> None:
    good, bad = ["the cat sat on the mat", "ada lived", "a dog"], ["the cat sat on mat the", "ada ada lived", "a dog"]
    found = compare(gpt, good, bad)
    for row in range(3):
        wanted = [score(gpt, "<|endoftext|>", text) for text in (good[row], bad[row])]
        assert [found.good[row].total, found.bad[row].total] == pytest.approx(wanted, rel=1e-5)
        assert found.right[row] == (wanted[0] > wanted[1])
    assert not found.right[2], "of equals none is likelier"


def test_a_loaded_model_is_asked_by_its_methods(gpt: Loaded) -> None:
    one = gpt.likelihood("the mat", "the cat sat on ")
    assert one.total == pytest.approx(score(gpt, "the cat sat on ", "the mat"), rel=1e-5)
    both = gpt.likelihood(["the mat", "a dog"], "the cat sat on ")
    assert both[0].logprobs == pytest.approx(one.logprobs, rel=1e-5) and both == gpt.likelihood(
        ["the mat", "a dog"], ["the cat sat on "] * 2
    )
    for by, way in (("sum", "total"), ("token", "by_token"), ("character", "by_character")):
        label = gpt.choose("the cat sat on ", ["the mat", "a dog"], by=by)  # type: ignore[call-overload]
        scores = np.array([getattr(each, way) for each in both])
        assert label == ["the mat", "a dog"][int(scores.argmax())]
        assert label.probability == pytest.approx(np.exp(scores).max() / np.exp(scores).sum(), rel=1e-4)
    assert gpt.choose(TEXTS, CHOICES) == [gpt.choose(text, CHOICES) for text in TEXTS]
    assert gpt.likelihood([]) == [] and gpt.choose([], CHOICES) == []
    with pytest.raises(UsageError, match="by is 'tokens'. Did you mean 'token'"):
        gpt.choose("a", CHOICES, by="tokens")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="choices are two texts or more"):
        gpt.choose("a", "good")
    with pytest.raises(UsageError, match="2 texts need as many given texts, not 1"):
        gpt.likelihood(["a", "b"], ["c"])
