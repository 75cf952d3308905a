"""A toy language and a model of it, for everything that a person does on the command line.

The language: three digits, and the translation says them backwards. A model of width 32 learns it in seconds.
"""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from transept.cli.main import app

RECIPE = """\
task: translation
run: {folder}/run
model: {{family: transformer, width: 32, hidden: 64, heads: 2, depth: 1}}
data:
  dir: {folder}
  source: src
  target: tgt
  train: train
  valid: valid
  test: test
  vocabulary: {{kind: characters, merges: 0}}
  max_length: 16
train:
  stop: 300u
  batch_tokens: 256
  schedule: {{name: inverse_sqrt, rate: 0.01, warmup: 50}}
  validate_every: 100u
  average: 2
  threads: 1
search: {{method: beam, beam: 3}}
evaluate: {{tokenize: none, best: exact_match}}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def run(*words: object, typed: str | bytes | None = None) -> Ended:
    """A command, in this process."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=typed)
    return Ended(result.exit_code, result.stdout, result.stderr)


def make_toy(folder: Path) -> Path:
    """The toy language's files and recipe in a folder; the recipe's path."""
    numbers = random.Random(2017).sample(range(1000), 240)
    for split, rows in (("train", numbers[:200]), ("valid", numbers[200:220]), ("test", numbers[220:])):
        texts = [" ".join(f"{number:03}") for number in rows]
        (folder / f"{split}.src").write_text("".join(f"{text}\n" for text in texts))
        (folder / f"{split}.tgt").write_text("".join(f"{text[::-1]}\n" for text in texts))
    recipe = folder / "toy.yaml"
    recipe.write_text(RECIPE.format(folder=folder))
    return recipe


@pytest.fixture(scope="session")
def cli() -> Callable[..., Ended]:
    return run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A recipe of the toy language, nothing trained yet."""
    return make_toy(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy language, to be read only."""
    recipe = make_toy(tmp_path_factory.mktemp("toy"))
    ended = run("train", recipe)
    assert ended.code == 0, ended.err
    return recipe.parent / "run"


@pytest.fixture
def own_run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run", symlinks=True))
