"""The vectors of a word in two texts: they are those of Hugging Face, and what makes no sense is refused."""

import pytest
import torch
import transformers

from transept.errors import UsageError
from transept.inspect.drift import cosines, depths, drift
from transept.inspect.example import Example, Row
from transept.inspect.words import Word
from transept.use.loaded import load
from unit.hub.made import model
from unit.use.made import theirs

TEXTS = ("the cat sat on the mat.", "a dog sees cats in paris")


def test_vectors_and_cosines_are_those_of_hugging_face() -> None:
    path = theirs("BertForMaskedLM")
    loaded, other = load(path), transformers.BertForMaskedLM.from_pretrained(path).eval()
    examples = [loaded.explain(text) for text in TEXTS]
    with torch.no_grad():
        hidden = [other(one.source.inputs, output_hidden_states=True).hidden_states for one in examples]
    for one, states in zip(examples, hidden, strict=True):
        torch.testing.assert_close(depths(one), torch.cat(list(states)), rtol=1e-5, atol=1e-5)
    cat, cats = examples[0].source.words[2], examples[1].source.words[4]
    assert (cat.text, cats.text, len(cats.tokens)) == ("cat", "cats", 2)
    found = drift(examples[0], [cat], examples[1], [cats])
    for depth, (states, others) in enumerate(zip(*hidden, strict=True)):
        mean = others[0, list(cats.tokens)].mean(0)
        wanted = torch.nn.functional.cosine_similarity(states[0, cat.tokens[0]], mean, dim=0)
        torch.testing.assert_close(found[depth, 0, 0], wanted, rtol=0, atol=1e-5)


def test_each_stack_has_vectors_of_its_own_and_a_word_is_near_itself() -> None:
    example = Example(model(), Row.of([5, 6, 7, 8, 2]), Row.of([1, 9, 10]))
    encoder, decoder = (depths(example, trunk) for trunk in ("encoder", "decoder"))
    assert (encoder.shape, decoder.shape) == ((3, 5, 16), (3, 3, 16))
    words = example.source.words
    found = drift(example, words, example, words, "encoder")
    assert found.shape == (3, 5, 5)
    torch.testing.assert_close(found.diagonal(dim1=1, dim2=2), torch.ones(3, 5), rtol=0, atol=1e-6)
    torch.testing.assert_close(found, found.mT, rtol=0, atol=1e-6)
    assert float(found.min()) < 0.9, "and not all words are alike"


def test_vectors_of_other_widths_are_refused() -> None:
    word = [Word("a", 0, 0, (0,))]
    with pytest.raises(UsageError, match="2 layers of width 8 against 2 of width 4"):
        cosines(torch.ones(3, 1, 8), word, torch.ones(3, 1, 4), word)
