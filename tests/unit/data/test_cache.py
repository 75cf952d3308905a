import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data import cache as module
from transept.data.cache import TokenPairs, tokenise, within
from transept.data.config import Vocabulary
from transept.data.pairs import Pairs
from transept.data.subwords import Subwords
from transept.errors import InvalidConfig, InvalidData

SOURCE = ["a dog", "the dog and the cat and the dog", "cat", "a cat and a dog"]
TARGET = ["ein Hund", "der Hund und die Katze und der Hund", "die Katze und noch eine Katze", "x"]
TOKENIZER = Subwords.train(SOURCE + TARGET, Vocabulary(merges=40, min_frequency=1))


def text(source: list[str] = SOURCE, target: list[str] = TARGET, blank: int = 0) -> Pairs:
    return Pairs(source, target, (Path("t.en"), Path("t.de")), [10 * row + 10 for row in range(len(source))], blank)


def rows(tokens: TokenPairs) -> list[tuple[list[int], list[int]]]:
    return [(tokens.source(row).tolist(), tokens.target(row).tolist()) for row in range(len(tokens))]


WANTED = list(zip(TOKENIZER.encode_batch(SOURCE), TOKENIZER.encode_batch(TARGET), strict=True))


class Say(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture
def say() -> Say:
    return Say()


def test_ids_are_the_tokenizers(tmp_path: Path, say: Say):
    for folder in (None, tmp_path, tmp_path):
        tokens = tokenise(text(), TOKENIZER, folder, say)
        assert rows(tokens) == WANTED
        assert tokens.lengths.tolist() == [[len(a), len(b)] for a, b in WANTED]
    assert len(say) == 1  # making it is told, reusing it is not
    assert "4 pairs are" in say[0]
    assert not list(tmp_path.glob(".*"))


def test_a_cache_is_mapped_and_reused(tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch):
    assert isinstance(tokenise(text(), TOKENIZER, tmp_path, say).ids, np.memmap)
    monkeypatch.setattr(module, "_encode", lambda *_: pytest.fail("tokenised twice"))
    assert rows(tokenise(text(), TOKENIZER, tmp_path, say)) == WANTED


def test_long_texts_go_through_in_parts(monkeypatch: pytest.MonkeyPatch, say: Say):
    monkeypatch.setattr(module, "CHUNK", 3)
    assert rows(tokenise(text(), TOKENIZER, None, say)) == WANTED


def test_other_text_or_another_tokenizer_has_its_own_cache(tmp_path: Path, say: Say):
    other = Subwords.train(SOURCE, Vocabulary(kind="bytes", merges=3))
    for pairs, tokenizer in [
        (text(), TOKENIZER),
        (text(), other),
        (text(SOURCE[::-1]), TOKENIZER),
        (text(TARGET, SOURCE), TOKENIZER),
        (text(SOURCE, TARGET[::-1]), TOKENIZER),
        (text(["a", "b"], ["c", "d"]), TOKENIZER),
        (text(["ab", ""], ["c", "d"]), TOKENIZER),
    ]:
        found = rows(tokenise(pairs, tokenizer, tmp_path, say))
        assert [pair[0] for pair in found] == tokenizer.encode_batch(pairs.source)
        assert [pair[1] for pair in found] == tokenizer.encode_batch(pairs.target)
    assert len(list(tmp_path.iterdir())) == len(say) == 7


def damage_cut(folder: Path) -> None:
    whole = (folder / "ids.npy").read_bytes()
    (folder / "ids.npy").write_bytes(whole[:-3])


def damage_flip(folder: Path) -> None:
    whole = bytearray((folder / "ids.npy").read_bytes())
    whole[-2] ^= 1
    (folder / "ids.npy").write_bytes(bytes(whole))


def damage_offsets(folder: Path) -> None:
    (folder / "offsets.npy").unlink()


def damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"key": ')


def damage_foreign(folder: Path) -> None:
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace(folder.name, "0" * 32))


def damage_version(folder: Path) -> None:
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace('"version": 1', '"version": 0'))


def damage_kind(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


def damage_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not even a folder")


@pytest.mark.parametrize(
    "damage",
    [
        damage_cut,
        damage_flip,
        damage_offsets,
        damage_manifest,
        damage_foreign,
        damage_version,
        damage_kind,
        damage_folder,
    ],
)
def test_a_damaged_cache_is_made_again_and_told(tmp_path: Path, say: Say, damage: object):
    assert callable(damage)
    tokenise(text(), TOKENIZER, tmp_path, say)
    (folder,) = tmp_path.iterdir()
    damage(folder)
    say.clear()
    assert rows(tokenise(text(), TOKENIZER, tmp_path, say)) == WANTED
    assert len(say) == 2
    assert f"token cache {folder} cannot be used" in say[0]
    say.clear()
    assert rows(tokenise(text(), TOKENIZER, tmp_path, say)) == WANTED
    assert say == []
    assert [item.name for item in tmp_path.iterdir()] == [folder.name]


def test_an_unwritable_cache_names_its_key(tmp_path: Path, say: Say):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidConfig, match=r"data\.cache"):
        tokenise(text(), TOKENIZER, tmp_path / "file" / "cache", say)


def test_long_and_uneven_pairs_are_left_out_and_counted(say: Say):
    tokens = tokenise(text(blank=2), TOKENIZER, None, say)
    lengths = tokens.lengths
    limit = int(lengths[1].max()) - 1
    kept, report = within(tokens, limit)
    assert kept.lengths.max() <= limit < lengths.max()
    assert (report.total, report.empty, report.too_long, report.uneven) == (6, 2, 1, 0)
    assert report.kept == len(kept) == 3
    assert report.first == tokens.where(1) == "t.en:20"
    assert rows(kept) == [WANTED[0], WANTED[2], WANTED[3]]
    assert kept.where(1) == "t.en:30"
    assert "3 of 6 pairs" in report.report()
    assert f"1 longer than {limit} tokens (data.max_length), the first at t.en:20" in report.report()

    ratio = (lengths[2].max() - 1) / (lengths[2].min() - 1)
    assert within(tokens, 99, ratio)[1].uneven < within(tokens, 99, ratio - 0.01)[1].uneven
    assert "data.max_ratio" in within(tokens, 99, 1.5)[1].report()
    everything, full = within(tokens, int(lengths.max()))
    assert (len(everything), full.too_long, full.first) == (4, 0, None)


@pytest.mark.parametrize("side", [0, 1])
def test_either_side_can_be_too_long(say: Say, side: int):
    sides = [["cat", "cat"], ["cat", "cat"]]
    sides[side][1] = "the dog and the cat"
    kept, report = within(tokenise(text(*sides), TOKENIZER, None, say), 3)
    assert (len(kept), report.too_long, report.first) == (1, 1, "t.en:20")


def test_limits_that_leave_nothing_are_refused(say: Say):
    with pytest.raises(InvalidData, match=r"t.en: no pair is left.*\n.*data.max_length"):
        within(tokenise(text(), TOKENIZER, None, say), 1)


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_chosen_pairs_of_chosen_pairs(first: list[int], second: list[int]):
    tokens = tokenise(text(), TOKENIZER, None, print)
    chosen = tokens.select(np.array(first, np.int64))
    assert rows(chosen) == [WANTED[row] for row in first]
    inner = [row for row in second if row < len(first)]
    again = chosen.select(np.array(inner, np.int64))
    assert rows(again) == [WANTED[first[row]] for row in inner]
    assert again.lengths.tolist() == [[len(side) for side in WANTED[first[row]]] for row in inner]
