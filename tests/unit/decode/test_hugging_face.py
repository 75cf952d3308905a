"""The same tokens as Hugging Face's `generate` on the same weights, by greedy and by beam search."""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from transformers import MarianConfig, MarianMTModel

from transept.decode.config import Search
from transept.decode.search import search
from transept.families.transformer import declare, names, to_hf
from transept.models import Seq2SeqLayer
from unit.decode.toy import BOS, EOS, PAD, SPECIAL, balance, perturb, sentences

STOPS = {"first": True, "bound": False, "exact": "never"}
BEAMS = list(itertools.product((2, 3, 4, 5), (0.0, 0.6, 1.0, 2.0), STOPS))


def pair(seed: int) -> tuple[Seq2SeqLayer, MarianMTModel, int]:
    """One model on both sides, peaked enough that its answers have different lengths."""
    dice = random.Random(seed)
    vocab = dice.choice([14, 60, 300])
    spec = declare(vocab=vocab, width=16, hidden=32, heads=4, depth=dice.choice([1, 2]), head_bias=True)
    model = spec.build()
    perturb(model, seed, scale=dice.choice([0.1, 0.2, 0.3]))
    balance(model, vocab, dice.choice([-1.0, 0.0]))
    theirs = MarianMTModel(MarianConfig(**to_hf(spec)))
    missing = theirs.load_state_dict(names(spec).to_theirs(model.state_dict()), strict=False)
    assert not missing.unexpected_keys
    assert all("embed_positions" in name for name in missing.missing_keys)
    return model, theirs.eval(), vocab


def generate(model: MarianMTModel, asked: list[list[int]], **choice: object) -> tuple[list[list[int]], list[float]]:
    """Their best tokens and its score (none by greedy), without the opening token and what follows the end."""
    longest = max(map(len, asked))
    ids = torch.tensor([source + [PAD] * (longest - len(source)) for source in asked])
    out = model.generate(
        input_ids=ids,
        attention_mask=ids != PAD,
        bad_words_ids=[[PAD], [BOS]],
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **choice,
    )
    rows = [row[1:] for row in out.sequences.tolist()]
    ends = choice.get("eos_token_id", [EOS])
    found = [next((row[: i + 1] for i, token in enumerate(row) if token in ends), row) for row in rows]
    return found, [] if out.get("sequences_scores") is None else out.sequences_scores.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_greedy_gives_their_tokens(seed):
    model, theirs, vocab = pair(seed)
    asked = sentences(seed, 10, vocab)
    wanted = generate(theirs, asked, max_new_tokens=12, num_beams=1)[0]
    for settings in (Search(method="greedy"), Search(beam=1), Search(beam=1, stop="first")):
        settings = settings.model_copy(update={"max_ratio": 0.0, "max_extra": 12})
        assert [each[0].tokens for each in search(model, asked, settings, SPECIAL)] == wanted


def test_the_answers_differ_in_length():
    """Else the comparisons say nothing about stopping."""
    lengths = []
    for seed in range(6):
        model, _, vocab = pair(seed)
        found = search(model, sentences(seed, 10, vocab), Search(max_ratio=0.0, max_extra=12), SPECIAL)
        lengths += [len(each[0].tokens) for each in found]
    assert len(set(lengths)) > 5


@pytest.mark.parametrize("seed", range(6))
def test_beams_give_their_tokens_and_scores(seed):
    model, theirs, vocab = pair(seed)
    asked = sentences(seed, 10, vocab)
    for beam, length_penalty, stop in random.Random(seed).sample(BEAMS, 12):
        settings = Search(beam=beam, length_penalty=length_penalty, stop=stop, max_ratio=0.0, max_extra=12)
        found = search(model, asked, settings, SPECIAL)
        extra = {"early_stopping": STOPS[stop], "length_penalty": length_penalty}
        wanted, scores = generate(theirs, asked, max_new_tokens=12, num_beams=beam, **extra)
        assert [each[0].tokens for each in found] == wanted, settings
        ours = torch.tensor([each[0].score for each in found])
        torch.testing.assert_close(ours, torch.tensor(scores), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("seed", range(4))
def test_any_of_several_tokens_may_end_an_answer(seed):
    model, theirs, vocab = pair(seed)
    asked = sentences(seed, 10, vocab)
    special = replace(SPECIAL, also=(5, 7))
    for beams, settings in ((1, Search(method="greedy")), (4, Search(beam=4)), (3, Search(beam=3, min_length=4))):
        settings = settings.model_copy(update={"max_ratio": 0.0, "max_extra": 12})
        found = [each[0] for each in search(model, asked, settings, special)]
        least = {"min_new_tokens": settings.min_length - 1} if settings.min_length else {}
        wanted = generate(theirs, asked, max_new_tokens=12, num_beams=beams, eos_token_id=[EOS, 5, 7], **least)[0]
        assert [each.tokens for each in found] == wanted, settings
        assert {each.finish for each in found if each.tokens[-1] in (EOS, 5, 7)} <= {"end"}
