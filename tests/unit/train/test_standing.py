from transept.train.standing import Standing


def after(scores: list[float], higher: bool = True) -> Standing:
    standing = Standing()
    for update, score in enumerate(scores, 1):
        standing = standing.judged(1000 * update, score, higher)
    return standing


def test_only_a_better_score_is_a_new_best() -> None:
    assert after([1.0, 3.0, 2.0, 3.0]) == Standing(2000, 3.0, 2)
    assert after([1.0, 3.0, 0.5, 0.5], higher=False) == Standing(3000, 0.5, 1)


def test_a_score_that_is_no_number_is_never_best() -> None:
    assert after([float("nan"), float("nan")]) == Standing(None, None, 2)
    assert after([1.0, float("nan")]) == Standing(1000, 1.0, 1)


def test_says_it_in_words() -> None:
    assert Standing(18000, 27.3, 10).words("bleu") == "best BLEU 27.3 at update 18,000"
    assert Standing().words("exact_match") == "no exact match yet"
    assert [after([2.0]).verdict, after([2.0, 1.0]).verdict, after([2.0, 1.0, 1.0]).verdict] == [
        "new best",
        "stalled 1 time",
        "stalled 2 times",
    ]
