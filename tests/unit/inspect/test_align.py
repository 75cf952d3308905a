"""Alignment from maps that are known, the aligner among heads that are no aligners, error rates by hand."""

import pytest
import torch
from torch.testing import assert_close

from laws.subjects import families, lively
from transept.errors import UsageError
from transept.inspect.align import (
    Aligner,
    CrossMaps,
    agreement,
    align,
    content,
    cross_maps,
    error_rate,
    find_aligner,
    gold,
    read_pharaoh,
    recall,
    standings,
    to_pharaoh,
)
from transept.inspect.example import Row
from transept.inspect.record import record
from transept.inspect.words import Word, words_of

EN = [["the", "cat", "sleeps"], ["a", "dog", "sleeps"], ["the", "dog", "sees", "a", "cat"], ["a", "cat", "sees"]]
DE = {"the": "die", "a": "eine", "cat": "katze", "dog": "dogge", "sleeps": "schläft", "sees": "sieht"}


def row(words: list[str], opened: bool) -> Row:
    """Words as one token each, with what opens a target before them or what ends a source after them."""
    around = Word("<eos>", 0, 0, (0 if opened else len(words),), special=True)
    own, at = [], 0
    for i, word in enumerate(words):
        own.append(Word(word, at, at + len(word), (i + opened,)))
        at += len(word) + 1
    tokens = ["<eos>", *words] if opened else [*words, "<eos>"]
    ids = torch.arange(len(tokens))[None] + 3
    return Row(ids, tokens, [around, *own] if opened else [*own, around], " ".join(words))


def made() -> CrossMaps:
    """Four heads: always at the end, at the word at the same place, broad, and one that aligns."""
    pairs = [(row(words, False), row([DE[word] for word in words][::-1], True)) for words in EN]
    maps = CrossMaps(pairs)
    for source, _ in pairs:
        n = len(source.words) - 1
        right = torch.eye(n + 1)[[*range(n - 1, -1, -1), n]]  # row t predicts the t-th target word: reversed order
        place = torch.eye(n + 1)[[*range(n), n]]
        end = torch.eye(n + 1)[[n] * (n + 1)]
        broad = torch.full((n + 1, n + 1), 1 / (n + 1))
        maps.whole["decoder.cross"].append(0.85 * torch.stack([end, place, broad, right]) + 0.15 * broad)
    return maps


def test_the_aligner_is_found_among_others() -> None:
    maps = made()
    ranked = standings(maps)
    assert find_aligner(maps) == ranked[0].aligner == Aligner("decoder.cross", 3)
    assert ranked[0].score > 1.5 * ranked[1].score
    assert {one.aligner.when for one in ranked} == {"predicted", "read"}
    for at, (source, target) in enumerate(maps.pairs):
        links = align(maps.of(ranked[0].aligner, at), source, target)
        n = len(content(source))
        assert links == {(n - 1 - j, j) for j in range(n)}
        assert align(maps.of(Aligner("decoder.cross", 0), at), source, target, null=True) == frozenset()
        assert align(maps.of(ranked[0].aligner, at), source, target, least=0.95) == frozenset()


def test_in_one_text_a_word_that_comes_twice_may_mean_two_others() -> None:
    """As "a" does in "a man plays a guitar", beside "ein mann spielt gitarre": a sharp head is no worse for it."""
    source, target = row(["ein", "mann", "gitarre"], False), row(["a", "man", "a", "guitar"], True)
    maps = CrossMaps([(source, target)])
    right = torch.eye(4)[[0, 1, 2, 2, 3]]
    maps.whole["decoder.cross"] = [torch.stack([torch.full((5, 4), 0.25), 0.85 * right + 0.05])]
    ranked = standings(maps)
    assert ranked[0].aligner == Aligner("decoder.cross", 1)
    assert ranked[0].agreement == 1 and ranked[0].score > 1.5 * ranked[-1].score


def test_a_head_that_looks_one_step_late_is_found_as_such() -> None:
    maps = made()
    late = CrossMaps(maps.pairs)
    late.whole["decoder.cross"] = [torch.roll(one[3:4], 1, 1) for one in maps.whole["decoder.cross"]]
    assert find_aligner(late) == Aligner("decoder.cross", 0, "read")


def test_maps_of_a_batch_are_those_of_each_pair() -> None:
    model = lively(families()["transformer"])
    pairs = [(row(words, False), row([DE[word] for word in words], True)) for words in EN]
    maps = cross_maps(model, pairs)  # type: ignore[arg-type]
    for at, (source, target) in enumerate(pairs):
        with record(model) as kept, torch.no_grad():
            model(source.inputs, target.inputs)
        for name, whole in maps.whole.items():
            assert_close(whole[at], kept[name][0], rtol=1e-4, atol=1e-6)
            for when, first in (("predicted", 0), ("read", 1)):
                rows = kept[name][0, 2, first : first + len(target.tokens) - 1]
                found = maps.of(Aligner(name, 2, when), at)  # type: ignore[arg-type]
                assert_close(found, rows, rtol=1e-4, atol=1e-6)
    with pytest.raises(UsageError, match="no head that looks at the source"):
        maps.of(Aligner("decoder.blocks.9.cross", 0), 0)
    with pytest.raises(UsageError, match="does not look at its source"):
        cross_maps(lively(families()["lstm"]), pairs)  # type: ignore[arg-type]


def test_error_rate_by_hand() -> None:
    """Och & Ney 2003: 1 - (|A & S| + |A & P|) / (|A| + |S|), the sure links among the possible ones."""
    a, s, p = frozenset({(0, 0), (1, 1), (2, 1)}), frozenset({(0, 0), (1, 2)}), frozenset({(1, 1)})
    assert error_rate([a], [s], [p]) == pytest.approx(1 - (1 + 2) / (3 + 2))
    assert error_rate([s], [s]) == 0
    assert error_rate([frozenset()], [s]) == 1
    assert recall([a], [frozenset({(0, 0), (5, 1), (7, 2)})]) == pytest.approx(1 / 3)
    assert agreement([("a", "x"), ("a", "x"), ("b", "y")]) == 1
    assert agreement([("a", "x"), ("b", "x")]) is None
    assert agreement([("a", "x"), ("a", "y"), ("b", "x")]) == 0


def test_links_are_read_and_written() -> None:
    assert read_pharaoh("0-1 2p3 4?5", "f") == (frozenset({(0, 1)}), frozenset({(2, 3), (4, 5)}))
    assert to_pharaoh(frozenset({(1, 0), (0, 2)})) == "1-0 0-2"
    with pytest.raises(UsageError, match="'x-1' is no link"):
        read_pharaoh("x-1", "f")
    for text in ("decoder.blocks.1.cross:3", "decoder.attend:0:read"):
        assert str(Aligner.parse(text)) == text
    for text in ("decoder", "a:b", "a:1:then"):
        with pytest.raises(UsageError, match="is no head"):
            Aligner.parse(text)


def test_gold_links_are_of_the_words_in_two_places() -> None:
    one = Row(torch.tensor([[1, 2, 3]]), ["5", "March", "20"], words_of("5 March", [(0, 1), (2, 5), (5, 7)], ["a"] * 3))
    other = Row(torch.tensor([[0, 1, 2]]), ["<", "3/", "5"], words_of("3/5", [(0, 0), (0, 2), (2, 3)], ["<"] * 3))
    links = gold([((0, 1), (2, 3)), ((2, 7), (0, 1))], one, other)
    assert links == {(0, 1), (1, 0)}
