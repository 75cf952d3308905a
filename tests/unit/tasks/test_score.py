"""Scores: against hand counts, and against what sacreBLEU itself says."""

import math

import pytest
import sacrebleu

from transept.errors import InvalidData
from transept.tasks.score import bleu, chrf, exact_match, wilson

OUTPUTS = ["the cat sat on the mat", "a dog", "one two three four five", "nothing here"]
REFERENCES = ["the cat sat on a mat", "a dog", "one two three four six", "something there"]


def test_bleu_of_one_sentence_by_hand():
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; both sides have six words, so no brevity penalty.
    expected = 100 * math.exp(sum(map(math.log, (5 / 6, 3 / 5, 2 / 4, 1 / 3))) / 4)
    found = bleu(OUTPUTS[:1], REFERENCES[:1], tokenize="none")
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.interval is None


def test_scores_are_sacrebleus():
    assert bleu(OUTPUTS, REFERENCES).value == sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES]).score
    assert chrf(OUTPUTS, REFERENCES).value == sacrebleu.corpus_chrf(OUTPUTS, [REFERENCES]).score


def test_tokenizing_matters_and_is_in_the_signature():
    outputs, references = ["it is so, he said."], ["it is so , he said ."]
    plain, cut = bleu(outputs, references, tokenize="none"), bleu(outputs, references)
    assert cut.value == pytest.approx(100) and plain.value < 50
    assert "tok:none" in plain.signature and "tok:13a" in cut.signature


def test_case_counts_unless_it_is_told_not_to():
    outputs, references = ["a dog runs in the park"], ["A Dog runs in the park"]
    for score in (bleu, chrf, exact_match):
        assert score(outputs, references).value < 95
        assert score(outputs, references, case="lower").value == pytest.approx(100)
        assert score(outputs, references, case="lower").signature != score(outputs, references).signature


def test_the_interval_holds_the_score_and_repeats():
    outputs, references = OUTPUTS * 30, REFERENCES * 30
    first, second = (bleu(outputs, references, tokenize="none", resamples=200) for _ in range(2))
    assert first == second
    assert first.interval is not None and first.interval[0] < first.value < first.interval[1]
    assert "bs:200" in first.signature and "seed:" in first.signature


def test_intervals_hold_where_most_resamples_score_nothing():
    outputs, references = ["abcdef", *["x"] * 30], ["abcdef", *["ooooo"] * 30]
    for score in (bleu(outputs, references, resamples=100), chrf(outputs, references, resamples=100)):
        assert score.interval is not None
        assert all(type(end) is float for end in score.interval)


def test_exact_match_counts_whole_outputs():
    found = exact_match([*OUTPUTS, " a dog "], [*REFERENCES, "a dog"])
    assert found.value == pytest.approx(100 * 2 / 5, rel=1e-12)


def test_wilson_by_hand():
    # The textbook case of 8 hits in 10, and the ends, where the normal interval would have no width.
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=5e-5)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=5e-5)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=5e-5)


@pytest.mark.parametrize("score", [bleu, chrf, exact_match])
def test_sides_that_do_not_fit_are_refused(score):
    with pytest.raises(InvalidData, match="3 outputs .* 4 references"):
        score(OUTPUTS[:3], REFERENCES)
    with pytest.raises(InvalidData, match="nothing to score"):
        score([], [])
