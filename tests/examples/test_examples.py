"""The examples run, at toy size."""

import importlib.util
from pathlib import Path
from types import ModuleType

import torch
from torch.testing import assert_close

from transept.data.config import Vocabulary
from transept.data.subwords import Subwords
from transept.decode.config import Search
from transept.families.transformer import declare
from transept.hub.directory import save

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def toy(path: Path) -> Path:
    """A model directory with random weights and a vocabulary of a few letters."""
    torch.manual_seed(0)
    tokenizer = Subwords.train(["a b c d", "b d a c"], Vocabulary(kind="characters", merges=4))
    model = declare(vocab=tokenizer.vocab, width=16, hidden=16, heads=2, depth=2).build().eval()
    return save(path / "toy", model, tokenizer=tokenizer, generation=Search(method="greedy", max_ratio=0, max_extra=5))


def test_attention_picture(tmp_path: Path) -> None:
    picture, model = tmp_path / "attention.png", toy(tmp_path)
    module = example("attention_picture")
    module.draw(str(model), "a b c", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_picture_shows_attention(tmp_path: Path) -> None:
    module = example("attention_picture")
    import transept

    model = transept.load(str(toy(tmp_path))).model
    weights = module.cross_attention(model, torch.tensor([[4, 5, 6, 2]]), torch.tensor([[1, 4, 5]]))
    assert [tuple(w.shape) for w in weights] == [(2, 3, 4)] * 2
    for layer in weights:
        assert_close(layer.sum(-1), torch.ones(2, 3), rtol=1e-5, atol=1e-5)
    plain = model(torch.tensor([[4, 5, 6, 2]]), torch.tensor([[1, 4, 5]])).logits
    assert torch.equal(model(torch.tensor([[4, 5, 6, 2]]), torch.tensor([[1, 4, 5]])).logits, plain)
