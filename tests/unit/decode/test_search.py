"""The way in: batches, orders, limits, and what a person is told."""

import math
from copy import deepcopy
from itertools import chain
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from transept.decode.batch import pad, plan
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, Special, Undecodable
from transept.decode.search import extend, search
from transept.errors import InvalidData, UsageError
from transept.parts.memory import Memory
from unit.decode.toy import BOS, EOS, PAD, SPECIAL, sentences, tokens_of, translator, writer

SHORT = Search(beam=3, max_ratio=0.5, max_extra=4)
METHODS = ("greedy", "sample", "beam")


def test_a_plan_holds_every_sentence_once_within_its_budget():
    lengths = [(n, 1) for n in torch.randint(1, 60, (200,)).tolist()]
    batches = plan(lengths, 100)
    assert sorted(chain(*batches)) == list(range(200))
    assert all(len(batch) * max(lengths[i][0] for i in batch) <= 100 for batch in batches)
    firsts = [lengths[batch[0]][0] for batch in batches]
    assert firsts == sorted(firsts, reverse=True)
    assert len(batches) < 100


def test_a_sentence_longer_than_the_budget_is_alone():
    assert plan([(3, 1), (500, 1), (4, 1)], 10) == [[1], [2, 0]]


def test_padding_stands_on_the_left_and_none_is_made_where_none_is_needed():
    ids, valid = pad([[5, 6, 7], [8]], torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert valid is not None
    assert valid.tolist() == [[True, True, True], [False, False, True]]
    assert pad([[5, 6], [7, 8]], torch.device("cpu"))[1] is None


@pytest.mark.parametrize("method", METHODS)
def test_results_stand_in_the_order_of_the_sources(method):
    model, asked = translator(0), sentences(0, 12)
    settings = Search(method=method, max_ratio=0.5, max_extra=4, batch_tokens=20)
    together = tokens_of(search(model, asked, settings, SPECIAL))
    if method != "sample":  # a draw belongs to the place of its sentence
        assert together == [tokens_of(search(model, [source], settings, SPECIAL))[0] for source in asked]
        assert tokens_of(search(model, asked[::-1], settings, SPECIAL)) == together[::-1]


def test_nothing_asked_is_nothing_answered():
    assert search(translator(0), [], SHORT, SPECIAL) == []


@pytest.mark.parametrize("method", METHODS)
def test_no_room_for_any_token_gives_an_empty_answer(method):
    settings = Search(method=method, max_ratio=0.0, max_extra=0)
    empty = Hypothesis([], 0.0, [], "length", "extra")
    assert search(translator(0), sentences(0, 3), settings, SPECIAL) == [[empty]] * 3


def test_some_may_have_room_and_others_not():
    asked = [[3, EOS], [3, 4, 5, 6, 7, 8, EOS]]
    found = search(translator(0, end=-9.0), asked, Search(max_ratio=0.3, max_extra=0), SPECIAL)
    assert [len(each[0].tokens) for each in found] == [0, 2]


def test_an_empty_sentence_is_refused_by_its_number():
    with pytest.raises(InvalidData, match="sentence 2 has no tokens"):
        search(translator(0), [[3, EOS], []], SHORT, SPECIAL)


def test_each_source_has_its_own_prefix():
    with pytest.raises(UsageError, match="1 prefixes for 2 sources"):
        search(translator(0), [[3, EOS], [4, EOS]], SHORT, SPECIAL, prefix=[[5]])


def test_an_end_token_that_is_suppressed_is_refused():
    with pytest.raises(UsageError, match="end token 2 is suppressed"):
        Special(bos=BOS, eos=EOS, suppress=(PAD, EOS))


def test_a_prompt_longer_than_the_model_is_refused_and_one_as_long_has_one_token_more():
    model = writer(0, length=8)
    with pytest.raises(InvalidData, match="sentence 2 has 9 tokens, and the model has 8 positions"):
        extend(model, [[BOS, 3], [BOS, *range(3, 11)]], SHORT, SPECIAL)
    full, shorter = extend(model, [[BOS, *range(3, 10)], [BOS, 3, 4, 5, 6]], SHORT, SPECIAL)
    assert len(full[0].tokens) == 1
    assert len(shorter[0].tokens) <= 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(method, training):
    model = translator(0).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    search(model, sentences(0), Search(method=method, max_ratio=0.5, max_extra=4), SPECIAL)
    assert model.training == training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def check_a_failed_sentence_leaves_the_others_alone(method: str) -> None:
    """Scores that are no numbers are an error that names its sentences and holds the others' answers."""
    model, asked = translator(0), sentences(0, 8, longest=4)
    settings = Search(method=method, max_ratio=0.5, max_extra=4)
    wanted = search(model, asked, settings, SPECIAL)
    bad = [i for i, source in enumerate(asked) if 11 in source]
    assert 0 < len(bad) < 8
    clean = model.encode

    def poisoned(source: Tensor, valid: Tensor | None = None) -> Memory:
        memory = clean(source, valid)
        return Memory(memory.states.masked_fill((source == 11).any(1)[:, None, None], math.nan), memory.valid)

    with patch.object(model, "encode", poisoned), pytest.raises(Undecodable) as raised:
        search(model, asked, settings, SPECIAL)
    assert f"{len(bad)} of 8 sentences (number {', '.join(str(i + 1) for i in bad)})" in str(raised.value)
    assert raised.value.sentences == bad
    assert tokens_of(raised.value.results) == [[] if i in bad else each for i, each in enumerate(tokens_of(wanted))]


@pytest.mark.parametrize("method", METHODS)
def test_a_failed_sentence_leaves_the_others_alone(method):
    check_a_failed_sentence_leaves_the_others_alone(method)


def test_a_failure_at_a_later_step_is_seen():
    model, asked = translator(0, end=-9.0), sentences(0, 12)
    settings = Search(method="greedy", max_ratio=0.5, max_extra=4)
    torch.manual_seed(0)
    model.head.score = torch.nn.Linear(8, 12, bias=False)  # no longer tied: a poisoned embedding hurts its readers only
    wanted = [each[0].tokens for each in search(model, asked, settings, SPECIAL)]
    read = {token: [i for i, tokens in enumerate(wanted) if token in tokens[:-1]] for token in range(3, 12)}
    token, readers = next((token, found) for token, found in read.items() if 0 < len(found) < 12)
    with torch.no_grad():
        model.source = deepcopy(model.embed)
        model.embed.table.weight[token] = math.nan
    with pytest.raises(Undecodable) as raised:
        search(model, asked, settings, SPECIAL)
    assert raised.value.sentences == readers
